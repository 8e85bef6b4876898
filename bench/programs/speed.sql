-- What SQLite's own speed test does most: many rows, indexes, joins, text, updates and deletes, in memory.
create table t1 (a integer, b integer, c text);
create table t2 (a integer primary key, b integer, c text);
begin;
with recursive n (i) as (select 1 union all select i + 1 from n where i < 120000)
insert into t1 select i, i * 7919 % 100003, printf('the number %d and its square %d', i, i * i % 1000003) from n;
with recursive n (i) as (select 1 union all select i + 1 from n where i < 120000)
insert into t2 select i, i * 104729 % 100003, printf('%x', i * 2654435761) from n;
commit;
create index t1b on t1 (b);
create index t1c on t1 (c);
create index t2b on t2 (b, c);
select count(*), sum(length(c)) from t1 where c like '%99%';
select count(*), max(t2.c) from t1 join t2 on t1.b = t2.b where t1.a % 3 = 0;
select b % 1000 as k, count(*), group_concat(substr(c, 1, 3)) from t1 group by k order by 2 desc limit 5;
begin;
update t1 set c = c || ' changed' where a % 4 = 0;
update t2 set b = b + 1 where a % 5 = 0;
delete from t1 where b % 6 = 0;
commit;
select count(*), total(a) from (select * from t1 order by c desc, b);
create table t3 as select t1.a, t2.c from t1, t2 where t1.a = t2.a;
drop table t1;
pragma integrity_check;

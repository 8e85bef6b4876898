#!/bin/sh
# sqlite3: builds and queries a database of 300,000 rows, with memory maps and in WAL mode; the files must be
# equal.
. "$LZ_SRCDIR/tests/real/lib.sh"
need sqlite3 sqlite3
cat >"$work/body" <<'END'
exec sqlite3 data.db <<'SQL'
pragma mmap_size = 268435456;
pragma cache_size = -100000;
pragma journal_mode = wal;
create table t (id integer primary key, word text, number integer, payload blob);
with recursive n (i) as (select 1 union all select i + 1 from n where i < 300000)
insert into t select i, 'word' || (i * 7919 % 10007), i * 31 % 1009, zeroblob(i % 200) from n;
create index by_word on t (word, number);
select count(*), sum(number), sum(length(payload)) from t;
select word, count(*) c, sum(number) from t group by word order by c desc, word limit 10;
select count(*) from t a join t b on a.number = b.id where a.word like 'word1%';
select hex(substr(zeroblob(40000000), 39999990)), length(zeroblob(40000000));
update t set number = number + 1 where id % 3 = 0;
delete from t where id % 5 = 0;
vacuum;
pragma wal_checkpoint(truncate);
pragma integrity_check;
select sum(number), count(*) from t;
SQL
END
three 90
for way in default tiny; do
  cmp "$work/bare/data.db" "$work/$way/data.db" || fail "$way: the database differs"
done
was_preloaded
exit $failed

#!/bin/sh
# PostgreSQL on a socket of its own, as an unprivileged user: initdb, pgbench, sorts and hashes larger than
# the thresholds, parallel workers, a crash and its recovery.
. "$LZ_SRCDIR/tests/suites/lib.sh"
programs=
for directory in /usr/lib/postgresql/*/bin /usr/pgsql-*/bin; do
  [ ! -x "$directory/initdb" ] || programs=$directory
done
[ -n "$programs" ] || programs=$(dirname "$(command -v initdb)")
[ -x "$programs/initdb" ] && [ -x "$programs/pgbench" ] ||
  { echo 'skipped: PostgreSQL is missing (Debian package postgresql)'; exit 77; }
[ ${#work} -lt 80 ] || { echo "skipped: a socket's path may not be as long as $work"; exit 77; }
as_nobody=
if [ "$(id -u)" -eq 0 ]; then
  need setpriv util-linux
  as_nobody='setpriv --reuid 65534 --regid 65534 --clear-groups'
  chmod 777 "$work"
fi
scale=$(at_length 2 20)
transactions=$(at_length 100 2000)
export programs scale transactions

cat >"$work/server" <<'END'
PATH=$programs:$PATH
export PGHOST=$PWD PGUSER=tester PGDATABASE=postgres HOME=$PWD PGOPTIONS='-c client_min_messages=warning'
start() {
  postgres -D data -k "$PWD" -c listen_addresses= -c shared_buffers=160MB -c huge_pages=off -c fsync=off \
    -c work_mem=96MB -c maintenance_work_mem=128MB -c max_wal_size=256MB -c min_parallel_table_scan_size=0 \
    -c parallel_setup_cost=0 -c log_min_messages=warning >>server.log 2>&1 &
  server=$!
  for attempt in $(seq 600); do
    pg_isready -q && return
    kill -0 $server 2>/dev/null || break
    sleep 0.1
  done
  echo 'the server does not answer'
  cat server.log
  exit 1
}
ask() { psql -X -q -A -t -v ON_ERROR_STOP=1 "$@" || exit 1; }
trap 'kill -INT $server 2>/dev/null; wait' EXIT
initdb -D data -A trust -U tester -E UTF8 --locale=C --no-sync >initdb.log 2>&1 || { cat initdb.log; exit 1; }
start
pgbench -q -i -s $scale >pgbench.log 2>&1 || cat pgbench.log
pgbench -c 4 -j 2 -t $transactions --random-seed=7 >pgbench.log 2>&1 || cat pgbench.log
sed -n 's/^number of transactions actually processed/processed/p; s/^number of failed/failed/p' pgbench.log
ask <<'SQL'
select sum(abalance), count(*) from pgbench_accounts;
select sum(delta), count(*) from pgbench_history;
create table t as select i, i::bigint * 7919 % 1000003 as n, repeat('x', i % 50) as text from generate_series(1, 400000) i;
create index on t (n, text);
select md5(string_agg(n || text, ',' order by n desc, i)) from t;
select count(*), sum(a.n) from t a join t b on a.n = b.i;
select count(distinct text), count(distinct n), sum(length(text)) from t;
select length(repeat('y', 60000000)), md5(repeat('z', 50000000));
select n % 10, count(*), percentile_cont(0.5) within group (order by n) from t group by 1 order by 1;
delete from t where i % 3 = 0;
vacuum full t;
select count(*), sum(n) from t;
SQL
kill -INT $server
wait $server
echo "the server ended with $?"
start
ask -c 'select count(*), sum(n) from t'
ask -c 'update t set n = n + 1; checkpoint; update t set n = n + 1'
kill -QUIT $server
wait $server
echo "the server was made to crash: $?"
start
ask -c 'select count(*), sum(n) from t'
kill -INT $server
wait $server
echo "the server ended with $?"
grep -E 'PANIC|FATAL|lazyzero\[|terminated by signal|out of memory' server.log |
  grep -v -e 'due to administrator command' -e 'is starting up' -e 'not yet accepting' -e 'is shutting down' -e 'terminating connection because'
exit 0
END
cat >"$work/body" <<'END'
way=${PWD##*/}
[ "$(id -u)" -ne 0 ] || chown 65534:65534 .
exec $as_nobody sh ../server
END
export as_nobody
for way in bare default window; do run_way $way "$(at_length 120 600)" sh "$work/body"; done
ended_well
compare default
compare window
[ -z "$SUITES" ] || cat "$work/bare.output" "$work/bare.errors"
was_preloaded
exit $failed

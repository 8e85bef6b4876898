#!/bin/sh
# PostgreSQL whose backends scan one large buffer cache, bare and under `lazyzero run`, which makes the cache's blocks
# huge (LAZYZERO_SHARED): far fewer page tables, no more memory, the same results, a crash and recovery included. With
# SUITES=full 30 backends over 1.5 GB, and five rounds of each, whose times must not be longer.
. "$LZ_SRCDIR/tests/suites/lib.sh"
programs=
for directory in /usr/lib/postgresql/*/bin /usr/pgsql-*/bin; do
  [ ! -x "$directory/initdb" ] || programs=$directory
done
[ -n "$programs" ] || programs=$(dirname "$(command -v initdb)")
[ -x "$programs/initdb" ] && [ -x "$programs/pgbench" ] ||
  { echo 'skipped: PostgreSQL is missing (Debian package postgresql)'; exit 77; }
[ ${#work} -lt 80 ] || { echo "skipped: a socket's path may not be as long as $work"; exit 77; }
[ "$(getconf PAGESIZE)" = 4096 ] || { echo 'skipped: the figures are those of pages of 4 KiB'; exit 77; }
LAZYZERO_SHARED=huge LD_PRELOAD=$LZ_LIBRARY "$LZ_BUILDDIR/tests/probe/shared" huge 32 2>/dev/null | grep -qx '32 MiB huge' ||
  { echo 'skipped: huge pages of shared memory are not available here'; exit 77; }
as_nobody=
if [ "$(id -u)" -eq 0 ]; then
  need setpriv util-linux
  as_nobody='setpriv --reuid 65534 --regid 65534 --clear-groups'
  chmod 777 "$work"
fi
backends=$(at_length 8 30)
buffers=$(at_length 256 1536) # MiB
rows=$(at_length 150000 1200000)
rounds=$(at_length 1 5)
least=$(at_length 2 7) # times fewer page tables; 14 processes need 1.7 MiB anyway
PGHOST=$work PGUSER=tester PGDATABASE=postgres HOME=$work PGOPTIONS='-c client_min_messages=warning'
export PGHOST PGUSER PGDATABASE HOME PGOPTIONS
PATH=$programs:$PATH
group=
server=
clean_up() {
  kill -INT $(head -n 1 "$work/data/postmaster.pid" 2>/dev/null) 2>/dev/null
  [ -z "$server" ] || wait "$server"
  [ -z "$group" ] || rmdir "$group" 2>/dev/null
  rm -rf "$work"
}
trap clean_up EXIT

ask() { psql -X -q -A -t -v ON_ERROR_STOP=1 "$@"; }

# start COMMAND...: starts the server by the command, in a control group of its own if there can be one.
start() {
  for parent in /sys/fs/cgroup/memory /sys/fs/cgroup; do
    group=$parent/lazyzero-suite.$$
    mkdir "$group" 2>/dev/null && break
    group=
  done
  (cd "$work" && { [ -z "$group" ] || sh -c 'echo $PPID >"$0/cgroup.procs"' "$group"; } &&
    exec $as_nobody "$@" postgres -D data -k "$work" -c listen_addresses= -c shared_buffers=${buffers}MB -c huge_pages=off \
      -c fsync=off -c autovacuum=off -c max_parallel_workers_per_gather=0 -c log_min_messages=warning) >>"$work/server.log" 2>&1 &
  server=$!
  for attempt in $(seq 600); do
    pg_isready -q && return
    kill -0 $server 2>/dev/null || break
    sleep 0.1
  done
  echo 'FAILED: the server does not answer'
  tail "$work/server.log"
  exit 1
}

# stop SIGNAL
stop() {
  kill -"$1" "$(head -n 1 "$work/data/postmaster.pid")"
  wait $server
  server=
  [ -z "$group" ] || rmdir "$group"
  group=
}

# The page tables of the server and its children, KiB.
page_tables() {
  postmaster=$(head -n 1 "$work/data/postmaster.pid")
  for pid in $postmaster $(ps -o pid= --ppid "$postmaster"); do
    sed -n 's/^VmPTE:[[:space:]]*\([0-9]*\).*/\1/p' "/proc/$pid/status" 2>/dev/null
  done | awk '{ sum += $1 } END { print sum + 0 }'
}

memory_in_use() {
  cat "$group/memory.usage_in_bytes" "$group/memory.current" 2>/dev/null | awk '{ print int($1 / 1048576) }'
}

now_ms() { date +%s%3N; }
pgbench_ms() { pgbench -n -c 4 -j 2 -t "$1" --random-seed=7 2>/dev/null | sed -n 's/^latency average = \([0-9.]*\) ms$/\1/p'; }

# measure WAY ROUND COMMAND...: writes the figures to $work/WAY.ROUND, the results to $work/WAY.results.ROUND.
measure() {
  way=$1
  round=$2
  shift 2
  start "$@"
  ask -c "select pg_prewarm('big') > 0" >/dev/null
  began=$(now_ms)
  clients=
  for i in $(seq $backends); do
    ask -c 'select count(*), sum(i), min(length(t)), md5(string_agg(left(t, 1), $$$$ order by i)) from big where i % 100 < 3' \
      -c 'select count(*) from big' -c 'select 1' -c 'select pg_sleep(600)' >"$work/out.$i" 2>&1 &
    clients="$clients $!"
  done
  for i in $(seq $backends); do until grep -qx 1 "$work/out.$i"; do sleep 0.05; done; done
  scan=$(($(now_ms) - began))
  # Within 30 s.
  best=$(page_tables)
  for second in $(seq 30); do
    tables=$(page_tables)
    [ "$tables" -ge "$best" ] || best=$tables
    [ "$way" != bare ] || break
    [ "$best" -gt $(($(cat "$work/bare.tables" 2>/dev/null || echo 0) / least)) ] || break
    sleep 1
  done
  memory=$(memory_in_use)
  kill $clients 2>/dev/null
  wait $clients 2>/dev/null
  latency=$(pgbench_ms "$(at_length 200 2000)")
  ask -c 'select sum(abalance), count(*) from pgbench_accounts' -c 'select sum(delta), count(*) from pgbench_history' \
    >"$work/$way.results.$round"
  sort -u "$work"/out.* >>"$work/$way.results.$round"
  [ "$way" != bare ] || echo "$best" >"$work/bare.tables"
  stop QUIT
  start "$@"
  ask -c 'select sum(abalance), count(*) from pgbench_accounts' -c 'truncate pgbench_history' \
    -c 'update pgbench_accounts set abalance = 0 where abalance <> 0' -c 'select count(*), sum(i) from big' >>"$work/$way.results.$round"
  stop INT
  echo "$scan $best ${memory:-0} $latency" >"$work/$way.$round"
}

# median WAY COLUMN
median() { cat "$work/$1".[0-9]* | awk -v n="$2" '{ print $n }' | sort -n | awk '{ a[NR] = $1 } END { print a[int((NR + 1) / 2)] }'; }
# at_most WHAT LZ BARE FACTOR: fails if LZ > BARE * FACTOR.
at_most() {
  echo "$1: bare $3, lazyzero $2"
  awk -v a="$2" -v b="$3" -v f="$4" 'BEGIN { exit !(a <= b * f) }' || fail "$1: $2, more than $4 of bare ($3)"
}

(cd "$work" && $as_nobody initdb -D data -A trust -U tester -E UTF8 --locale=C --no-sync) >"$work/initdb.log" 2>&1 ||
  { cat "$work/initdb.log"; exit 1; }
start env
ask -c 'create extension pg_prewarm' 2>"$work/errors" || { echo 'skipped: pg_prewarm is missing'; exit 77; }
ask -c "create table big as select i, repeat(md5(i::text), 30) t from generate_series(1, $rows) i" -c 'vacuum freeze analyze big' &&
  pgbench -q -i -s "$(at_length 2 10)" 2>/dev/null
stop INT
for round in $(seq $rounds); do
  measure bare "$round" env
  measure lazyzero "$round" "$LZ_COMMAND" run --library="$LZ_LIBRARY" --
  cmp -s "$work/bare.results.$round" "$work/lazyzero.results.$round" ||
    { fail 'the results differ'; diff "$work/bare.results.$round" "$work/lazyzero.results.$round" | head; }
done
at_most 'page tables, KiB' "$(median lazyzero 2)" "$(median bare 2)" "$(awk -v n="$least" 'BEGIN { print 1 / n }')"
if [ "$(median bare 3)" -gt 0 ]; then at_most 'memory of the control group, MiB' "$(median lazyzero 3)" "$(median bare 3)" 1.1; fi
# One round says nothing about times.
slower=$(at_length 3 1.05)
at_most 'the scans, ms' "$(median lazyzero 1)" "$(median bare 1)" "$slower"
at_most 'pgbench, ms a transaction' "$(median lazyzero 4)" "$(median bare 4)" "$slower"
grep -h 'made huge\|attempts\{0,1\} failed' "$work/server.log"
grep -q 'made huge' "$work/server.log" || fail 'nothing was made huge'
grep -E 'PANIC|out of memory|could not|lazyzero\[' "$work/server.log" && fail 'the log of the server'
exit $failed

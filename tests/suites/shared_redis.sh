#!/bin/sh
# Redis under `lazyzero run`: it has no large shared memory, so it gives the same replies, saves in the background (fork) as it
# does bare, and nothing of it is made huge.
. "$LZ_SRCDIR/tests/suites/lib.sh"
need redis-server redis-server
need redis-cli redis-tools
cat >"$work/body" <<'END'
socket=$PWD/socket
way=$1
shift
"$@" redis-server --port 0 --unixsocket "$socket" --save '' --dir "$PWD" --daemonize no --appendonly no \
  --activedefrag no >server.log 2>&1 &
server=$!
trap 'redis-cli -s "$socket" shutdown nosave >/dev/null 2>&1; wait $server' EXIT
for attempt in $(seq 200); do
  [ "$(redis-cli -s "$socket" ping 2>/dev/null)" = PONG ] && break
  sleep 0.1
done
ask() { redis-cli -s "$socket" "$@"; }
ask ping
ask setrange text 60000000 end
ask eval 'for i = 1, 100000 do redis.call("set", "key:" .. i, string.rep("x", 100 + i % 400)) end return redis.call("dbsize")' 0
ask bgsave
for attempt in $(seq 400); do
  ask info persistence | grep -q 'rdb_bgsave_in_progress:0' && break
  sleep 0.05
done
ask info persistence | tr -d '\r' | grep rdb_last_bgsave_status
ask eval 'local s = 0; for i = 1, 100000 do s = s + redis.call("strlen", "key:" .. i) end return s' 0
sleep 1
# What the kernel and lazyzero know of huge shared pages in it.
pid=$(ask info server | tr -d '\r' | sed -n 's/^process_id://p')
grep -E '^(ShmemPmdMapped|ShmemHugePages|FilePmdMapped):' "/proc/$pid/smaps_rollup"
grep -c 'lazyzero-shared' "/proc/$pid/maps"
redis-check-rdb dump.rdb 2>/dev/null | grep -o 'RDB looks OK.*'
ask shutdown nosave
wait $server
echo "the server ended with $?"
trap - EXIT
exit 0
END
for way in bare run; do
  mkdir "$work/$way"
  if [ $way = run ]; then set -- "$LZ_COMMAND" run --library="$LZ_LIBRARY" --; else set -- env; fi
  (cd "$work/$way" && timeout 200 sh "$work/body" $way "$@" >"../$way.output" 2>"../$way.errors")
  echo "status $?" >>"$work/$way.output"
done
ended_well
compare run
grep -q 'lazyzero: .*redis-server' "$work/run/server.log" || grep -q '^lazyzero' "$work/run/server.log" ||
  { fail 'lazyzero run prints no summary: was it there?'; tail -n 5 "$work/run/server.log"; }
! grep 'made huge\|attempts\{0,1\} failed' "$work/run/server.log" || fail 'something of Redis was made huge'
exit $failed

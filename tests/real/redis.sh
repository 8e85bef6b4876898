#!/bin/sh
# redis-server on a socket of its own: it contains jemalloc and calls malloc_usable_size on malloc's blocks.
# Loaded with redis-benchmark, checked with redis-cli, saved in the background (fork), restarted from the
# saved data.
. "$LZ_SRCDIR/tests/real/lib.sh"
need redis-server redis-server
need redis-cli redis-tools
need redis-benchmark redis-tools
cat >"$work/body" <<'END'
socket=$PWD/socket
start() {
  redis-server --port 0 --unixsocket "$socket" --save '' --dir "$PWD" --daemonize no --appendonly no \
    --activedefrag no >>server.log 2>&1 &
  server=$!
  for attempt in $(seq 100); do
    [ "$(redis-cli -s "$socket" ping 2>/dev/null)" = PONG ] && return
    sleep 0.1
  done
  echo "the server does not answer"
  cat server.log
  exit 1
}
ask() { redis-cli -s "$socket" "$@"; }
trap 'kill $server 2>/dev/null' EXIT
start
redis-benchmark -s "$socket" -q -n 20000 -c 20 -P 16 -d 2000 -r 5000 \
  -t set,get,incr,lpush,hset,zadd >benchmark 2>&1 ||
  { echo "redis-benchmark failed"; cat benchmark; }
ask flushall
for key in 1 2 3; do
  ask setbit bits$key $((key * 300000000)) 1
  ask bitcount bits$key
done
ask setrange text 40000000 end
ask strlen text
ask append text more
ask getrange text 39999998 40000010
ask eval 'for i = 1, 50000 do redis.call("hset", "hash", i, string.rep("x", i % 100)) end
  return redis.call("hlen", "hash")' 0
ask eval 'for i = 1, 50000 do redis.call("zadd", "set", i % 1000, "m" .. i) end
  return redis.call("zcard", "set")' 0
ask eval 'return redis.sha1hex(table.concat(redis.call("zrange", "set", 0, 2000), ","))' 0
# Saved twice while clients write: pages are copied in parent and child.
for save in 1 2; do
  redis-benchmark -s "$socket" -q -n 10000 -c 10 -P 16 -d 3000 -r 3000 -t set,lpush >load 2>&1 &
  load=$!
  sleep 0.1
  ask bgsave
  for attempt in $(seq 400); do
    ask info persistence | grep -q 'rdb_bgsave_in_progress:0' && break
    sleep 0.05
  done
  ask info persistence | tr -d '\r' | grep rdb_last_bgsave_status
  wait $load || cat load
done
ask eval 'for _, key in ipairs(redis.call("keys", "key:*")) do redis.call("del", key) end
  return redis.call("del", "mylist")' 0
ask memory doctor >/dev/null
ask memory usage hash samples 0 >/dev/null
ask del bits1
ask memory purge
ask dbsize
ask shutdown save
wait $server
echo "the server ended with $?"
start
ask dbsize
ask bitcount bits3
ask strlen text
ask zscore set m777
kill $server
wait $server
echo "the server ended with $?"
grep -c 'crashed by signal' server.log
exit 0
END
three 90
was_preloaded
exit $failed

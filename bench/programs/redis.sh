#!/bin/sh
# redis-server under the allocator in question, loaded by redis-benchmark, which runs bare: only the server is
# preloaded, through BENCH_ENVIRONMENT. It listens on a socket in the current directory and on no port.
#
#   redis.sh REQUESTS        prints {"seconds": ...}, of the load alone
socket=$PWD/socket
rm -f "$socket"
env $BENCH_ENVIRONMENT redis-server --port 0 --unixsocket "$socket" --save '' --appendonly no --daemonize no \
  --dir "$PWD" >/dev/null 2>&1 &
server=$!
trap 'kill $server 2>/dev/null' EXIT
tries=0
until [ "$(redis-cli -s "$socket" ping 2>/dev/null)" = PONG ]; do
  tries=$((tries + 1))
  [ $tries -lt 100 ] || { echo "redis-server does not answer on $socket" >&2; exit 1; }
  kill -0 $server 2>/dev/null || { echo "redis-server ended at its start" >&2; exit 1; }
  sleep 0.05
done
start=$(date +%s.%N)
redis-benchmark -s "$socket" -q -n "$1" -c 20 -P 16 -d 1000 -r 10000 -t set,get,incr,lpush,hset >/dev/null 2>&1 ||
  { echo "redis-benchmark failed" >&2; exit 1; }
end=$(date +%s.%N)
kill $server
wait $server
echo "$start $end" | awk '{ printf "{\"seconds\": %.6f}\n", $2 - $1 }'

#!/bin/sh
# nginx with two workers on loopback: large and small files fetched plain and compressed, load from wrk, a
# reload of its configuration under that load, a clean exit.
. "$LZ_SRCDIR/tests/suites/lib.sh"
need nginx nginx-light
need wrk wrk
need python3 python3
seconds=$(at_length 1 5)
export seconds

mkdir "$work/www"
awk 'BEGIN { for (i = 0; i < 1000000; i++) print i * 7919 % 1000003, "some text" }' >"$work/www/large.txt"
head -c 50000000 /dev/zero >"$work/www/zeros"
echo small >"$work/www/small.txt"
chmod -R a+rX "$work/www"

cat >"$work/fetch.py" <<'END'
import hashlib
import sys
import urllib.request

for name in ("small.txt", "large.txt", "zeros", "missing"):
    for encoding in ("identity", "gzip"):
        request = urllib.request.Request(sys.argv[1] + name, headers={"Accept-Encoding": encoding})
        try:
            with urllib.request.urlopen(request) as answer:
                content = answer.read()
                print(name, answer.status, answer.headers.get("Content-Encoding"), len(content),
                    hashlib.sha256(content).hexdigest())
        except urllib.error.HTTPError as error:
            print(name, error.code)
END
cat >"$work/body" <<'END'
mkdir -p logs
for port in $(seq $((20000 + $$ % 20000)) 40100); do
  cat >nginx.conf <<CONF
daemon off;
$([ "$(id -u)" -ne 0 ] || echo user root root\;)
worker_processes 2;
pid nginx.pid;
error_log logs/error.log;
events { worker_connections 256; }
http {
  access_log off;
  client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3; uwsgi_temp_path t4; scgi_temp_path t5;
  gzip on; gzip_types text/plain; gzip_comp_level 5; gzip_buffers 4 16m;
  output_buffers 2 48m;
  sendfile off;
  server { listen 127.0.0.1:$port; root ../www; }
}
CONF
  nginx -p "$PWD" -e logs/error.log -c nginx.conf 2>start.log &
  server=$!
  for attempt in $(seq 50); do
    python3 -c "import socket; socket.create_connection(('127.0.0.1', $port))" 2>/dev/null && kill -0 $server && break 2
    kill -0 $server 2>/dev/null || break
    sleep 0.1
  done
  wait $server
  grep -q 'Address already in use' start.log logs/error.log || { echo 'nginx does not start'; cat start.log logs/error.log; exit 1; }
done
trap 'kill $server 2>/dev/null' EXIT
python3 ../fetch.py http://127.0.0.1:$port/
wrk -t 2 -c 20 -d ${seconds}s http://127.0.0.1:$port/large.txt >wrk.log 2>&1 &
load=$!
sleep 0.5
kill -HUP $server
wait $load || { echo "wrk failed"; cat wrk.log; }
grep -E 'Non-2xx' wrk.log
grep -q 'Requests/sec: *[1-9]' wrk.log || { echo 'nothing was served'; cat wrk.log; }
wrk -t 2 -c 20 -d ${seconds}s http://127.0.0.1:$port/small.txt >wrk.log 2>&1
grep -E 'Non-2xx|Socket errors' wrk.log
python3 ../fetch.py http://127.0.0.1:$port/
kill -QUIT $server
wait $server
echo "nginx ended with $?"
trap - EXIT
grep -E '\[(alert|emerg|crit)\]|exited on signal|lazyzero\[' logs/error.log start.log | sed 's/.*\] //'
exit 0
END
for way in bare default window; do run_way $way 120 sh "$work/body"; done
ended_well
compare default
compare window
was_preloaded
exit $failed

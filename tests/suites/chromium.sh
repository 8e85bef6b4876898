#!/bin/sh
# chromium, headless, with a test page: compares the document with the results of its script, and the picture
# pixel by pixel.
. "$LZ_SRCDIR/tests/suites/lib.sh"
browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome)
[ -n "$browser" ] || { echo 'skipped: chromium is missing (Debian package chromium)'; exit 77; }
cat >"$work/page.html" <<'END'
<!doctype html>
<meta charset="utf-8">
<title>waiting</title>
<style>body { margin: 0; font: 20px monospace; background: linear-gradient(#135, #9bd) }</style>
<canvas id="c" width="400" height="300"></canvas>
<pre id="out"></pre>
<script>
const memory = new WebAssembly.Memory({ initial: 1600 });
const bytes = new Uint8Array(memory.buffer);
for (let i = 0; i < 1e6; i++) bytes[(i * 7919) % bytes.length] += i;
const numbers = new Float64Array(16e6);
for (let i = 0; i < 1e5; i++) numbers[(i * 104729) % numbers.length] += i / 3;
const map = new Map();
for (let i = 0; i < 2e5; i++) map.set("key" + i, "x".repeat(i % 40));
let length = 0;
for (const v of map.values()) length += v.length;
const context = document.getElementById("c").getContext("2d", { willReadFrequently: true });
for (let i = 0; i < 200; i++) {
  context.fillStyle = `rgb(${i}, ${255 - i}, ${(i * 7) % 256})`;
  context.fillRect((i * 37) % 380, (i * 53) % 280, 20, 20);
}
let pixels = 0;
for (const v of context.getImageData(0, 0, 400, 300).data) pixels = (pixels * 31 + v) >>> 0;
document.getElementById("out").textContent = [bytes.reduce((a, b) => (a * 3 + b) >>> 0, 0), numbers.reduce((a, b) => a + b),
  length, pixels].join("\n");
document.title = "done";
</script>
END
cat >"$work/body" <<'END'
options='--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
--disable-component-update --disable-sync --virtual-time-budget=10000 --hide-scrollbars'
# Its processes share memory in /dev/shm, where there is room for it.
[ -n "$with_shm" ] || options="$options --disable-dev-shm-usage"
rm -rf profile
$browser $options --user-data-dir="$PWD/profile" --dump-dom "file://$PWD/../page.html" 2>dump.log || { echo 'dump-dom failed'; tail -5 dump.log; }
rm -rf profile
$browser $options --user-data-dir="$PWD/profile" --window-size=640,480 --screenshot="$PWD/picture.png" "file://$PWD/../page.html" >shot.log 2>&1 ||
  { echo 'screenshot failed'; tail -5 shot.log; }
cksum <picture.png
grep -h 'lazyzero\[' dump.log shot.log
rm -rf profile
exit 0
END
export browser HOME="$work" XDG_RUNTIME_DIR="$work"
for way in bare default window; do run_way $way 120 sh "$work/body"; done
ended_well
grep -q '<title>done</title>' "$work/bare.output" || { fail 'the bare run did not draw the page'; tail -n 20 "$work/bare.output"; }
compare default
compare window
# Under `lazyzero run`, which makes the shared memory of its processes huge as it fills.
if [ "$(df -Pk /dev/shm 2>/dev/null | awk 'END { print $4 + 0 }')" -ge 262144 ]; then with_shm=1; fi
export with_shm
run_way bare 120 sh "$work/body"
mkdir -p "$work/run"
(cd "$work/run" && timeout 240 "$LZ_COMMAND" run --library="$LZ_LIBRARY" -- sh "$work/body" >../run.output 2>../run.errors)
echo "status $?" >>"$work/run.output"
grep -q 'exited with status 0' "$work/run.errors" || { fail 'lazyzero run prints no summary'; tail -n 5 "$work/run.errors"; }
same 'under lazyzero run' bare.output run.output
was_preloaded
exit $failed

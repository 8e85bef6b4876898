#!/bin/sh
# The HTML page of `report` in chromium, headless: a report of 1,000 sites with stacks of 20 frames. Its size, its
# layout on a desktop and on a phone, and its colours: what catches the eye is the waste.
. "$LZ_SRCDIR/tests/suites/lib.sh"
browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome)
[ -n "$browser" ] || { echo 'skipped: chromium is missing (Debian package chromium)'; exit 77; }
need python3 python3
export HOME="$work" XDG_RUNTIME_DIR="$work"

# Each site: 60% never touched, 10% written with zeros, 10% only read, 20% written with data.
python3 - "$work/report" <<'END' || exit 1
import json, sys
KIND = {"pid": 100, "start_time": 5}
lines = [{"lazyzero_report": 1, **KIND, "executable": "server", "reason": "exit", "geometry": "x86-64", "page": 4096, "alive": 300,
          "left_out": 0, "memset_bytes": 0, "memset_written": 0},
         {"module": 0, "pid": 100, "path": "/usr/bin/server", "inode": 1, "deleted": False, "build_id": ""}]
lines += [{"python": i, "pid": 100, "file": f"/srv/application/module_{i % 20}/file_{i}.py",
           "function": f"SomeClass.some_long_method_name_{i}", "line": i} for i in range(2000)]
def usage(size):
    return {"regions": 1, "bytes": size, "written": size * 3 // 10, "written_zero": size // 10, "zero": size // 10,
            "untouched": size * 6 // 10, "tables": size // 512, "window_tables": size // 2048, "full_tables": size // 512,
            "backing": "zeropage"}
digits = "0123456789876543210" * 3
for i in range(300):
    lines.append({"region": (127 << 40) + (i << 30), "pid": 100, "site": 2 + i, **usage(1 << 28), "map_written": digits,
                  "map_zero": "0" * len(digits)})
for i in range(1000):
    size = (1 + i % 97) << 22
    lines.append({"site": 2 + i, "pid": 100, "call": "calloc", "module": 0, "offset": 64 * i, "stack": [[0, 64 * i, 20]],
                  "python": [(i * 7 + depth * 13) % 2000 if depth < 12 else (i >> (20 - depth)) % 2000 for depth in range(20)],
                  "count": 1, "asked": size, "peak": size, "alive": 0, **usage(size), "freed": size,
                  "freed_written": digits, "freed_zero": "0" * len(digits)})
lines.append({"end": len(lines), "pid": 100})
with open(sys.argv[1], "w") as file:
    file.writelines(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)
END
"$LZ_COMMAND" report --html="$work/page.html" "$work/report" >/dev/null || fail "no page: status $?"
size=$(wc -c <"$work/page.html")
[ "$size" -lt 1000000 ] || fail "the page has $size bytes"
grep -q 'narrow frames' "$work/page.html" || fail 'no narrow frames were merged'
grep -q '<svg class="flame"' "$work/page.html" || fail 'no flame graph'

cat >"$work/frame.html" <<'END'
<!DOCTYPE html><body style="margin:0"><iframe id="f" src="page.html" style="border:0;height:3000px"></iframe><p id="o"></p>
<script>
var widths = [320, 390, 1280], out = [], f = document.getElementById("f");
f.onload = function () {
  var inside = f.contentDocument, graph, last;
  widths.forEach(function (w) {
    f.style.width = w + "px";
    out.push(w + ":" + (inside.documentElement.scrollWidth <= w));
  });
  graph = inside.querySelector(".flame");
  last = Math.max.apply(null, Array.from(graph.querySelectorAll("rect"), r => r.getBBox().x + r.getBBox().width));
  out.push("rows:" + graph.viewBox.baseVal.height / 18, "inside:" + (last <= 1000 && last > 990));
  document.getElementById("o").textContent = out.join(" ");
};
</script>
END
chrome() {
  rm -rf "$work/profile"
  timeout 120 "$browser" --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking \
    --disable-component-update --disable-sync --disable-dev-shm-usage --hide-scrollbars --virtual-time-budget=10000 \
    --user-data-dir="$work/profile" "$@" 2>"$work/browser.log"
}
chrome --allow-file-access-from-files --dump-dom "file://$work/frame.html" >"$work/dom"
grep -q '320:true 390:true 1280:true rows:[1-9][0-9]* inside:true' "$work/dom" ||
  { fail 'the layout'; grep -o '<p id="o">.*' "$work/dom"; tail -n 5 "$work/browser.log"; }

# In the picture, pixels of the colours of waste are more than those of data, and the brightest are those of waste.
cat >"$work/colours.py" <<'END'
import struct, sys, zlib
data = open(sys.argv[1], "rb").read()
assert data[:8] == b"\x89PNG\r\n\x1a\n"
at, packed = 8, b""
while at < len(data):
    length, kind = struct.unpack(">I4s", data[at:at + 8])
    if kind == b"IHDR":
        width, height, depth, colour = struct.unpack(">IIBB", data[at + 8:at + 18])
    if kind == b"IDAT":
        packed += data[at + 8:at + 8 + length]
    at += length + 12
assert depth == 8 and colour in (2, 6), (depth, colour)
size = 3 if colour == 2 else 4
raw, stride = zlib.decompress(packed), width * size
before, counts = bytearray(stride), {}
for y in range(height):
    kind, row = raw[y * (stride + 1)], bytearray(raw[y * (stride + 1) + 1:(y + 1) * (stride + 1)])
    for i in range(stride):
        left, up, corner = (row[i - size] if i >= size else 0), before[i], (before[i - size] if i >= size else 0)
        if kind == 1:
            row[i] = (row[i] + left) & 255
        elif kind == 2:
            row[i] = (row[i] + up) & 255
        elif kind == 3:
            row[i] = (row[i] + (left + up) // 2) & 255
        elif kind == 4:
            guess = left + up - corner
            near = min((abs(guess - left), 0, left), (abs(guess - up), 1, up), (abs(guess - corner), 2, corner))[2]
            row[i] = (row[i] + near) & 255
    before = row
    for i in range(0, stride, size):
        pixel = tuple(row[i:i + 3])
        counts[pixel] = counts.get(pixel, 0) + 1
strong = {pixel: count for pixel, count in counts.items() if max(pixel) - min(pixel) > 90}
most = max(strong, key=strong.get)
untouched = (0xee, 0x6a, 0x2c)
written = (0xbc, 0xca, 0xd6) if sys.argv[2] == "light" else (0x71, 0x84, 0x9a)
assert most == untouched, (most, strong[most])
assert counts[untouched] > 2 * counts.get(written, 0) > 0, (counts[untouched], counts.get(written))
background = max(counts, key=counts.get)
assert (sum(background) > 600) == (sys.argv[2] == "light"), background
END
for scheme in light dark; do
  dark=
  [ $scheme = light ] || dark='--force-dark-mode --blink-settings=preferredColorScheme=0'
  chrome $dark --window-size=1000,900 --screenshot="$work/$scheme.png" "file://$work/page.html" >/dev/null
  python3 "$work/colours.py" "$work/$scheme.png" $scheme || fail "the colours, $scheme"
done
exit $failed

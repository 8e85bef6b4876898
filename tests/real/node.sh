#!/bin/sh
# node: a large heap, large typed arrays, workers, a WebAssembly memory.
. "$LZ_SRCDIR/tests/real/lib.sh"
need node nodejs
cat >"$work/program.js" <<'END'
const { Worker, isMainThread, parentPort } = require("worker_threads");
const zlib = require("zlib");
const crypto = require("crypto");

function work(seed) {
  const numbers = new Float64Array(8e6);
  for (let i = 0; i < 1e5; i++) numbers[(i * 7919 + seed) % numbers.length] += i;
  const map = new Map();
  for (let i = 0; i < 3e5; i++) map.set("key" + i, { i, text: "x".repeat(i % 50) });
  let length = 0;
  for (const v of map.values()) length += v.text.length;
  return [numbers.reduce((a, b) => a + b), length];
}

if (isMainThread) {
  const zeros = Buffer.alloc(200e6);
  for (let i = 0; i < 1000; i++) zeros[i * 199999] = i;
  const memory = new WebAssembly.Memory({ initial: 16, maximum: 32768 });
  memory.grow(1600);
  new Uint8Array(memory.buffer)[100e6] = 7;
  const packed = zlib.gzipSync(zeros.subarray(0, 20e6));
  console.log(work(0), crypto.createHash("sha256").update(zeros).digest("hex"), packed.length,
    zlib.gunzipSync(packed).equals(zeros.subarray(0, 20e6)), memory.buffer.byteLength);
  const results = [];
  for (let n = 1; n <= 2; n++) {
    const worker = new Worker(__filename);
    worker.on("message", (m) => results.push(JSON.stringify(m)));
    worker.on("exit", (code) => results.push("ended with " + code));
  }
  process.on("exit", () => console.log(results.sort()));
} else {
  parentPort.postMessage(work(1));
}
END
cat >"$work/body" <<'END'
exec node ../program.js
END
three 60
was_preloaded
exit $failed

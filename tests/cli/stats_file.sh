# Statistics files that are truncated, of another version or hostile are rejected by name.
. "${LZ_SRCDIR:-.}/tests/cli/lib.sh"
command -v python3 > /dev/null || { echo "skipped: no python3"; exit 77; }

mkdir "$work/stats"
WIRE_H=${LZ_SRCDIR:-.}/include/lazyzero/wire.h PYTHONPATH=${LZ_SRCDIR:-.}/tests/cli PYTHONDONTWRITEBYTECODE=1
export WIRE_H PYTHONPATH PYTHONDONTWRITEBYTECODE
cat > "$work/make.py" <<'END'
"""Writes statistics files of any content: python3 make.py DIRECTORY SEED."""
import random, sys
from stats_file import *

write(sys.argv[1], 1, wire())
write(sys.argv[1], 2, wire(version=VERSION + 98))
write(sys.argv[1], 3, wire(size=8))
write(sys.argv[1], 4, wire(size=1 << 31))
write(sys.argv[1], 5, wire(magic=b"NOTSTATS"))
write(sys.argv[1], 6, wire()[:200])
write(sys.argv[1], 7, b"")
write(sys.argv[1], 8, wire(executable=b"\x1b[31m" * 13, source=b"%n%s\n" * 13))
write(sys.argv[1], 9, wire(pid=(1 << 64) - 1, start=(1 << 64) - 1, state=77))
random.seed(int(sys.argv[2]))
for name in range(100, 400):
    content = bytearray(wire() if random.random() < 0.9 else random.randbytes(4096))
    for _ in range(random.choice((1, 4, 64))):
        content[random.randrange(random.choice((16, 40, 280, 4096)))] = random.randrange(256)
    write(sys.argv[1], name, content[:random.choice((4096, 4096, 280, 100, random.randrange(4097)))])
END
seed=$(date +%s)
echo "seed $seed"
python3 "$work/make.py" "$work/stats" "$seed" || fail "the files could not be created"
mkfifo "$work/stats/lazyzero.10"
ln -s lazyzero.1 "$work/stats/lazyzero.11"
mkdir "$work/stats/lazyzero.12"
: > "$work/stats/lazyzero.13x"

run stat --stats="$work/stats"
expect "status" 0 "$status"
for case in "2: its layout has another version" "3: its layout has another size" "4: its layout has another size" \
	"5: it is not a statistics file" "6: it is too short" "7: it is too short" "10: it is not a regular file" \
	"12: it is not a regular file"; do
	expect_match "$case" "^lazyzero: lazyzero\\.$case\$" "$work/err"
done
expect_match "a link is not followed" '^lazyzero: lazyzero\.11: ' "$work/err"
expect_no_match "a file with another name is ignored" '13x' "$work/err"
expect_match "the valid file" '^ *1 .* prog (gone)$' "$work/out"
expect "no control characters in the output" "" "$(LC_ALL=C tr -d '\n -~' < "$work/out")"
run stat --stats="$work/stats" --json
expect "status with --json" 0 "$status"
python3 -c 'import json, sys; json.load(open(sys.argv[1]))' "$work/out" || fail "--json"
expect "no file is removed" 313 "$(ls "$work/stats" | wc -l | tr -d ' ')"
run stat --stats="$work/stats/lazyzero.1"
expect_match "a single file" ' prog (gone)$' "$work/out"
run stat --stats="$work/stats/lazyzero.2"
expect_match "a single file of another version" 'its layout has another version$' "$work/err"

finish

# `run`: exit statuses, the environment of the program, closed descriptors, failures of the command.
. "${LZ_SRCDIR:-.}/tests/cli/lib.sh"

run run true
expect "status 0 is returned" 0 "$status"
run run -- sh -c 'exit 3'
expect "status 3 is returned" 3 "$status"
run run sh -c 'exit 255'
expect "status 255 is returned" 255 "$status"
run run printf '%s|' --budget=1M --help -- x
expect "flags after the program are its arguments" "--budget=1M|--help|--|x|" "$(cat "$work/out")"
run run --summary=none -- printf '%s|' --
expect "the first -- is removed" "--|" "$(cat "$work/out")"

for summary in text none; do
	expect_failure 127 "^lazyzero: cannot run 'no-such-program': not found in PATH$" run --summary=$summary no-such-program
	expect_failure 127 "No such file" run --summary=$summary "$work/none"
	expect_failure 127 "not found in PATH" run --summary=$summary ""
	expect_failure 126 "Permission denied" run --summary=$summary "$work"
	: > "$work/plain"
	expect_failure 126 "Permission denied" run --summary=$summary "$work/plain"
	printf '#!%s\n' "$work/no-interpreter" > "$work/script"
	chmod +x "$work/script"
	expect_failure 127 "the interpreter or dynamic loader that it names does not exist" run --summary=$summary "$work/script"
	run run --summary=$summary sh -c 'exit 7'
	expect "status with summary $summary" 7 "$status"
done
expect_no_match "no summary of a program that cannot be executed" "page tables" "$work/err"
printf 'exit 9\n' > "$work/bare"
chmod +x "$work/bare"
run run "$work/bare"
expect "a script without #! is run by the shell, as by env" 9 "$status"

# Every flag sets its variable for the program, as --flag=value and --flag value.
while IFS='=' read -r flag value; do
	variable=LAZYZERO_$(echo "$flag" | tr a-z- A-Z_)
	run run --summary=none "--$flag=$value" sh -c 'eval "printf %s \"\$'"$variable"'\""'
	expect "--$flag=$value" "$value" "$(cat "$work/out")"
	run run --summary=none "--$flag" "$value" sh -c 'eval "printf %s \"\$'"$variable"'\""'
	expect "--$flag $value" "$value" "$(cat "$work/out")"
done <<'END'
threshold=2M
malloc-threshold=64M
budget=12.5%
policy=refuse
backing=zeropage
thp=never
populate=read
intercept=calloc,mmap
only=a:b c
log=none
log-format=json
stats=
disable=1
END
run run --summary=none sh -c 'env | grep ^LAZYZERO_'
expect "no variable without a flag" "" "$(cat "$work/out")"
run run --budget=1M --budget=2M --summary=none sh -c 'echo $LAZYZERO_BUDGET'
expect "the last of several flags is used" 2M "$(cat "$work/out")"

expect_failure 125 '^lazyzero: --budget: "-3" is not accepted: it takes a size such as' run --budget -3 true
expect_failure 125 '"101%" is not accepted' run --budget=101% true
expect_failure 125 '"ref" is not accepted: it takes log or refuse' run --policy=ref true
expect_failure 125 '"0" is not accepted' run --threshold=0 true
expect_failure 125 '"" is not accepted' run --threshold= true
expect_failure 125 '"true" is not accepted: it takes 0 or 1' run --disable true
expect_failure 125 '"malloc,mmmap" is not accepted' run --intercept=malloc,mmmap true
expect_failure 125 '"xml" is not accepted: it takes text, json or none' run --summary=xml true
expect_failure 125 'needs a value: a size' run --threshold
expect_failure 125 "cannot read the library '/nowhere': No such file" run --library=/nowhere true
newline='/no
where'
expect_failure 125 "cannot read the library '/no.x0awhere': No such file" run --library="$newline" true

# LD_PRELOAD.
run run --summary=none sh -c 'echo $LD_PRELOAD'
first=$(cat "$work/out")
expect_match "the library is preloaded" '^/.*/liblazyzero\.so' "$work/out"
status=0
(LD_PRELOAD=libm.so.6; export LD_PRELOAD; run run --summary=none sh -c 'echo $LD_PRELOAD')
expect "the library precedes another" "$first:libm.so.6" "$(cat "$work/out")"
run run --summary=none --library="$LZ_LIBRARY" sh -c 'echo $LD_PRELOAD'
expect "--library" "$LZ_LIBRARY" "$(cat "$work/out")"
run run --summary=none cat /proc/self/maps
expect_match "the library given by --library is loaded" 'liblazyzero' "$work/out"

# Descriptors: closed ones are closed in the program, and the command leaks none.
list='for fd in 0 1 2 3 4 5 6 7; do [ -e /proc/$$/fd/$fd ] && printf "%s " $fd >> "$0"; done; exit 4'
for closed in "" "<&-" ">&-" "2>&-" "<&- >&- 2>&-"; do
	: > "$work/fds"
	status=0
	eval "timeout 20 '$LZ_COMMAND' run sh -c '$list' '$work/fds' $closed 2>> '$work/log'" || status=$?
	got=$(cat "$work/fds")
	: > "$work/fds"
	eval "timeout 20 sh -c '$list' '$work/fds' $closed 2>> '$work/log'"
	expect "status with [$closed]" 4 "$status"
	expect "descriptors with [$closed]" "$(cat "$work/fds")" "$got"
done
if [ -w /dev/full ]; then
	status=0
	"$LZ_COMMAND" run sh -c 'exit 5' 2> /dev/full || status=$?
	expect "standard error on a full disk" 5 "$status"
fi

# No directory of the command remains.
mkdir "$work/tmp"
(unset XDG_RUNTIME_DIR; TMPDIR=$work/tmp; export TMPDIR; run run sh -c 'echo $LAZYZERO_STATS; sh -c :; :')
expect_match "statistics are written to TMPDIR" "^$work/tmp/lazyzero\\.[A-Za-z0-9.]*/\$" "$work/out"
expect "statistics are removed" "" "$(ls "$work/tmp")"
(unset XDG_RUNTIME_DIR; TMPDIR=/nowhere; export TMPDIR; run run sh -c 'echo $LAZYZERO_STATS')
expect_match "statistics are written to /tmp" "^/tmp/" "$work/out"

finish

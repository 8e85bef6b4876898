# Functions of the tests of the command. Sourced; POSIX sh.
#
# A failed `expect` prints the expected and the actual value, and the script continues. A test ends with `finish`.

set -u
: "${LZ_COMMAND:?the path of the lazyzero command}"
LZ_LIBRARY=${LZ_LIBRARY:-}
failures=0
work=$(mktemp -d) || exit 99
cd "$work" || exit 99
trap 'rm -rf "$work"' EXIT
trap 'exit 99' HUP INT TERM
for variable in $(env | sed -n 's/^\(LAZYZERO_[A-Z_]*\)=.*/\1/p'); do
	unset "$variable"
done

fail()
{
	failures=$((failures + 1))
	echo "FAIL: $*"
}

# expect WHAT EXPECTED GOT
expect()
{
	[ "$2" = "$3" ] && return
	fail "$1"
	printf '  expected: %s\n  got:      %s\n' "$2" "$3"
}

# expect_match WHAT PATTERN FILE: some line matches the basic regular expression.
expect_match()
{
	grep -q -e "$2" "$3" && return
	fail "$1"
	printf '  expected a line matching: %s\n  got:\n' "$2"
	sed 's/^/    /' "$3"
}

# expect_no_match WHAT PATTERN FILE
expect_no_match()
{
	grep -q -e "$2" "$3" || return 0
	fail "$1"
	printf '  expected no line matching: %s\n  got:\n' "$2"
	grep -e "$2" "$3" | sed 's/^/    /'
}

# run ARGUMENTS...: runs the command with its output in $work/out and $work/err, and its status in $status.
run()
{
	status=0
	timeout 20 "$LZ_COMMAND" "$@" > "$work/out" 2> "$work/err" || status=$?
}

# expect_failure STATUS PATTERN ARGUMENTS...: the command exits with the status, prints a matching message on standard
# error and nothing on standard output.
expect_failure()
{
	wanted=$1 pattern=$2
	shift 2
	run "$@"
	expect "status of: lazyzero $*" "$wanted" "$status"
	expect "standard output of: lazyzero $*" "" "$(cat "$work/out")"
	expect_match "message of: lazyzero $*" "$pattern" "$work/err"
}

# compile NAME FLAGS...: builds $work/NAME from the C program on standard input; fails if that is not possible here.
compile()
{
	name=$1
	shift
	cat > "$work/$name.c"
	# shellcheck disable=SC2086
	${CC:-cc} -o "$work/$name" "$work/$name.c" "$@" > "$work/cc.log" 2>&1 && return
	echo "skipped: $name cannot be compiled here ($(head -n 1 "$work/cc.log"))"
	return 1
}

finish()
{
	[ "$failures" -eq 0 ] || { echo "$failures failed"; exit 1; }
	exit 0
}

# --help, --version, help, and the messages on wrong usage.
. "${LZ_SRCDIR:-.}/tests/cli/lib.sh"

run --version
expect "status of --version" 0 "$status"
expect_match "--version" '^lazyzero [0-9][0-9.]*$' "$work/out"
expect "standard error of --version" "" "$(cat "$work/err")"

commands=$("$LZ_COMMAND" --help | sed -n '/^Commands/,/^  help/s/^  \([a-z]*\)  .*/\1/p' | grep -v '^help$')
for words in --help -h help; do
	run $words
	expect "status of $words" 0 "$status"
	for command in run cost env stat; do
		expect_match "$words names $command" "^  $command  *[a-z]" "$work/out"
	done
done

for command in $commands; do
	run help $command
	expect "status of help $command" 0 "$status"
	cp "$work/out" "$work/help"
	expect_match "help $command" "^Usage: lazyzero $command " "$work/help"
	run $command --help --no-such-flag
	expect "$command --help is help $command" "$(cat "$work/help")" "$(cat "$work/out")"
	expect "no line of help $command is longer than 80 columns" "" "$(grep -E '.{81}' "$work/help")"
done
run run --help
for flag in summary library threshold budget policy log stats; do
	expect_match "run --help names --$flag" "^  --$flag=" "$work/out"
done

expect_failure 125 "no command given"
expect_failure 125 "unknown command 'rum'; did you mean 'run'?" rum
expect_failure 125 "unknown command 'rum'; did you mean 'run'?" help rum
expect_failure 125 "unknown command 'zzzzzz'$" zzzzzz
expect_failure 125 "^Try 'lazyzero --help'\\.$" zzzzzz
expect_failure 125 "unknown option '--nope'" --nope
expect_failure 125 "unknown option '--budgt=1M'; did you mean '--budget'?" run --budgt=1M true
expect_failure 125 "^Try 'lazyzero run --help'\\.$" run --budgt=1M true
expect_failure 125 "unknown option '-x'" run -x true
expect_failure 125 'unknown command .\\x1b\[31m' "$(printf '\033[31m')"
expect_failure 125 "no program given" run
expect_failure 125 "no program given" run --policy=log --
expect_failure 125 "unexpected argument 'x'" env x

if [ -w /dev/full ]; then
	for words in "--help" "--version" "cost 4096" "cost --list" "cost --list --json"; do
		status=0
		"$LZ_COMMAND" $words > /dev/full 2> "$work/err" || status=$?
		expect "status of $words on a full disk" 125 "$status"
		expect_match "$words on a full disk" "standard output: No space left" "$work/err"
	done
fi
status=0
"$LZ_COMMAND" --help >&- 2> "$work/err" || status=$?
expect "status of --help with standard output closed" 125 "$status"
expect_match "--help with standard output closed" "cannot write to standard output" "$work/err"
status=0
"$LZ_COMMAND" --version > "$work/out" 2>&- <&- || status=$?
expect "status of --version with standard input and error closed" 0 "$status"

finish

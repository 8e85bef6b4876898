# `env`: shells, systemd and Docker read the values back unchanged.
. "${LZ_SRCDIR:-.}/tests/cli/lib.sh"

# Any ELF file is accepted, since the library is not loaded.
[ -r "$LZ_LIBRARY" ] || LZ_LIBRARY=$LZ_COMMAND
library=$(readlink -f "$LZ_LIBRARY")
case $library in
*[\ :]*) echo "skipped: this build directory cannot be in LD_PRELOAD"; exit 77 ;;
esac

env_of()
{
	run env --library="$library" "$@"
	expect "status of env $*" 0 "$status"
	expect "standard error of env $*" "" "$(cat "$work/err")"
}

env_of
expect "LD_PRELOAD and no other variable" "export LD_PRELOAD='$library'\"\${LD_PRELOAD:+:\$LD_PRELOAD}\"" "$(cat "$work/out")"

# Every option is printed under the name of its variable.
env_of --threshold=2M --malloc-threshold=64M --budget=1% --policy=refuse --backing=zeropage --thp=never \
	--populate=read --intercept=malloc --only=a:b --log=none --log-format=json --stats=/tmp --disable=0
for pair in THRESHOLD=2M MALLOC_THRESHOLD=64M BUDGET=1% POLICY=refuse BACKING=zeropage THP=never POPULATE=read \
	INTERCEPT=malloc ONLY=a:b LOG=none LOG_FORMAT=json STATS=/tmp DISABLE=0; do
	expect_match "shell form of $pair" "^export LAZYZERO_${pair%%=*}='${pair#*=}'\$" "$work/out"
done

odd='/tmp/a b"c'\''d\e$HOME`id`%p%%
second line	~;#*\n'
env_of --log="$odd" --budget=64M
expect "a shell reads the value back" "$odd" "$(. "$work/out" > /dev/null; printf %s "$LAZYZERO_LOG")"
expect "the variable is exported" "$odd" "$(. "$work/out"; unset LD_PRELOAD; sh -c 'printf %s "$LAZYZERO_LOG"')"
expect "a plain value" 64M "$(. "$work/out"; printf %s "$LAZYZERO_BUDGET")"
unset LD_PRELOAD
expect "LD_PRELOAD alone" "$library" "$(. "$work/out"; echo "$LD_PRELOAD")"
expect "the library precedes another in LD_PRELOAD" "$library:/lib/other.so" \
	"$(LD_PRELOAD=/lib/other.so; . "$work/out"; echo "$LD_PRELOAD")"
expect "eval, as in the manual" 64M "$(eval "$("$LZ_COMMAND" env --library="$library" --budget=64M)"
	printf %s "$LAZYZERO_BUDGET")"

env_of --format=systemd --log='/tmp/a "b" \c %p $x'"'"'
z' --budget=5%
expect_match "systemd, quoted" 'Environment="LAZYZERO_LOG=/tmp/a \\"b\\" \\\\c %%p $x'"'"'\\x0az"' "$work/out"
expect_match "systemd, percent" '^Environment="LAZYZERO_BUDGET=5%%"$' "$work/out"
expect_match "systemd, library" "^Environment=\"LD_PRELOAD=$library\"\$" "$work/out"

env_of --format=docker --log='/tmp/a "b" \c %p $x' --budget=5%
expect_match "docker, quoted" '^ENV LAZYZERO_LOG="/tmp/a \\"b\\" \\\\c %p \\$x"$' "$work/out"
expect_match "docker, library" "^ENV LD_PRELOAD=\"$library\${LD_PRELOAD:+:\$LD_PRELOAD}\"\$" "$work/out"
expect_failure 125 "a Dockerfile cannot hold" env --library="$library" --format=docker --log='a
b'

expect_failure 125 '"csh" is not accepted: it takes shell, systemd or docker' env --format=csh
expect_failure 125 "cannot read the library '/nowhere/x.so': No such file" env --library=/nowhere/x.so
echo text > "$work/text"
expect_failure 125 "is not a shared library" env --library="$work/text"
mkdir "$work/a b"
cp "$library" "$work/a b/l.so"
expect_failure 125 "LD_PRELOAD does not allow spaces or colons" env --library="$work/a b/l.so"
(cd "$work" && ln -s "$library" relative.so && "$LZ_COMMAND" env --library=relative.so > out)
expect_match "a relative path becomes absolute" "$work/relative.so'" "$work/out"

# A copy of the command elsewhere finds a library beside it, or lists the places it searched.
mkdir -p "$work/prefix/bin" "$work/prefix/lib"
copy=$work/prefix/bin/lazyzero
real=$LZ_COMMAND
[ -x "$(dirname "$LZ_COMMAND")/.libs/lazyzero" ] && real=$(dirname "$LZ_COMMAND")/.libs/lazyzero
if cp "$real" "$copy" && [ "$(head -c 4 "$copy" | tail -c 3)" = ELF ]; then
	if ! "$copy" env > "$work/out" 2> "$work/err"; then
		expect_match "the list of searched places" "^  $work/prefix/bin/../lib/liblazyzero.so.0$" "$work/err"
		expect_match "the remedy" "name it with --library" "$work/err"
		cp "$library" "$work/prefix/lib/liblazyzero.so.0"
		"$copy" env > "$work/out" 2> "$work/err" || fail "a library in ../lib is not found"
		expect_match "the library in ../lib" "$work/prefix/bin/../lib/liblazyzero.so.0'" "$work/out"
	fi
fi

# Relative paths are made absolute, since the program may change its directory.
run env --library="$library" --format=systemd --log=a.log --stats=b
expect_match "a relative path of a log" "^Environment=\"LAZYZERO_LOG=$work/a.log\"" "$work/out"
expect_match "a relative path of statistics" "^Environment=\"LAZYZERO_STATS=$work/b\"" "$work/out"

finish

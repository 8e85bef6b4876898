# The manual pages: complete, and formatted without a warning.
. "${LZ_SRCDIR:-.}/tests/cli/lib.sh"

pages=${LZ_BUILDDIR:-.}/man
for page in lazyzero.1 liblazyzero.3; do
	expect_no_match "$page: no placeholder is left" '@[A-Z]*@' "$pages/$page"
	if command -v groff > /dev/null; then
		groff -t -man -ww -Tutf8 "$pages/$page" > /dev/null 2> "$work/warnings"
		expect "warnings of groff about $page" "" "$(cat "$work/warnings")"
	else
		echo "skipped: formatting $page (no groff)"
	fi
done
"$LZ_COMMAND" --help | sed -n '/^Commands/,/^  help/s/^  \([a-z]*\)  .*/\1/p' | grep -v '^help$' | while read -r command; do
	grep -q "^\.SS lazyzero $command\$" "$pages/lazyzero.1" || echo "$command"
	"$LZ_COMMAND" "$command" --help | sed -n 's/^  \(-[a-z], \)\{0,1\}--\([a-z-]*\).*/\2/p' | while read -r flag; do
		grep -q "$(echo "\-\-$flag" | sed 's/-/\\\\-/g')" "$pages/lazyzero.1" || echo "$command --$flag"
	done
done > "$work/missing"
expect "flags missing in the manual" "" "$(cat "$work/missing")"
sed -n 's/^.*\(lz_[a-z_]*\)(.*;$/\1/p' "${LZ_SRCDIR:-.}/include/lazyzero.h" | while read -r name; do
	grep -q "$name" "$pages/liblazyzero.3" || echo "$name"
done > "$work/missing"
expect "functions missing in the manual" "" "$(cat "$work/missing")"

finish

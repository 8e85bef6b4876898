# `completion`: the scripts contain every flag, and bash and zsh complete with them.
. "${LZ_SRCDIR:-.}/tests/cli/lib.sh"

for shell in bash zsh; do
	run completion $shell
	expect "status of $shell" 0 "$status"
	cp "$work/out" "$work/$shell"
	"$LZ_COMMAND" --help | sed -n '/^Commands/,/^  help/s/^  \([a-z]*\)  .*/\1/p' | while read -r command; do
		grep -q "$command" "$work/$shell" || echo "$command"
		[ "$command" = help ] ||
			"$LZ_COMMAND" "$command" --help | sed -n 's/^  \(-[a-z], \)\{0,1\}--\([a-z-]*\).*/\2/p' | while read -r flag; do
				grep -q -e "$flag" "$work/$shell" || echo "$command --$flag"
			done
	done > "$work/missing"
	expect "flags missing in the script for $shell" "" "$(cat "$work/missing")"
done
expect_failure 125 "no shell given" completion
expect_failure 125 "unknown shell 'fish'; it takes bash or zsh" completion fish

if command -v bash > /dev/null; then
	bash -n "$work/bash" 2> "$work/err" || { fail "syntax for bash"; cat "$work/err"; }
	# complete WORD...: the completions of bash after these words, in which "=" is a word by itself.
	complete()
	{
		bash -c 'compopt() { :; }; . "$0"; COMP_WORDS=(lazyzero "$@"); COMP_CWORD=$#; _lazyzero; printf "%s\n" "${COMPREPLY[@]}"' \
			"$work/bash" "$@" 2>&1 | xargs -d '\n'
	}
	expect "a command" "compare completion" "$(complete comp)"
	expect "a flag" "--policy= --populate=" "$(complete run --po)"
	expect "a choice" "refuse" "$(complete run --policy = re)"
	expect "all choices" "log refuse" "$(complete run --policy =)"
	expect "a choice as a word" "refuse" "$(complete run --policy re)"
	expect "a list of choices" "malloc,mmap" "$(complete run --intercept = malloc,m | tr ' ' '\n' | grep mmap)"
	expect "columns" "pid,tables" "$(complete stat -o pid,tab)"
	expect "a column" "touched" "$(complete stat --sort tou)"
	expect "a geometry, with its spaces" 'x86-64\ 4-level' "$(complete cost --geometry 'x86-64 4')"
	expect "a process" "$$" "$(complete stat $$)"
	expect "a directory" "$work/sub" "$(mkdir "$work/sub"; : > "$work/sub.file"; complete stat --sysroot "$work/su")"
	expect "a file" "$work/sub.file" "$(complete plot "$work/sub.")"
	expect "a report" "$work/sub.file" "$(complete report --all "$work/sub." | tr ' ' '\n' | grep file)"
	expect "a second report" "$work/sub.file" "$(complete report a "$work/sub.")"
	expect "a program" sleep "$(complete run --budget = 1M -- slee | tr ' ' '\n' | grep -x sleep | sort -u)"
	expect "arguments of the program: files" "$work/sub.file" "$(complete run --budget = 1M cat "$work/sub.")"
	expect "no flags of lazyzero after the program" "" "$(complete run cat --pol)"
	expect "help" "doctor" "$(complete help do)"
	expect "a shell" "zsh" "$(complete completion z)"
	expect "a number" "" "$(complete cost 5)"
fi

if command -v zsh > /dev/null; then
	zsh -n "$work/zsh" 2> "$work/err" || { fail "syntax for zsh"; cat "$work/err"; }
fi
if command -v zsh > /dev/null && command -v tmux > /dev/null; then
	TMUX_TMPDIR=$work
	export TMUX_TMPDIR
	unset TMUX
	trap 'tmux -L lz kill-server 2> /dev/null; rm -rf "$work"' EXIT
	mkdir "$work/functions"
	cp "$work/zsh" "$work/functions/_lazyzero"
	tmux -f /dev/null -L lz new-session -d -x 100 -y 30 "cd '$work'; PATH='${LZ_COMMAND%/*}:$PATH' PS1='> ' zsh -f"

	# offers WHAT PATTERN KEYS: the completions of zsh after these words and a tab.
	offers()
	{
		tmux -L lz send-keys C-u C-l "$3" Tab
		for _ in $(seq 50); do
			tmux -L lz capture-pane -p > "$work/screen"
			grep -q -e "$2" "$work/screen" && return
			sleep 0.1
		done
		expect_match "$1" "$2" "$work/screen"
	}

	tmux -L lz send-keys "fpath=('$work/functions' \$fpath); autoload -Uz compinit; compinit -u -d '$work/dump'; echo rea''dy" Enter
	offers "zsh: commands" '^doctor  *-- check the features of this machine that the library uses' 'lazyzero '
	offers "zsh: a flag" 'lazyzero run --policy=' 'lazyzero run --poli'
	offers "zsh: choices" '^log  *refuse' 'lazyzero run --policy='
	offers "zsh: columns" 'stat -o pid,touched' 'lazyzero stat -o pid,tou'
	offers "zsh: a record" 'plot sub.file' 'lazyzero plot sub.f'
	offers "zsh: a second report" 'report a sub.file' 'lazyzero report a sub.f'
	offers "zsh: a program's file" 'cat sub.file' 'lazyzero run -- cat sub.f'
fi

finish

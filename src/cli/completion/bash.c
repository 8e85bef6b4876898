/* Generates the script for bash; see bash.h. */
#include "cli/completion/bash.h"

#include <stdio.h>

#include "cli/common/arguments.h"
#include "cli/completion/candidates.h"

/* Separates the words by newlines, as compgen expects here: names of geometries contain spaces. */
static void print_word_list(const char *const *words)
{
	for (size_t i = 0; words[i] != NULL; i++)
		printf("%s%s", i > 0 ? "\\n" : "", words[i]);
}

static void print_value_case(const struct lz_command *command, const struct lz_completion_flag *entry)
{
	printf("\t%s:--%s", command->name, entry->name);
	if (entry->letter != 0)
		printf(" | %s:-%c", command->name, entry->letter);
	fputs(") ", stdout);
	switch (entry->kind) {
	case LZ_VALUE_WORD:
		fputs("_lazyzero_words $'", stdout);
		print_word_list(entry->words);
		puts("' ;;");
		break;
	case LZ_VALUE_LIST:
		fputs("_lazyzero_list $'", stdout);
		print_word_list(entry->words);
		puts("' ;;");
		break;
	case LZ_VALUE_FILE:
		puts("_lazyzero_files -f ;;");
		break;
	case LZ_VALUE_DIRECTORY:
		puts("_lazyzero_files -d ;;");
		break;
	default:
		puts(": ;;");
	}
}

static void print_value_function(const struct lz_command *const *commands)
{
	fputs("_lazyzero_value()\n{\n\tcase $1:$2 in\n", stdout);
	for (size_t i = 0; commands[i] != NULL; i++)
		for (size_t j = 0; j < lz_arguments_flag_count(commands[i]); j++) {
			struct lz_completion_flag entry = lz_completion_flag_at(commands[i], j);

			if (entry.kind != LZ_VALUE_NONE)
				print_value_case(commands[i], &entry);
		}
	fputs("\t*) return 1 ;;\n\tesac\n}\n\n", stdout);
}

static void print_flags_function(const struct lz_command *const *commands)
{
	fputs("_lazyzero_flags()\n{\n\tcase $1 in\n", stdout);
	for (size_t i = 0; commands[i] != NULL; i++) {
		printf("\t%s) _lazyzero_words $'--help", commands[i]->name);
		for (size_t j = 0; j < lz_arguments_flag_count(commands[i]); j++) {
			struct lz_completion_flag entry = lz_completion_flag_at(commands[i], j);

			printf("\\n--%s%s", entry.name, entry.kind != LZ_VALUE_NONE ? "=" : "");
		}
		puts("' ;;");
	}
	fputs("\tesac\n\t[[ ${COMPREPLY[0]-} != *= ]] || compopt -o nospace\n}\n\n", stdout);
}

static void print_operands_function(const struct lz_command *const *commands)
{
	fputs("_lazyzero_operand()\n{\n\tcase $1 in\n", stdout);
	for (size_t i = 0; commands[i] != NULL; i++) {
		const struct lz_command *command = commands[i];

		if (command->runs_program)
			printf("\t%s) mapfile -t COMPREPLY < <(compgen -c -- \"$word\") ;;\n", command->name);
		else if (lz_operands_are_pids(command))
			printf("\t%s) _lazyzero_words \"$(cd /proc && printf '%%s\\n' [1-9]*)\" ;;\n",
				command->name);
		else if (lz_operands_are_files(command))
			printf("\t%s) _lazyzero_files -f ;;\n", command->name);
		else if (lz_operand_is_shell(command))
			printf("\t%s) _lazyzero_words $'bash\\nzsh' ;;\n", command->name);
	}
	fputs("\thelp) _lazyzero_words \"$commands\" ;;\n\tesac\n}\n\n", stdout);
}

static void print_program_commands(const struct lz_command *const *commands)
{
	bool first = true;

	for (size_t i = 0; commands[i] != NULL; i++)
		if (commands[i]->runs_program) {
			printf("%s%s", first ? "" : " | ", commands[i]->name);
			first = false;
		}
}

void lz_completion_bash(const struct lz_command *const *commands)
{
	fputs("# bash completion for lazyzero; printed by 'lazyzero completion bash'.\n\n"
	      "_lazyzero_words()\n{\n\tlocal IFS=$'\\n'\n\tmapfile -t COMPREPLY < <(compgen -W \"$1\" -- "
	      "\"$word\")\n\tCOMPREPLY=(\"${COMPREPLY[@]// /\\\\ }\")\n}\n\n"
	      "_lazyzero_files()\n{\n\tcompopt -o filenames\n\tmapfile -t COMPREPLY < <(compgen \"$1\" -- "
	      "\"$word\")\n}\n\n"
	      "# Completes the last item of a comma-separated list.\n"
	      "_lazyzero_list()\n{\n\tlocal before=\"\" item=${word##*,}\n\t[[ $word != *,* ]] || "
	      "before=${word%,*},\n\tlocal IFS=$'\\n'\n\tmapfile -t COMPREPLY < <(compgen -P \"$before\" -W "
	      "\"$1\" -- \"$item\")\n\tcompopt -o nospace\n}\n\n",
		stdout);
	print_value_function(commands);
	print_flags_function(commands);
	print_operands_function(commands);
	fputs("_lazyzero()\n{\n\tlocal commands=$'", stdout);
	for (size_t i = 0; commands[i] != NULL; i++)
		printf("%s\\n", commands[i]->name);
	fputs("help'\n\tlocal word=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]} flag=\"\" i\n"
	      "\tCOMPREPLY=()\n"
	      "\tif ((COMP_CWORD == 1)); then\n\t\t_lazyzero_words \"$commands\"$'\\n--help\\n--version'\n"
	      "\t\treturn\n\tfi\n"
	      "\tcase $command in\n\t",
		stdout);
	print_program_commands(commands);
	/* A program and its arguments are completed as if they were the whole command line. */
	fputs(")\n\t\tfor ((i = 2; i < COMP_CWORD; i++)); do\n"
	      "\t\t\tcase ${COMP_WORDS[i]} in\n"
	      "\t\t\t--) ((i++)); break ;;\n"
	      "\t\t\t-*)\n"
	      "\t\t\t\tif [[ ${COMP_WORDS[i + 1]-} == = ]]; then ((i += 2))\n"
	      "\t\t\t\telif _lazyzero_value \"$command\" \"${COMP_WORDS[i]}\"; then ((i++)); fi\n"
	      "\t\t\t\tCOMPREPLY=() ;;\n"
	      "\t\t\t*) break ;;\n"
	      "\t\t\tesac\n"
	      "\t\tdone\n"
	      "\t\tif ((i < COMP_CWORD)); then\n"
	      "\t\t\tif declare -F _command_offset > /dev/null; then _command_offset \"$i\"\n"
	      "\t\t\telse _lazyzero_files -f; fi\n"
	      "\t\t\treturn\n"
	      "\t\tfi ;;\n"
	      "\tesac\n"
	      /* bash splits words at "=". */
	      "\tif [[ $word == = ]]; then word=\"\" flag=${COMP_WORDS[COMP_CWORD - 1]}\n"
	      "\telif [[ ${COMP_WORDS[COMP_CWORD - 1]} == = ]]; then flag=${COMP_WORDS[COMP_CWORD - 2]}\n"
	      "\telse flag=${COMP_WORDS[COMP_CWORD - 1]}; fi\n"
	      "\t[[ $flag == -* ]] && _lazyzero_value \"$command\" \"$flag\" && return\n"
	      "\tif [[ $word == -* ]]; then _lazyzero_flags \"$command\"; else _lazyzero_operand "
	      "\"$command\"; fi\n"
	      "}\n\ncomplete -F _lazyzero lazyzero\n",
		stdout);
}

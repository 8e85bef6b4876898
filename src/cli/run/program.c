/* Looking at the program before it starts; see target.h. */
#include "cli/run/program.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "cli/common/command.h"

#define SCRIPT_DEPTH 4  /* the kernel follows five interpreters: BINPRM recursion in fs/exec.c */
#define SCRIPT_LINE 256 /* what it reads of a file: BINPRM_BUF_SIZE */

static bool is_executable(const char *path)
{
	struct stat status;

	return stat(path, &status) == 0 && S_ISREG(status.st_mode) && access(path, X_OK) == 0;
}

/* Finds a program as execvp does. False when there is none, or its path is too long. */
static bool find_program(const char *program, char path[PATH_MAX])
{
	const char *directories = getenv("PATH");

	if (strchr(program, '/') != NULL)
		return snprintf(path, PATH_MAX, "%s", program) < PATH_MAX && is_executable(path);
	if (directories == NULL)
		directories = "/bin:/usr/bin";
	for (;;) {
		size_t length = strcspn(directories, ":");
		int written = snprintf(
			path, PATH_MAX, "%.*s%s%s", (int)length, directories, length > 0 ? "/" : "", program);

		if (*program != '\0' && written < PATH_MAX && is_executable(path))
			return true;
		if (directories[length] == '\0')
			return false;
		directories += length + 1;
	}
}

/* The first line of a script behind its "#!", in pieces of `line`. False for anything else. */
static bool read_script(const char *path, char line[SCRIPT_LINE], char **interpreter, char **argument)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	ssize_t length;

	if (fd < 0)
		return false;
	length = read(fd, line, SCRIPT_LINE - 1);
	close(fd);
	if (length < 3 || line[0] != '#' || line[1] != '!')
		return false;
	line[length] = '\0';
	line[strcspn(line, "\n")] = '\0';
	*interpreter = line + 2 + strspn(line + 2, " \t");
	*argument = *interpreter + strcspn(*interpreter, " \t");
	if (**argument != '\0')
		*(*argument)++ = '\0';
	*argument += strspn(*argument, " \t");
	return **interpreter != '\0';
}

/*
 * The program that env(1) runs for a script: its argument, or with -S the first word that is one. NULL: none.
 */
static char *program_of_env(char *argument)
{
	char *saved;
	char *word;

	if (*argument != '-') {
		argument[strcspn(argument, " \t")] = '\0';
		return *argument != '\0' ? argument : NULL;
	}
	word = strtok_r(argument, " \t", &saved);
	if (strncmp(word, "-S", 2) == 0 && word[2] != '\0')
		word += 2;
	while (word != NULL && (*word == '-' || strchr(word, '=') != NULL))
		word = strtok_r(NULL, " \t", &saved);
	return word;
}

/* Follows scripts to what is executed in the end; target->path is "" when that cannot be told. */
static void resolve_executable(struct lz_program *program_info, const char *program)
{
	char line[SCRIPT_LINE];
	char *interpreter, *argument;
	bool found = find_program(program, program_info->path);

	for (int depth = 0; found && read_script(program_info->path, line, &interpreter, &argument);
		depth++) {
		const char *slash = strrchr(interpreter, '/');

		program_info->is_script = true;
		found = depth < SCRIPT_DEPTH;
		if (found && strcmp(slash != NULL ? slash + 1 : interpreter, "env") == 0) {
			char *name = program_of_env(argument);

			found = name != NULL && find_program(name, program_info->path);
		} else if (found) {
			/* The kernel takes the path as it stands, without a search. */
			found = snprintf(program_info->path, sizeof program_info->path, "%s", interpreter) <
				PATH_MAX;
		}
	}
	if (!found)
		program_info->path[0] = '\0';
}

/*
 * What would make it start in the loader's secure mode (ld.so(8)), where LD_PRELOAD with a path is ignored:
 * new rights that this user does not have, on a file system and in a process where they are granted.
 */
static const char *gained_privilege(const char *path)
{
	struct stat status;
	struct statvfs file_system;

	if (stat(path, &status) != 0)
		return NULL;
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1)
		return NULL;
	if (statvfs(path, &file_system) == 0 && (file_system.f_flag & ST_NOSUID))
		return NULL;
	if ((status.st_mode & S_ISUID) && status.st_uid != getuid())
		return "set-user-ID";
	if ((status.st_mode & S_ISGID) && (status.st_mode & S_IXGRP) && status.st_gid != getgid())
		return "set-group-ID";
	if (getuid() != 0 && getxattr(path, "security.capability", NULL, 0) > 0)
		return "privileged by file capabilities";
	return NULL;
}

static bool is_same_machine(const struct lz_elf *program, const struct lz_elf *library)
{
	return program->elf_class == library->elf_class && program->byte_order == library->byte_order &&
	       program->machine == library->machine;
}

#define PROBLEM(program_info, ...)                                                                           \
	snprintf((program_info)->problem, sizeof(program_info)->problem, __VA_ARGS__)
#define EFFECT(program_info, text) snprintf((program_info)->effect, sizeof(program_info)->effect, "%s", text)

static const char unloaded[] = "the library cannot be loaded, and the program runs as without it";

void lz_program_inspect(struct lz_program *program_info, const char *program, const struct lz_elf *library)
{
	struct lz_elf elf;
	const char *rights;

	*program_info = (struct lz_program){.is_script = false};
	resolve_executable(program_info, program);
	if (program_info->path[0] == '\0' || lz_elf_inspect(program_info->path, &elf) != 0)
		return;
	rights = gained_privilege(program_info->path);
	if (!is_same_machine(&elf, library)) {
		PROBLEM(program_info, "built for %d-bit %s, the library for %d-bit %s",
			elf.elf_class == ELFCLASS32 ? 32 : 64, lz_elf_machine_name(&elf),
			library->elf_class == ELFCLASS32 ? 32 : 64, lz_elf_machine_name(library));
		EFFECT(program_info, unloaded);
	} else if (!elf.is_dynamic) {
		PROBLEM(program_info, "statically linked");
		EFFECT(program_info, unloaded);
	} else if (elf.is_musl) {
		PROBLEM(program_info, "linked with the musl C library, and lazyzero needs glibc");
		EFFECT(program_info, "the program will probably not start");
	} else if (rights != NULL) {
		PROBLEM(program_info, "%s", rights);
		EFFECT(program_info, "its loader ignores the library, and the program runs as without it");
	} else if (elf.sanitizer != NULL) {
		PROBLEM(program_info, "built with %s", elf.sanitizer);
		EFFECT(program_info,
			"its runtime must be first and see all memory, so it runs without the library, "
			"and what it starts does, too");
		program_info->skip_preload = true;
	}
}

void lz_program_warn(const struct lz_program *program_info, const char *program)
{
	if (program_info->problem[0] == '\0')
		return;
	if (program_info->is_script)
		lz_warning("'%s' is run by %s, which is %s: %s", lz_printable(program).text,
			program_info->path, program_info->problem, program_info->effect);
	else
		lz_warning("'%s' is %s: %s", lz_printable(program).text, program_info->problem,
			program_info->effect);
}

/* Inspects the program; see program.h. */
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

#include "cli/common/display.h"
#include "cli/common/messages.h"

#define SCRIPT_DEPTH 4  /* the kernel follows at most five interpreters: exec_binprm in fs/exec.c */
#define SCRIPT_LINE 256 /* the part of a file that the kernel reads: BINPRM_BUF_SIZE */

static bool is_executable(const char *path)
{
	struct stat status;

	return stat(path, &status) == 0 && S_ISREG(status.st_mode) && access(path, X_OK) == 0;
}

/* Finds a program as execvp does. Returns false if there is none or its path is too long. */
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

/* Splits the "#!" line of a script into interpreter and argument, within `line`. False for other files. */
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
 * The program that env(1) executes for a script: its argument, or after -S the first word that is not an
 * option or an assignment. NULL if there is none.
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

/* Follows interpreters of scripts to the executable. Sets the path to "" if it cannot be determined. */
static void resolve_executable(struct lz_program *executable, const char *program)
{
	char line[SCRIPT_LINE];
	char *interpreter, *argument;
	bool found = find_program(program, executable->path);

	for (int depth = 0; found && read_script(executable->path, line, &interpreter, &argument); depth++) {
		const char *slash = strrchr(interpreter, '/');

		executable->is_script = true;
		found = depth < SCRIPT_DEPTH;
		if (found && strcmp(slash != NULL ? slash + 1 : interpreter, "env") == 0) {
			char *name = program_of_env(argument);

			found = name != NULL && find_program(name, executable->path);
		} else if (found) {
			/* The kernel does not search PATH for the interpreter. */
			found = snprintf(executable->path, sizeof executable->path, "%s", interpreter) <
				PATH_MAX;
		}
	}
	if (!found)
		executable->path[0] = '\0';
}

/*
 * Returns why the program would start in the loader's secure-execution mode (ld.so(8)), which ignores paths
 * in LD_PRELOAD: a privilege that the user does not have yet, unless the file system (nosuid) or no_new_privs
 * prevents the program from gaining it. Returns NULL otherwise.
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

#define PROBLEM(executable, ...) snprintf((executable)->problem, sizeof(executable)->problem, __VA_ARGS__)
#define EFFECT(executable, text) snprintf((executable)->effect, sizeof(executable)->effect, "%s", text)

static const char unloaded[] = "the library cannot be loaded; the program runs without it";

void lz_program_inspect(struct lz_program *executable, const char *program, const struct lz_elf *library)
{
	struct lz_elf elf;
	const char *privilege;

	*executable = (struct lz_program){.is_script = false};
	resolve_executable(executable, program);
	if (executable->path[0] == '\0' || lz_elf_inspect(executable->path, &elf) != 0)
		return;
	privilege = gained_privilege(executable->path);
	if (!is_same_machine(&elf, library)) {
		PROBLEM(executable, "built for %d-bit %s, the library for %d-bit %s",
			elf.elf_class == ELFCLASS32 ? 32 : 64, lz_elf_machine_name(&elf),
			library->elf_class == ELFCLASS32 ? 32 : 64, lz_elf_machine_name(library));
		EFFECT(executable, unloaded);
	} else if (!elf.is_dynamic) {
		PROBLEM(executable, "statically linked");
		EFFECT(executable, unloaded);
	} else if (elf.is_musl) {
		PROBLEM(executable, "linked with the musl C library, but lazyzero requires glibc");
		EFFECT(executable, "the program will probably not start");
	} else if (privilege != NULL) {
		PROBLEM(executable, "%s", privilege);
		EFFECT(executable,
			"the dynamic loader ignores LD_PRELOAD; the program runs without the library");
	} else if (elf.sanitizer != NULL) {
		PROBLEM(executable, "built with %s", elf.sanitizer);
		EFFECT(executable,
			"its runtime must be loaded first and see all memory; the program and its children "
			"run without the library");
		executable->skip_preload = true;
	}
}

void lz_program_warn(const struct lz_program *executable, const char *program)
{
	if (executable->problem[0] == '\0')
		return;
	if (executable->is_script)
		lz_warning("'%s' is run by %s, which is %s: %s", lz_printable(program).text,
			lz_printable(executable->path).text, executable->problem, executable->effect);
	else
		lz_warning("'%s' is %s: %s", lz_printable(program).text, executable->problem,
			executable->effect);
}

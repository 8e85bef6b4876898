/* Texts as the kernel writes them into /proc, in which some bytes are escaped. In place; pure. */
#ifndef LZ_CLI_PROCESS_PROC_TEXT_H
#define LZ_CLI_PROCESS_PROC_TEXT_H

#include <stdbool.h>

/* The name in /proc/PID/status: "\n" is a newline, "\\" a backslash (proc_task_name in fs/proc/array.c). */
void lz_proc_unescape_name(char *name);

/*
 * A path in /proc/PID/maps: "\012" is a newline (seq_path in fs/seq_file.c). A backslash is not escaped, so a
 * file may have the unchanged path as well. Returns whether the path contained an escape.
 */
bool lz_proc_unescape_path(char *path);

#endif

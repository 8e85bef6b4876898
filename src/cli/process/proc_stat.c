/* Reads /proc/PID/stat; see proc_stat.h. */
#include "cli/process/proc_stat.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/parse.h"
#include "os/os.h"
#include "os/procfs.h"

void lz_proc_path(char path[PATH_MAX], const char *root, pid_t pid, const char *file)
{
	if (snprintf(path, PATH_MAX, "%s/proc/%ld/%s", root, (long)pid, file) >= PATH_MAX)
		path[0] = '\0';
}

/* Parses the fields after the name; `end` is the ')' that ends field 2. */
static void parse_fields(const char *end, struct lz_proc_stat *stat)
{
	static const int fields[] = {10, 12, 22};
	uint64_t *const values[] = {&stat->minor_faults, &stat->major_faults, &stat->start_time};

	*stat = (struct lz_proc_stat){'\0', LZ_UNKNOWN, LZ_UNKNOWN, LZ_UNKNOWN};
	if (end[1] == ' ')
		stat->state = end[2];
	for (int field = 2, next = 0; end != NULL && next < 3; field++) {
		const char *cursor = end + 1;

		if (field == fields[next])
			lz_scan_u64(&cursor, values[next++]);
		end = strchr(end + 1, ' ');
	}
}

int lz_proc_stat_read(const char *root, pid_t pid, struct lz_proc_stat *stat)
{
	char path[PATH_MAX];
	struct lz_line_reader lines;
	char *line, *end;
	int error;

	*stat = (struct lz_proc_stat){'\0', LZ_UNKNOWN, LZ_UNKNOWN, LZ_UNKNOWN};
	lz_proc_path(path, root, pid, "stat");
	error = lz_line_reader_open(&lines, &lz_os_linux, path);
	if (error)
		return error == -ENOENT ? -ESRCH : error;
	/*
	 * Fields are counted from the last ')' of the file, since field 2, the name, may contain spaces,
	 * parentheses and newlines. The fields after it are on one line.
	 */
	while ((line = lz_line_reader_next(&lines)) != NULL)
		if ((end = strrchr(line, ')')) != NULL)
			parse_fields(end, stat);
	error = lines.error;
	lz_line_reader_close(&lines);
	return error != 0 ? error : stat->start_time == LZ_UNKNOWN ? -ESRCH : 0;
}

uint64_t lz_process_start_time(const char *root, pid_t pid)
{
	struct lz_proc_stat stat;

	if (lz_proc_stat_read(root, pid, &stat) != 0 || stat.state == 'Z' || stat.state == 'X')
		return 0;
	return stat.start_time;
}

/* Other processes; see process.h. */
#include "os/process.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>

#include "base/parse.h"
#include "base/text.h"
#include "os/procfs.h"
#include "os/scratch.h"

/* Fields of /proc/PID/stat, numbered from 1 as in proc(5). */
enum { FIELD_COMMAND = 2, FIELD_STATE = 3, FIELD_START_TIME = 22, FIELD_START_STACK = 28 };

static void append_path(struct lz_text *path, uint64_t pid, const char *file)
{
	lz_text_string(path, "/proc/");
	lz_text_u64(path, pid);
	lz_text_string(path, file);
}

/* Advances from the space before field `from` to the space before field `to`; NULL if there are too few. */
static const char *skip_fields(const char *cursor, int from, int to)
{
	for (; cursor != NULL && from < to; from++)
		cursor = strchr(cursor + 1, ' ');
	return cursor;
}

/* Parses a line of /proc/PID/stat. The name of the command may contain any character, also ")". */
static int parse_stat(const char *line, struct lz_process_id *id)
{
	const char *cursor = strrchr(line, ')');

	cursor = skip_fields(cursor, FIELD_COMMAND, FIELD_STATE);
	if (cursor == NULL)
		return -EINVAL;
	if (cursor[1] == 'Z' || cursor[1] == 'X')
		return -ESRCH;
	cursor = skip_fields(cursor, FIELD_STATE, FIELD_START_TIME);
	if (cursor == NULL)
		return -EINVAL;
	cursor++;
	if (lz_scan_u64(&cursor, &id->start_time) != 0)
		return -EINVAL;
	cursor = skip_fields(cursor, FIELD_START_TIME + 1, FIELD_START_STACK);
	if (cursor != NULL)
		cursor++;
	if (cursor == NULL || lz_scan_u64(&cursor, &id->stack) != 0)
		id->stack = 0;
	return 0;
}

/* `buffer` is a scratch buffer. */
static int read_stat(const struct lz_os *os, uint64_t pid, char *buffer, struct lz_process_id *id)
{
	struct lz_text path = lz_text_init(buffer, LZ_SCRATCH_BYTES);
	ssize_t length;
	int fd;

	append_path(&path, pid, "/stat");
	fd = os->open(buffer, O_RDONLY, 0);
	if (fd < 0)
		return fd;
	length = os->read(fd, buffer, LZ_SCRATCH_BYTES - 1);
	os->close(fd);
	if (length <= 0)
		return length == 0 ? -ESRCH : (int)length;
	buffer[length] = '\0';
	return parse_stat(buffer, id);
}

int lz_process_identify(const struct lz_os *os, uint64_t pid, struct lz_process_id *id)
{
	char *buffer;
	int error;

	/* /proc may be hidden (hidepid) or not mounted, so a missing file does not say that there is none. */
	if (os->any_syscall(SYS_kill, (long)pid, 0, 0, 0, 0, 0) == -ESRCH)
		return -ESRCH;
	buffer = lz_scratch_take(os);
	if (buffer == NULL)
		return -ENOMEM;
	error = read_stat(os, pid, buffer, id);
	lz_scratch_release(os, buffer);
	return error;
}

uint64_t lz_process_page_tables(const struct lz_os *os, uint64_t pid)
{
	char name[40];
	struct lz_text path = lz_text_init(name, sizeof name);
	uint64_t bytes;

	append_path(&path, pid, "/status");
	return lz_proc_value(os, name, "VmPTE:", &bytes) == 0 ? bytes : 0;
}

uint64_t lz_process_namespace(const struct lz_os *os, const char *type)
{
	char name[32], link[48];
	struct lz_text path = lz_text_init(name, sizeof name);
	const char *cursor;
	uint64_t inode;

	lz_text_string(&path, "/proc/self/ns/");
	lz_text_string(&path, type);
	if (os->readlink(name, link, sizeof link) <= 0)
		return 0;
	cursor = strchr(link, '[');
	if (cursor == NULL)
		return 0;
	cursor++;
	return lz_scan_u64(&cursor, &inode) == 0 ? inode : 0;
}

/* Readers and parsers of /proc; see procfs.h. */
#include "os/procfs.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "base/parse.h"
#include "base/text.h"
#include "os/scratch.h"

/* Lies at the start of a scratch buffer; the rest of the buffer holds text. */
struct lz_line_buffer {
	struct lz_file file;
	int64_t offset;    /* bytes read so far */
	size_t start, end; /* the unread bytes of buffer */
	bool eof;
	bool skip; /* the last line was truncated, and its rest must be skipped */
	char path[LZ_SMAPS_PATH_LENGTH +
		  1]; /* of the last mapping, saved because other lines were read since */
	char buffer[];
};

#define CAPACITY (LZ_SCRATCH_BYTES - offsetof(struct lz_line_buffer, buffer))

static void rewind_reader(struct lz_line_reader *lines)
{
	struct lz_line_buffer *reader = lines->reader;

	reader->offset = 0;
	reader->start = reader->end = 0;
	reader->eof = reader->skip = false;
	lines->error = 0;
}

int lz_line_reader_open(struct lz_line_reader *lines, const struct lz_os *os, const char *path)
{
	int error;

	lines->reader = lz_scratch_take(os);
	error = lines->reader == NULL ? -ENOMEM : lz_file_open(&lines->reader->file, os, path, true);
	if (error)
		lz_scratch_release(os, lines->reader);
	else
		rewind_reader(lines);
	return error;
}

void lz_line_reader_close(struct lz_line_reader *lines)
{
	struct lz_line_buffer *reader = lines->reader;

	if (reader->file.fd >= 0)
		lz_file_close(&reader->file);
	lz_scratch_release(reader->file.os, reader);
}

static ssize_t read_chunk(struct lz_line_buffer *reader)
{
	const struct lz_file *file = &reader->file;
	char *to = reader->buffer + reader->end;
	size_t room = CAPACITY - 1 - reader->end;
	ssize_t got = -EINTR;

	/* If every attempt fails with EINTR, the cause is a seccomp filter and not a signal. */
	for (unsigned attempt = 0; attempt < 16 && got == -EINTR; attempt++)
		got = lz_file_is_persistent(file) ? file->os->pread(file->fd, to, room, reader->offset)
						  : file->os->read(file->fd, to, room);
	return got;
}

/* Reopens a persistent file that is empty, to read it from the start. */
static bool reopen(struct lz_line_reader *lines)
{
	struct lz_line_buffer *reader = lines->reader;

	if (!lz_file_is_persistent(&reader->file))
		return false;
	lines->error = lz_file_reopen(&reader->file);
	if (lines->error != 0) {
		reader->file.fd = -1;
		reader->eof = true;
		return false;
	}
	rewind_reader(lines);
	return true;
}

/* Moves the unread bytes to the front and reads more after them. */
static void refill(struct lz_line_reader *lines)
{
	struct lz_line_buffer *reader = lines->reader;
	ssize_t got;

	memmove(reader->buffer, reader->buffer + reader->start, reader->end - reader->start);
	reader->end -= reader->start;
	reader->start = 0;
	got = read_chunk(reader);
	if (got <= 0 && reader->offset == 0 && reopen(lines))
		got = read_chunk(reader);
	if (got < 0)
		lines->error = (int)got;
	if (got <= 0) {
		reader->eof = true;
	} else {
		reader->offset += got;
		reader->end += (size_t)got;
	}
}

static void skip_rest_of_line(struct lz_line_reader *lines)
{
	struct lz_line_buffer *reader = lines->reader;
	char *newline;

	reader->skip = false;
	while ((newline = memchr(reader->buffer + reader->start, '\n', reader->end - reader->start)) ==
		NULL) {
		reader->start = reader->end;
		if (reader->eof)
			return;
		refill(lines);
	}
	reader->start = (size_t)(newline - reader->buffer) + 1;
}

char *lz_line_reader_next(struct lz_line_reader *lines)
{
	struct lz_line_buffer *reader = lines->reader;

	if (reader->skip)
		skip_rest_of_line(lines);
	for (;;) {
		char *line = reader->buffer + reader->start;
		size_t length = reader->end - reader->start;
		char *newline = memchr(line, '\n', length);

		if (newline != NULL) {
			*newline = '\0';
			reader->start += (size_t)(newline - line) + 1;
			return line;
		}
		if (reader->eof && length == 0)
			return NULL;
		if (reader->eof || length == CAPACITY - 1) {
			line[length] = '\0';
			reader->start = reader->end;
			reader->skip = !reader->eof;
			return line;
		}
		refill(lines);
	}
}

/* Returns the value after `name`, in bytes, from the next line that starts with it. */
static int next_value(struct lz_line_reader *lines, const char *name, uint64_t *bytes)
{
	size_t length = strlen(name);
	const char *cursor;
	char *line;
	int error;

	do {
		line = lz_line_reader_next(lines);
		if (line == NULL)
			return -ENOENT;
	} while (strncmp(line, name, length) != 0);
	cursor = line + length;
	while (*cursor == ' ' || *cursor == '\t')
		cursor++;
	error = lz_scan_u64(&cursor, bytes);
	if (error == 0 && strcmp(cursor, " kB") == 0 && __builtin_mul_overflow(*bytes, 1024u, bytes))
		error = -ERANGE;
	return error;
}

int lz_proc_value(const struct lz_os *os, const char *path, const char *name, uint64_t *bytes)
{
	struct lz_line_reader lines;
	int error = lz_line_reader_open(&lines, os, path);

	if (error)
		return error;
	error = next_value(&lines, name, bytes);
	/* The status file of a thread that has ended has no memory fields. */
	if (error == -ENOENT && reopen(&lines))
		error = next_value(&lines, name, bytes);
	lz_line_reader_close(&lines);
	return error;
}

int lz_proc_number(const struct lz_os *os, const char *path, uint64_t *value)
{
	struct lz_line_reader lines;
	const char *cursor;
	int error = lz_line_reader_open(&lines, os, path);

	if (error)
		return error;
	cursor = lz_line_reader_next(&lines);
	error = cursor == NULL ? -ENODATA : lz_scan_u64(&cursor, value);
	lz_line_reader_close(&lines);
	return error;
}

static int skip_char(const char **cursor, char c)
{
	if (**cursor != c)
		return -EINVAL;
	++*cursor;
	return 0;
}

int lz_mapping_parse(const char *line, struct lz_mapping *mapping)
{
	const char *cursor = line;
	uint64_t minor;

	if (lz_scan_hex(&cursor, &mapping->start) || skip_char(&cursor, '-') ||
		lz_scan_hex(&cursor, &mapping->end) || skip_char(&cursor, ' ') ||
		mapping->end <= mapping->start)
		return -EINVAL;
	if (strnlen(cursor, 5) < 5)
		return -EINVAL;
	mapping->readable = cursor[0] == 'r';
	mapping->writable = cursor[1] == 'w';
	mapping->executable = cursor[2] == 'x';
	mapping->shared = cursor[3] == 's';
	cursor += 4;
	if (skip_char(&cursor, ' ') || lz_scan_hex(&cursor, &mapping->offset) || skip_char(&cursor, ' ') ||
		lz_scan_hex(&cursor, &mapping->device) || skip_char(&cursor, ':') ||
		lz_scan_hex(&cursor, &minor) || skip_char(&cursor, ' ') ||
		lz_scan_u64(&cursor, &mapping->inode))
		return -EINVAL;
	mapping->device = mapping->device << 32 | minor;
	while (*cursor == ' ')
		cursor++;
	mapping->path = cursor;
	return 0;
}

int lz_mapping_protection(const struct lz_mapping *mapping)
{
	return (mapping->readable ? PROT_READ : 0) | (mapping->writable ? PROT_WRITE : 0) |
	       (mapping->executable ? PROT_EXEC : 0);
}

int lz_smaps_value(
	const struct lz_os *os, const char *smaps_path, uint64_t address, const char *name, uint64_t *bytes)
{
	struct lz_line_reader lines;
	char *line;
	int error = lz_line_reader_open(&lines, os, smaps_path);

	if (error)
		return error;
	error = -ENOENT;
	while ((line = lz_line_reader_next(&lines)) != NULL) {
		struct lz_mapping mapping;

		if (lz_mapping_parse(line, &mapping) != 0 || mapping.end <= address)
			continue;
		if (mapping.start <= address)
			error = next_value(&lines, name, bytes);
		break;
	}
	lz_line_reader_close(&lines);
	return error;
}

bool lz_smaps_next(struct lz_line_reader *lines, struct lz_mapping *mapping, unsigned *vm_flags)
{
	/*
	 * In the order of the bits of enum lz_vm_flag. The names are those of
	 * Documentation/filesystems/proc.rst.
	 */
	static const char names[][3] = {"dc", "dd", "mg", "rr", "sr", "hg", "lo", "wf", "lf"};
	static const char title[] = "VmFlags:";
	const char *line;

	do {
		line = lz_line_reader_next(lines);
		if (line == NULL)
			return false;
	} while (lz_mapping_parse(line, mapping) != 0);
	memcpy(lines->reader->path, mapping->path, strnlen(mapping->path, LZ_SMAPS_PATH_LENGTH));
	lines->reader->path[strnlen(mapping->path, LZ_SMAPS_PATH_LENGTH)] = '\0';
	mapping->path = lines->reader->path;
	do {
		line = lz_line_reader_next(lines);
		if (line == NULL)
			return false;
	} while (strncmp(line, title, sizeof title - 1) != 0);
	*vm_flags = 0;
	for (line += sizeof title - 1; *line != '\0'; line++)
		for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
			if (line[-1] == ' ' && strncmp(line, names[i], 2) == 0)
				*vm_flags |= 1u << i;
	return true;
}

/*
 * Advances to the file mapping that contains the address. *start is the start of the first mapping of that
 * file.
 */
static bool find_module(
	struct lz_line_reader *lines, uint64_t address, struct lz_mapping *mapping, uint64_t *start)
{
	uint64_t inode = 0, first_offset = 0;
	char *line;

	*start = 0;
	while ((line = lz_line_reader_next(lines)) != NULL) {
		if (lz_mapping_parse(line, mapping))
			continue;
		if (mapping->start > address)
			break;
		/*
		 * The mappings of one object are adjacent, and the first is of the file's start. libffi 3.5 also
		 * maps a page of its own code in front of itself.
		 */
		if (mapping->inode != 0 &&
			(mapping->inode != inode || (mapping->offset == 0 && first_offset != 0))) {
			*start = mapping->start;
			inode = mapping->inode;
			first_offset = mapping->offset;
		}
		if (address < mapping->end && mapping->inode != 0)
			return true;
	}
	return false;
}

/* Programs linked at a fixed address are below 4 GiB. */
static uint64_t base_of_module(uint64_t start)
{
	return start >> 32 == 0 ? 0 : start;
}

static void copy_without_deleted_suffix(struct lz_text *text, const char *path, bool *deleted)
{
	const char *mark = strstr(path, " (deleted)");

	*deleted = mark != NULL && mark[sizeof " (deleted)" - 1] == '\0';
	lz_text_bytes(text, path, *deleted ? (size_t)(mark - path) : strlen(path));
}

int lz_module_and_offset(const struct lz_os *os, const char *maps_path, uint64_t address, char *name,
	size_t capacity, uint64_t *offset)
{
	struct lz_line_reader lines;
	struct lz_mapping mapping;
	uint64_t start;
	bool deleted;
	int error = lz_line_reader_open(&lines, os, maps_path);

	if (error)
		return error;
	error = -ENOENT;
	if (find_module(&lines, address, &mapping, &start)) {
		struct lz_text text = lz_text_init(name, capacity);
		const char *slash = strrchr(mapping.path, '/');

		copy_without_deleted_suffix(&text, slash != NULL ? slash + 1 : mapping.path, &deleted);
		*offset = address - base_of_module(start);
		error = 0;
	}
	lz_line_reader_close(&lines);
	return error;
}

int lz_module_find(const struct lz_os *os, const char *maps_path, uint64_t address, struct lz_module *module)
{
	struct lz_line_reader lines;
	struct lz_mapping mapping;
	int error = lz_line_reader_open(&lines, os, maps_path);

	if (error)
		return error;
	error = -ENOENT;
	if (find_module(&lines, address, &mapping, &module->start)) {
		struct lz_text text = lz_text_init(module->path, sizeof module->path);

		copy_without_deleted_suffix(&text, mapping.path, &module->deleted);
		module->base = base_of_module(module->start);
		module->inode = mapping.inode;
		error = text.truncated ? -ENAMETOOLONG : 0;
	}
	lz_line_reader_close(&lines);
	return error;
}

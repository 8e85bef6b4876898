/*
 * What /proc says: lines of a file one at a time, values of "Name: N kB" files, the fields of a maps line.
 *
 * Parsers are pure; readers go through the os table, so a test can answer them from a recorded tree.
 * Nothing allocates: a reader's buffer is one of scratch.h, because the caller may be a thread with the least
 * stack there is (16 KiB). The paths of descriptors.h are read from the descriptors that are kept. Sources:
 * proc(5), fs/proc/task_mmu.c.
 */
#ifndef LZ_OS_PROCFS_H
#define LZ_OS_PROCFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/descriptors.h"
#include "os/os.h"

/* How much of a mapping's path lz_smaps_next keeps: more than the names that are looked for. */
#define LZ_SMAPS_PATH_LENGTH 31

/*
 * A file read line by line. Of a line longer than its buffer (4,000 bytes) the front is given out, the rest
 * skipped. The reader is in the scratch buffer, too: this is all that stands on a stack.
 */
struct lz_line_buffer;
struct lz_line_reader {
	struct lz_line_buffer *reader;
	int error; /* what a read failed with: then the lines so far are not all */
};

/* Opens path for reading. Returns 0 or -errno; lz_line_reader_close only after success. */
int lz_line_reader_open(struct lz_line_reader *lines, const struct lz_os *os, const char *path);

/* The next line without its newline, NUL-terminated, valid until the next call; NULL at the end. */
char *lz_line_reader_next(struct lz_line_reader *lines);

void lz_line_reader_close(struct lz_line_reader *lines);

/*
 * The value of `name` ("VmPTE:") in a file of "Name:   N kB" lines, in bytes. Returns 0, -ENOENT when the
 * file has no such line, or the error of opening it.
 */
int lz_proc_value(const struct lz_os *os, const char *path, const char *name, uint64_t *bytes);

/* One mapping: a line of /proc/PID/maps. */
struct lz_mapping {
	uint64_t start, end; /* [start, end) in bytes */
	uint64_t offset;     /* of start in the file, bytes */
	uint64_t inode;
	bool readable, writable, executable, shared;
	const char *path; /* "" for anonymous memory; points into the line */
};

/* Parses a maps line. Returns 0 or -EINVAL. */
int lz_mapping_parse(const char *line, struct lz_mapping *mapping);

/* Its protection, as mprotect takes it. */
int lz_mapping_protection(const struct lz_mapping *mapping);

/*
 * A value of the mapping at an address, bytes: "KernelPageSize:" or "ShmemPmdMapped:" of an smaps file, for
 * which the kernel walks over the page tables of all mappings below. Returns 0, -ENOENT when nothing is
 * mapped there, or the error of opening smaps_path.
 */
int lz_smaps_value(
	const struct lz_os *os, const char *smaps_path, uint64_t address, const char *name, uint64_t *bytes);

/* What a program vm_flags of a mapping, as VmFlags in an smaps file has it: madvise(2), mlock(2). */
enum lz_vm_flag {
	LZ_VM_DONTFORK = 1,
	LZ_VM_DONTDUMP = 2,
	LZ_VM_MERGEABLE = 4,
	LZ_VM_RANDOM = 8,
	LZ_VM_SEQUENTIAL = 16,
	LZ_VM_HUGEPAGE = 32,
	LZ_VM_LOCKED = 64,
	LZ_VM_WIPEONFORK = 128, /* never of a window */
};

/* The next mapping of an smaps file, the path cut to LZ_SMAPS_PATH_LENGTH, and the LZ_ASKED_ bits of it;
 * false at the end. */
bool lz_smaps_next(struct lz_line_reader *lines, struct lz_mapping *mapping, unsigned *vm_flags);

/* The number that a file begins with ("/proc/sys/vm/max_map_count"). Returns 0 or -errno. */
int lz_proc_number(const struct lz_os *os, const char *path, uint64_t *value);

/*
 * Where an address lies, as a person says it: the base name of the file mapped there, and the offset from
 * the first mapping of that file: what addr2line and objdump take for shared objects and position-independent
 * programs. For a program linked at a fixed address, which lies below 4 GiB, they take the address itself, so
 * that is the offset there. Returns 0, -ENOENT when no file is mapped there, or the error of opening
 * maps_path.
 */
int lz_module_and_offset(const struct lz_os *os, const char *maps_path, uint64_t address, char *name,
	size_t capacity, uint64_t *offset);

/* A mapped file that holds code. */
struct lz_module {
	uint64_t base; /* what to take from an address in it for its offset, as above */
	uint64_t inode;
	bool deleted;   /* its name was gone already */
	char path[512]; /* absolute */
};

/* The same with all of the path; -ENAMETOOLONG where that does not fit. */
int lz_module_find(const struct lz_os *os, const char *maps_path, uint64_t address, struct lz_module *module);

#endif

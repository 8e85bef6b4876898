/*
 * Parsers and readers for /proc: lines of a file, values of "Name: N kB" files, fields of a maps line.
 *
 * The parsers are pure. The readers go through the os table, so a test can answer them from a recorded tree.
 * Nothing allocates: the buffer of a reader is a scratch buffer (scratch.h), because the caller may be a
 * thread with the smallest possible stack (16 KiB). The paths of descriptors.h are read through persistent
 * descriptors. Thread-safe; no locks. Sources: proc(5), fs/proc/task_mmu.c.
 */
#ifndef LZ_OS_PROCFS_H
#define LZ_OS_PROCFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/descriptors.h"
#include "os/os.h"

/* Bytes of a mapping's path that lz_smaps_next stores. The names that callers search for are shorter. */
#define LZ_SMAPS_PATH_LENGTH 31

/*
 * Reads a file line by line. If a line exceeds the buffer (4,000 bytes), its beginning is returned and its
 * rest is skipped. The state is in a scratch buffer too; only this struct is on the stack.
 */
struct lz_line_buffer;
struct lz_line_reader {
	struct lz_line_buffer *reader;
	int error; /* error of the last read; if not 0, the lines read so far are incomplete */
};

/* Opens path for reading. Returns 0 or -errno. After success, lz_line_reader_close must follow. */
int lz_line_reader_open(struct lz_line_reader *lines, const struct lz_os *os, const char *path);

/*
 * Returns the next line without its newline, NUL-terminated and valid until the next call; NULL at the end.
 */
char *lz_line_reader_next(struct lz_line_reader *lines);

void lz_line_reader_close(struct lz_line_reader *lines);

/*
 * Reads the value of `name` (such as "VmPTE:") from a file of "Name:   N kB" lines, in bytes. Returns 0,
 * -ENOENT if the file has no such line, or the error of opening the file.
 */
int lz_proc_value(const struct lz_os *os, const char *path, const char *name, uint64_t *bytes);

/* One mapping: a line of /proc/PID/maps. */
struct lz_mapping {
	uint64_t start, end; /* [start, end) in bytes */
	uint64_t offset;     /* offset of start in the file, bytes */
	uint64_t device;     /* major << 32 | minor; 0 for anonymous memory */
	uint64_t inode;      /* 0 for anonymous memory */
	bool readable, writable, executable, shared;
	const char *path; /* "" for anonymous memory; points into the line */
};

/* Parses a maps line. Returns 0 or -EINVAL. */
int lz_mapping_parse(const char *line, struct lz_mapping *mapping);

/* Returns the protection of a mapping as mprotect(2) takes it. */
int lz_mapping_protection(const struct lz_mapping *mapping);

/*
 * Reads a value of the mapping at an address from an smaps file, in bytes: "KernelPageSize:" or
 * "ShmemPmdMapped:". The kernel walks the page tables of all mappings below it. Returns 0, -ENOENT if nothing
 * is mapped there, or the error of opening smaps_path.
 */
int lz_smaps_value(
	const struct lz_os *os, const char *smaps_path, uint64_t address, const char *name, uint64_t *bytes);

/*
 * Attributes that a program requested for a mapping with madvise(2) or mlock(2), from the VmFlags line of an
 * smaps file.
 */
enum lz_vm_flag {
	LZ_VM_DONTFORK = 1,
	LZ_VM_DONTDUMP = 2,
	LZ_VM_MERGEABLE = 4,
	LZ_VM_RANDOM = 8,
	LZ_VM_SEQUENTIAL = 16,
	LZ_VM_HUGEPAGE = 32,
	LZ_VM_LOCKED = 64,
	LZ_VM_WIPEONFORK = 128,  /* never set on a zero window */
	LZ_VM_LOCKONFAULT = 256, /* locked pages are not populated in advance */
};

/*
 * Reads the next mapping of an smaps file. Its path is truncated to LZ_SMAPS_PATH_LENGTH bytes; *vm_flags
 * receives LZ_VM_ bits. Returns false at the end.
 */
bool lz_smaps_next(struct lz_line_reader *lines, struct lz_mapping *mapping, unsigned *vm_flags);

/* Reads the number at the start of a file (such as "/proc/sys/vm/max_map_count"). Returns 0 or -errno. */
int lz_proc_number(const struct lz_os *os, const char *path, uint64_t *value);

/*
 * Describes a code address for a person: the base name of the file that is mapped there, and the offset from
 * the first mapping of that file. addr2line and objdump take this offset for shared objects and
 * position-independent programs. For a program linked at a fixed address, which is below 4 GiB, they take the
 * address itself, so the offset is then the address. Returns 0, -ENOENT if no file is mapped there, or the
 * error of opening maps_path. name receives at most capacity bytes.
 */
int lz_module_and_offset(const struct lz_os *os, const char *maps_path, uint64_t address, char *name,
	size_t capacity, uint64_t *offset);

/* A mapped object file. */
struct lz_module {
	uint64_t base;  /* subtract it from an address to get the offset described above */
	uint64_t start; /* of its first mapping */
	uint64_t inode;
	bool deleted;   /* the file was deleted */
	char path[512]; /* absolute path */
};

/*
 * Finds the object file that is mapped at an address. Returns 0; -ENAMETOOLONG if its path does not fit; or
 * an error of lz_module_and_offset.
 */
int lz_module_find(const struct lz_os *os, const char *maps_path, uint64_t address, struct lz_module *module);

#endif

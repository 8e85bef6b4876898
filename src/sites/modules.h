/*
 * The object files of a process whose code was seen in stacks: path, build-id, and where their call frame
 * information is. They are recorded while the program runs, so that a report names modules that were unloaded
 * since, and separate debug files can be found by build-id later.
 *
 * A table of fixed size; entries are added, never changed. An entry says where an object was when it was
 * seen: before it is used again, the start of the object is compared. Thread-safe and async-signal-safe: no
 * lock, no heap. Two threads may enter the same object twice.
 */
#ifndef LZ_SITES_MODULES_H
#define LZ_SITES_MODULES_H

#include <stdbool.h>
#include <stdint.h>

#include "os/os.h"
#include "os/procfs.h"

#define LZ_MODULES 256u
#define LZ_BUILD_ID_MAX 32u
#define LZ_MODULE_NONE UINT16_MAX

struct lz_site_module {
	_Atomic bool known; /* the other members are valid */
	struct lz_module module;
	uint64_t end;            /* address after the last segment */
	uint64_t bias;           /* addresses minus those in the file */
	uint64_t frame_header;   /* address of .eh_frame_hdr; 0: none */
	uint64_t dynamic;        /* address of the dynamic section; 0: none */
	uint8_t file_header[64]; /* the start of the object, to recognise it */
	uint8_t build_id_length; /* 0: it has none */
	uint8_t build_id[LZ_BUILD_ID_MAX];
};

struct lz_site_modules {
	const struct lz_os *os;
	_Atomic uint32_t count; /* entries given out, more than LZ_MODULES if the table was full */
	struct lz_site_module entry[LZ_MODULES];
};

/*
 * Returns the number of the module that is mapped at an address now, adding it if it is new. LZ_MODULE_NONE:
 * no file is mapped there, or the table is full. About 2 us for a known module, otherwise a pass over
 * /proc/self/maps.
 */
unsigned lz_modules_find(struct lz_site_modules *modules, uint64_t address);

#endif

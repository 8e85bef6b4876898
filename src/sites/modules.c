/* The table of modules; see modules.h. */
#include "sites/modules.h"

#include <elf.h>
#include <stdatomic.h>
#include <string.h>

#include "base/checked.h"
#include "os/copy_from_program.h"
#include "os/scratch.h"

#define SEGMENTS_MAX 64u
#define NOTES_MAX 1024u /* bytes of a segment of notes that are searched */

_Static_assert(sizeof(Elf64_Ehdr) == sizeof((struct lz_site_module *)0)->file_header, "the header of a file");

static void find_build_id(
	struct lz_site_module *entry, const struct lz_os *os, uint64_t address, uint64_t length)
{
	uint8_t *notes = lz_scratch_take(os);
	uint64_t at = 0;

	length = lz_min_u64(length, NOTES_MAX);
	if (notes == NULL || !lz_copy_from_program(os, (const void *)address, notes, length))
		length = 0;
	while (at + sizeof(Elf64_Nhdr) <= length) {
		Elf64_Nhdr note;
		uint64_t name = at + sizeof note, description;

		memcpy(&note, notes + at, sizeof note);
		description = name + lz_round_down((uint64_t)note.n_namesz + 3, 4);
		if (description + note.n_descsz > length)
			break;
		if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 &&
			memcmp(notes + name, "GNU", 4) == 0 && note.n_descsz <= LZ_BUILD_ID_MAX) {
			entry->build_id_length = (uint8_t)note.n_descsz;
			memcpy(entry->build_id, notes + description, note.n_descsz);
			break;
		}
		at = description + lz_round_down((uint64_t)note.n_descsz + 3, 4);
	}
	lz_scratch_release(os, notes);
}

/* Reads the segments of the object whose first mapping is at `start`. */
static void read_segments(struct lz_site_module *entry, const struct lz_os *os, uint64_t start)
{
	Elf64_Ehdr header;
	Elf64_Phdr segment;
	uint64_t bias = 0;
	bool has_bias = false;

	memcpy(&header, entry->file_header, sizeof header);
	if (memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_ident[EI_CLASS] != ELFCLASS64 ||
		header.e_phentsize != sizeof segment || header.e_phnum > SEGMENTS_MAX)
		return;
	for (unsigned i = 0; i < header.e_phnum; i++) {
		uint64_t at = start + header.e_phoff + i * sizeof segment;

		if (!lz_copy_from_program(os, (const void *)at, &segment, sizeof segment))
			return;
		if (segment.p_type == PT_LOAD && !has_bias) {
			bias = start - (segment.p_vaddr - segment.p_offset);
			has_bias = true;
		}
		if (segment.p_type == PT_LOAD)
			entry->end = lz_max_u64(entry->end, bias + segment.p_vaddr + segment.p_memsz);
	}
	entry->bias = bias;
	for (unsigned i = 0; has_bias && i < header.e_phnum; i++) {
		uint64_t at = start + header.e_phoff + i * sizeof segment;

		if (!lz_copy_from_program(os, (const void *)at, &segment, sizeof segment))
			return;
		if (segment.p_type == PT_GNU_EH_FRAME)
			entry->frame_header = bias + segment.p_vaddr;
		else if (segment.p_type == PT_DYNAMIC)
			entry->dynamic = bias + segment.p_vaddr;
		else if (segment.p_type == PT_NOTE && entry->build_id_length == 0)
			find_build_id(entry, os, bias + segment.p_vaddr, segment.p_memsz);
	}
}

/*
 * Not inlined, like enter(): the pass over maps in lz_modules_find is the deepest use of the stack in a
 * report, and what these need is not added to it.
 */
__attribute__((noinline)) static bool is_still_mapped(
	const struct lz_site_module *entry, const struct lz_os *os)
{
	uint8_t header[sizeof entry->file_header];

	return lz_copy_from_program(os, (const void *)entry->module.start, header, sizeof header) &&
	       memcmp(header, entry->file_header, sizeof header) == 0;
}

static bool is_same_module(const struct lz_site_module *entry, const struct lz_module *module)
{
	return entry->module.start == module->start && entry->module.inode == module->inode &&
	       strcmp(entry->module.path, module->path) == 0;
}

__attribute__((noinline)) static unsigned enter(
	struct lz_site_modules *modules, const struct lz_module *module)
{
	uint32_t count = atomic_load_explicit(&modules->count, memory_order_acquire);
	struct lz_site_module *entry;

	for (uint32_t i = 0; i < count && i < LZ_MODULES; i++)
		if (atomic_load_explicit(&modules->entry[i].known, memory_order_acquire) &&
			is_same_module(&modules->entry[i], module))
			return i;
	if (count >= LZ_MODULES)
		return LZ_MODULE_NONE;
	count = atomic_fetch_add_explicit(&modules->count, 1, memory_order_relaxed);
	if (count >= LZ_MODULES)
		return LZ_MODULE_NONE;
	entry = &modules->entry[count];
	entry->module = *module;
	if (lz_copy_from_program(
		    modules->os, (const void *)module->start, entry->file_header, sizeof entry->file_header))
		read_segments(entry, modules->os, module->start);
	atomic_store_explicit(&entry->known, true, memory_order_release);
	return count;
}

unsigned lz_modules_find(struct lz_site_modules *modules, uint64_t address)
{
	uint32_t count = atomic_load_explicit(&modules->count, memory_order_acquire);
	unsigned found = LZ_MODULE_NONE;
	struct lz_module *module;

	for (uint32_t i = 0; i < count && i < LZ_MODULES; i++) {
		const struct lz_site_module *entry = &modules->entry[i];

		if (atomic_load_explicit(&entry->known, memory_order_acquire) &&
			address >= entry->module.start && address < entry->end &&
			is_still_mapped(entry, modules->os))
			return i;
	}
	module = lz_scratch_take(modules->os);
	_Static_assert(sizeof *module <= LZ_SCRATCH_BYTES, "a module fits a scratch buffer");
	if (module != NULL && lz_module_find(modules->os, LZ_MAPS, address, module) == 0)
		found = enter(modules, module);
	lz_scratch_release(modules->os, module);
	return found;
}

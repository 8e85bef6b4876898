/* sites/python*.c, sites/elf_symbol.c: the tables of lines, versions, symbols. */
#include "core_fixture.h"

#include <link.h>
#include <stdio.h>

#include "sites/elf_symbol.h"
#include "sites/python_places.h"

static int32_t line_at(const uint8_t *table, size_t length, uint64_t offset)
{
	return lz_python_line(&lz_os_linux, (uintptr_t)table, length, 10, offset);
}

Test(python, lines_of_instructions)
{
	static const uint8_t table[] = {
		0x80 | 0 << 3 | 1, 0x12,                   /* 4 bytes, the same line, columns */
		0x80 | 11 << 3 | 0, 5, 9,                  /* 2 bytes, a line further */
		0x80 | 15 << 3 | 2,                        /* 6 bytes without a line */
		0x80 | 13 << 3 | 0, 0x40 | 0x08, 0x03,     /* 2 bytes, 100 lines further */
		0x80 | 14 << 3 | 7, 0x07, 0x00, 0x01, 0x01 /* 16 bytes, 3 lines back */
	};

	cr_expect_eq(line_at(table, sizeof table, 0), 10);
	cr_expect_eq(line_at(table, sizeof table, 3), 10);
	cr_expect_eq(line_at(table, sizeof table, 4), 11);
	cr_expect_eq(line_at(table, sizeof table, 6), 11);
	cr_expect_eq(line_at(table, sizeof table, 12), 111);
	cr_expect_eq(line_at(table, sizeof table, 14), 108);
	cr_expect_eq(line_at(table, sizeof table, 29), 108);
	cr_expect_eq(line_at(table, sizeof table, 1000), 108, "beyond the end");
	cr_expect_eq(line_at(table, 0, 0), 10, "an empty table");
	cr_expect_eq(line_at(table + 1, 4, 0), 10, "a table that does not start with an entry");
	cr_expect_eq(lz_python_line(&lz_os_linux, 4096 * 3, 100, 10, 50), 10, "not mapped");
}

Test(python, table_of_lines_that_is_longer_than_the_buffer)
{
	static uint8_t table[3 * 1000];

	for (unsigned i = 0; i < 1000; i++)
		memcpy(&table[3 * i], (const uint8_t[]){0x80 | 11 << 3, 1, 2}, 3);
	cr_expect_eq(line_at(table, sizeof table, 0), 11);
	cr_expect_eq(line_at(table, sizeof table, 1998), 1010);
	cr_expect_eq(line_at(table, sizeof table, 1001), 511);
}

/* The object that contains an address, and its dynamic section. */
struct object {
	uintptr_t contains, bias, dynamic, start;
};

static int find_object(struct dl_phdr_info *info, size_t size, void *context)
{
	struct object *object = context;
	bool contains = false;
	uintptr_t dynamic = 0, start = UINTPTR_MAX;

	(void)size;
	for (unsigned i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
		uintptr_t at = info->dlpi_addr + segment->p_vaddr;

		if (segment->p_type == PT_DYNAMIC)
			dynamic = at;
		if (segment->p_type != PT_LOAD)
			continue;
		start = at < start ? at : start;
		contains |= object->contains >= at && object->contains < at + segment->p_memsz;
	}
	if (contains)
		*object = (struct object){object->contains, info->dlpi_addr, dynamic, start};
	return contains;
}

Test(python, symbols_of_the_c_library)
{
	struct object object = {.contains = (uintptr_t)stdout};
	struct lz_elf_symbols symbols;
	struct lz_elf_symbol symbol;
	struct lz_python_layout layout;

	cr_assert_eq(dl_iterate_phdr(find_object, &object), 1);
	cr_assert(lz_elf_symbols_open(&symbols, &lz_os_linux, object.start, object.bias, object.dynamic));
	cr_expect(lz_elf_symbol_find(&symbols, "_IO_2_1_stdout_", &symbol));
	cr_expect_eq(symbol.address, (uintptr_t)stdout);
	cr_expect_gt(symbol.size, 0);
	cr_expect_not(lz_elf_symbol_find(&symbols, "_PyRuntime", &symbol));
	cr_expect_not(lz_python_layout_find(&layout, &symbols), "the C library is no interpreter");
	cr_expect_not(lz_elf_symbols_open(&symbols, &lz_os_linux, object.start, object.bias, 0));
	cr_expect_not(lz_elf_symbols_open(&symbols, &lz_os_linux, object.start, object.bias, 4096 * 3));
}

/* A hash table with one bucket for the symbols Py_Version and _PyRuntime: an interpreter of any version. */
static struct {
	uint64_t version;
	struct {
		char cookie[8];
		uint64_t word[111];
	} runtime;
} interpreter;

static bool find_layout(struct lz_python_layout *layout)
{
	static const char strings[] = "\0Py_Version\0_PyRuntime";
	static ElfW(Sym) table[3];
	static struct {
		uint32_t buckets, first, bloom_words, bloom_shift;
		uint64_t bloom;
		uint32_t bucket, chain[2];
	} hash = {1, 1, 1, 6, ~UINT64_C(0), 1, {0, 0}};
	struct lz_elf_symbols symbols = {.os = &lz_os_linux,
		.symbols = (uintptr_t)table,
		.strings = (uintptr_t)strings,
		.hash = (uintptr_t)&hash};
	const char *name = &strings[1];

	table[1] = (ElfW(Sym)){.st_name = 1, .st_shndx = 1, .st_value = (uintptr_t)&interpreter.version};
	table[2] = (ElfW(Sym)){.st_name = 12, .st_shndx = 1, .st_value = (uintptr_t)&interpreter.runtime};
	for (unsigned i = 0; i < 2; i++, name += strlen(name) + 1) {
		uint32_t value = 5381;

		for (const char *at = name; *at != '\0'; at++)
			value = value * 33 + (unsigned char)*at;
		hash.chain[i] = (value & ~1u) | i;
	}
	return lz_python_layout_find(layout, &symbols);
}

Test(python, versions)
{
	struct lz_python_layout layout;

	interpreter.version = 0x030b02f0;
	cr_expect(find_layout(&layout));
	cr_expect_eq(layout.version, LZ_PYTHON_311);
	interpreter.version = 0x030c00c1;
	cr_expect(find_layout(&layout), "a release candidate");
	interpreter.version = 0x030a0df0;
	cr_expect_not(find_layout(&layout), "3.10");
	interpreter.version = 0x030e00b4;
	cr_expect_not(find_layout(&layout), "a beta version");

	interpreter.version = interpreter.runtime.word[0] = 0x030d05f0;
	for (unsigned i = 2; i < 111; i++)
		interpreter.runtime.word[i] = i * 8;
	cr_expect_not(find_layout(&layout), "no cookie");
	memcpy(interpreter.runtime.cookie, "xdebugpy", 8);
	cr_expect(find_layout(&layout));
	cr_expect_eq(layout.version, LZ_PYTHON_313);
	cr_expect_eq(layout.at[LZ_PYTHON_THREAD_FRAME], 22 * 8, "the 24th word of _Py_DebugOffsets");
	interpreter.runtime.word[1] = 1;
	cr_expect_not(find_layout(&layout), "free-threaded");
	interpreter.runtime.word[1] = 0;
	interpreter.version = 0x030d06f0;
	cr_expect_not(find_layout(&layout), "another version than _Py_DebugOffsets says");
	interpreter.version = interpreter.runtime.word[0] = 0x031000f0;
	cr_expect_not(find_layout(&layout), "3.16");
	interpreter.version = interpreter.runtime.word[0] = 0x030f02f0;
	cr_expect(find_layout(&layout));
	interpreter.runtime.word[25] = 1 << 20;
	cr_expect_not(find_layout(&layout), "an offset that cannot be");
}

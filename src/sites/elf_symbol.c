/* Looks up symbols of loaded objects; see elf_symbol.h. */
#include "sites/elf_symbol.h"

#include <elf.h>
#include <string.h>

#define DYNAMIC_ENTRIES_MAX 256u
#define NAME_MAX_BYTES 64u
#define CHAIN_MAX 4096u /* symbols of one bucket */

static bool copy(const struct lz_os *os, uint64_t address, void *to, size_t length)
{
	return os->read_memory((const void *)(uintptr_t)address, to, length) == (ssize_t)length;
}

bool lz_elf_symbols_open(struct lz_elf_symbols *tables, const struct lz_os *os, uint64_t start, uint64_t bias,
	uint64_t dynamic)
{
	Elf64_Dyn entry;

	*tables = (struct lz_elf_symbols){.os = os, .bias = bias};
	for (unsigned i = 0; dynamic != 0 && i < DYNAMIC_ENTRIES_MAX; i++) {
		uint64_t value;

		if (!copy(os, dynamic + i * sizeof entry, &entry, sizeof entry) || entry.d_tag == DT_NULL)
			break;
		/* glibc has replaced the values by addresses in most objects, musl in none. */
		value = entry.d_un.d_ptr < start ? entry.d_un.d_ptr + bias : entry.d_un.d_ptr;
		if (entry.d_tag == DT_SYMTAB)
			tables->symbols = value;
		else if (entry.d_tag == DT_STRTAB)
			tables->strings = value;
		else if (entry.d_tag == DT_GNU_HASH)
			tables->hash = value;
	}
	return tables->symbols != 0 && tables->strings != 0 && tables->hash != 0;
}

static uint32_t hash_of(const char *name)
{
	uint32_t hash = 5381;

	for (; *name != '\0'; name++)
		hash = hash * 33 + (unsigned char)*name;
	return hash;
}

/* Whether the symbol at an index is defined and has the name; then *symbol is set. */
static bool matches(
	const struct lz_elf_symbols *tables, uint32_t index, const char *name, struct lz_elf_symbol *symbol)
{
	size_t length = strlen(name) + 1;
	char found[NAME_MAX_BYTES];
	Elf64_Sym entry;

	if (length > sizeof found ||
		!copy(tables->os, tables->symbols + index * sizeof entry, &entry, sizeof entry) ||
		entry.st_shndx == SHN_UNDEF ||
		!copy(tables->os, tables->strings + entry.st_name, found, length) ||
		memcmp(found, name, length) != 0)
		return false;
	*symbol = (struct lz_elf_symbol){.address = tables->bias + entry.st_value, .size = entry.st_size};
	return true;
}

bool lz_elf_symbol_find(const struct lz_elf_symbols *tables, const char *name, struct lz_elf_symbol *symbol)
{
	struct {
		uint32_t buckets, first_symbol, bloom_words, bloom_shift;
	} header;
	uint32_t hash = hash_of(name), index, entry;
	uint64_t buckets, chain;

	if (!copy(tables->os, tables->hash, &header, sizeof header) || header.buckets == 0)
		return false;
	buckets = tables->hash + sizeof header + header.bloom_words * UINT64_C(8);
	chain = buckets + header.buckets * UINT64_C(4);
	if (!copy(tables->os, buckets + hash % header.buckets * UINT64_C(4), &index, sizeof index) ||
		index < header.first_symbol)
		return false;
	for (unsigned i = 0; i < CHAIN_MAX; i++, index++) {
		/* The hash of the symbol; its lowest bit marks the end of the bucket. */
		if (!copy(tables->os, chain + (index - header.first_symbol) * UINT64_C(4), &entry,
			    sizeof entry))
			return false;
		if ((entry | 1) == (hash | 1) && matches(tables, index, name, symbol))
			return true;
		if (entry & 1)
			return false;
	}
	return false;
}

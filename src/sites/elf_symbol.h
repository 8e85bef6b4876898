/*
 * Looks up symbols in the dynamic symbol table of a loaded object, by its GNU hash table, which every linker
 * on Linux writes. dlsym(3) takes the lock of the dynamic linker and may allocate, so it must not be called
 * from inside an allocation.
 *
 * All memory is read so that a wrong address cannot fault. Thread-safe and async-signal-safe: no lock, no
 * heap.
 */
#ifndef LZ_SITES_ELF_SYMBOL_H
#define LZ_SITES_ELF_SYMBOL_H

#include <stdbool.h>
#include <stdint.h>

#include "os/os.h"

struct lz_elf_symbols {
	const struct lz_os *os;
	uint64_t bias;                   /* add it to a value in the file to get an address */
	uint64_t symbols, strings, hash; /* addresses of the tables */
};

struct lz_elf_symbol {
	uint64_t address, size;
};

/*
 * Finds the tables of the object that is mapped at `start`. `dynamic` is the address of its dynamic section
 * (PT_DYNAMIC). Returns false if it has none or is not readable.
 */
bool lz_elf_symbols_open(struct lz_elf_symbols *tables, const struct lz_os *os, uint64_t start, uint64_t bias,
	uint64_t dynamic);

/* Finds a symbol that the object defines. Returns false if there is none. */
bool lz_elf_symbol_find(const struct lz_elf_symbols *tables, const char *name, struct lz_elf_symbol *symbol);

#endif

/*
 * Reads from an ELF file whether a library can be preloaded into it.
 *
 * The file may be hostile: every offset is checked against its length. Files of another class or byte order
 * than the command's own are only identified. Source: elf(5), the System V gABI.
 */
#ifndef LZ_CLI_LAUNCH_ELF_H
#define LZ_CLI_LAUNCH_ELF_H

#include <stdbool.h>
#include <stdint.h>

struct lz_elf {
	uint8_t elf_class;     /* ELFCLASS32, ELFCLASS64 */
	uint8_t byte_order;    /* ELFDATA2LSB, ELFDATA2MSB */
	uint16_t machine;      /* EM_X86_64, ... */
	bool is_dynamic;       /* it names a dynamic loader, or is one */
	bool is_musl;          /* the loader is that of the musl C library */
	const char *sanitizer; /* "AddressSanitizer", ... or NULL */
};

/*
 * Reads a file. Returns 0; -ENOEXEC if it is not an ELF file or is damaged; or the error of opening it. *elf
 * is set on success only.
 */
int lz_elf_inspect(const char *path, struct lz_elf *elf);

/* The usual name of the machine, or "unknown machine". */
const char *lz_elf_machine_name(const struct lz_elf *elf);

#endif

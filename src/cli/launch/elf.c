/* Reads ELF files; see elf.h. */
#include "cli/launch/elf.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define OWN_BYTE_ORDER ELFDATA2LSB
#else
#define OWN_BYTE_ORDER ELFDATA2MSB
#endif

#ifndef EM_LOONGARCH
#define EM_LOONGARCH 258
#endif

/* A file mapped into memory. Its headers may be unaligned and are therefore copied. */
struct image {
	const unsigned char *bytes;
	uint64_t size;
	Elf64_Ehdr header;
};

static bool copy_bytes(const struct image *image, uint64_t offset, void *out, uint64_t size)
{
	if (offset > image->size || size > image->size - offset)
		return false;
	memcpy(out, image->bytes + offset, size);
	return true;
}

static bool program_header(const struct image *image, unsigned index, Elf64_Phdr *header)
{
	uint64_t offset;

	return !__builtin_add_overflow(image->header.e_phoff, (uint64_t)index * sizeof *header, &offset) &&
	       copy_bytes(image, offset, header, sizeof *header);
}

/* Finds the first segment of a type. */
static bool find_segment(const struct image *image, uint32_t type, Elf64_Phdr *header)
{
	for (unsigned i = 0; i < image->header.e_phnum; i++) {
		if (!program_header(image, i, header))
			return false;
		if (header->p_type == type)
			return true;
	}
	return false;
}

/* The bytes of the file that a PT_LOAD segment maps at an address; NULL if there are none. */
static const char *file_bytes_at(const struct image *image, uint64_t address, uint64_t *available)
{
	Elf64_Phdr header;

	for (unsigned i = 0; i < image->header.e_phnum; i++) {
		uint64_t within;

		if (!program_header(image, i, &header))
			return NULL;
		within = address - header.p_vaddr;
		if (header.p_type != PT_LOAD || address < header.p_vaddr || within >= header.p_filesz)
			continue;
		if (header.p_offset > image->size || within >= image->size - header.p_offset)
			return NULL;
		*available = image->size - header.p_offset - within;
		return (const char *)image->bytes + header.p_offset + within;
	}
	return NULL;
}

static bool starts_with(const char *string, const char *start)
{
	return strncmp(string, start, strlen(start)) == 0;
}

/* Recognises a sanitizer by the name of its library or of a symbol in its runtime. */
static const char *match_sanitizer(const char *name)
{
	static const struct {
		const char *gcc_runtime, *clang_runtime, *symbol, *sanitizer;
	} known[] = {
		{"libasan.so", "libclang_rt.asan", "__asan_init", "AddressSanitizer"},
		{"libtsan.so", "libclang_rt.tsan", "__tsan_init", "ThreadSanitizer"},
		{"libmsan.so", "libclang_rt.msan", "__msan_init", "MemorySanitizer"},
		{"liblsan.so", "libclang_rt.lsan", "__lsan_init", "LeakSanitizer"},
		{"libhwasan.so", "libclang_rt.hwasan", "__hwasan_init", "HWAddressSanitizer"},
	};

	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (starts_with(name, known[i].gcc_runtime) || starts_with(name, known[i].clang_runtime) ||
			strcmp(name, known[i].symbol) == 0)
			return known[i].sanitizer;
	return NULL;
}

/* Searches the dynamic string table, which holds the names of both needed libraries and symbols. */
static const char *find_sanitizer(const char *strings, uint64_t size)
{
	const char *end = strings + size;

	while (strings < end) {
		const char *nul = memchr(strings, '\0', (size_t)(end - strings));
		const char *sanitizer;

		if (nul == NULL)
			return NULL;
		sanitizer = match_sanitizer(strings);
		if (sanitizer != NULL)
			return sanitizer;
		strings = nul + 1;
	}
	return NULL;
}

static void read_dynamic(const struct image *image, struct lz_elf *elf)
{
	uint64_t strings_at = 0, strings_size = 0, available;
	const char *strings;
	Elf64_Phdr segment;
	Elf64_Dyn entry;

	if (!find_segment(image, PT_DYNAMIC, &segment))
		return;
	for (uint64_t at = 0; at < segment.p_filesz; at += sizeof entry) {
		uint64_t offset;

		if (__builtin_add_overflow(segment.p_offset, at, &offset) ||
			!copy_bytes(image, offset, &entry, sizeof entry) || entry.d_tag == DT_NULL)
			break;
		if (entry.d_tag == DT_STRTAB)
			strings_at = entry.d_un.d_ptr;
		else if (entry.d_tag == DT_STRSZ)
			strings_size = entry.d_un.d_val;
		else if (entry.d_tag == DT_SONAME)
			elf->is_dynamic = true; /* a dynamic loader has a soname, a static program has none */
	}
	strings = file_bytes_at(image, strings_at, &available);
	if (strings != NULL)
		elf->sanitizer = find_sanitizer(strings, strings_size < available ? strings_size : available);
}

static void read_interpreter(const struct image *image, struct lz_elf *elf)
{
	char path[256] = "";
	Elf64_Phdr segment;

	if (!find_segment(image, PT_INTERP, &segment))
		return;
	elf->is_dynamic = true;
	if (segment.p_filesz < sizeof path && copy_bytes(image, segment.p_offset, path, segment.p_filesz))
		elf->is_musl = strstr(path, "/ld-musl-") != NULL;
}

static int read_image(struct image *image, struct lz_elf *elf)
{
	unsigned char identity[EI_NIDENT];
	uint16_t machine;

	if (!copy_bytes(image, 0, identity, sizeof identity) || memcmp(identity, ELFMAG, SELFMAG) != 0 ||
		!copy_bytes(image, offsetof(Elf64_Ehdr, e_machine), &machine, sizeof machine))
		return -ENOEXEC;
	*elf = (struct lz_elf){.elf_class = identity[EI_CLASS], .byte_order = identity[EI_DATA]};
	elf->machine = elf->byte_order == OWN_BYTE_ORDER ? machine : __builtin_bswap16(machine);
	if (elf->elf_class != ELFCLASS64 || elf->byte_order != OWN_BYTE_ORDER)
		return 0;
	if (!copy_bytes(image, 0, &image->header, sizeof image->header) ||
		image->header.e_phentsize != sizeof(Elf64_Phdr))
		return -ENOEXEC;
	for (unsigned i = 0; i < image->header.e_phnum; i++) {
		Elf64_Phdr header;

		if (!program_header(image, i, &header))
			return -ENOEXEC;
	}
	read_interpreter(image, elf);
	read_dynamic(image, elf);
	return 0;
}

int lz_elf_inspect(const char *path, struct lz_elf *elf)
{
	struct image image = {.size = 0};
	struct stat status;
	void *mapped;
	int error;
	/* O_NONBLOCK, since opening a FIFO could block for ever. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0)
		return -errno;
	if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode) || status.st_size <= 0) {
		close(fd);
		return -ENOEXEC;
	}
	mapped = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	error = mapped == MAP_FAILED ? -errno : 0;
	close(fd);
	if (error)
		return error;
	image.bytes = mapped;
	image.size = (uint64_t)status.st_size;
	error = read_image(&image, elf);
	munmap(mapped, (size_t)status.st_size);
	return error;
}

const char *lz_elf_machine_name(const struct lz_elf *elf)
{
	static const struct {
		uint16_t machine;
		const char *name;
	} names[] = {
		{EM_386, "i386"},
		{EM_X86_64, "x86-64"},
		{EM_ARM, "arm"},
		{EM_AARCH64, "arm64"},
		{EM_RISCV, "riscv"},
		{EM_PPC, "ppc"},
		{EM_PPC64, "ppc64"},
		{EM_S390, "s390"},
		{EM_LOONGARCH, "loongarch"},
	};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (names[i].machine == elf->machine)
			return names[i].name;
	return "unknown machine";
}

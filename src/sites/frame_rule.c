/* Interprets call frame information; see frame_rule.h. */
#include "sites/frame_rule.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "os/copy_from_program.h"
#include "os/scratch.h"

/* Register numbers of the ABIs (DWARF). */
#if defined __aarch64__
#define REGISTER_FRAME 29u
#define REGISTER_STACK 31u
#else
#define REGISTER_FRAME 6u
#define REGISTER_STACK 7u
#endif

#define DEPTH 8u /* of DW_CFA_remember_state */

/* A part of the memory of the program, copied. */
struct bytes {
	uint64_t address; /* of data[0] in the program */
	const uint8_t *data;
	size_t length, at;
	bool failed; /* read beyond the end, or not understood */
};

struct saved {
	uint8_t base;
	int64_t offset;
};

struct row {
	struct saved cfa, pointer, back;
	bool cfa_is_loaded;
};

struct parser {
	uint64_t code_align, return_register;
	int64_t data_align;
	uint8_t encoding; /* of addresses in the FDE */
	bool has_augmentation, is_signal_frame;
	unsigned depth;
	struct row row, initial, saved[DEPTH];
	uint8_t cie[512], fde[2560];
};

static uint64_t take(struct bytes *bytes, unsigned size)
{
	uint64_t value = 0;

	if (bytes->length - bytes->at < size) {
		bytes->failed = true;
		bytes->at = bytes->length;
		return 0;
	}
	memcpy(&value, bytes->data + bytes->at, size); /* both machines are little-endian */
	bytes->at += size;
	return value;
}

static uint64_t take_uleb(struct bytes *bytes)
{
	uint64_t value = 0, byte;
	unsigned shift = 0;

	do {
		byte = take(bytes, 1);
		value |= shift < 64 ? (byte & 0x7f) << shift : 0;
		shift += 7;
	} while (byte & 0x80);
	return value;
}

static int64_t take_sleb(struct bytes *bytes)
{
	uint64_t value = 0, byte;
	unsigned shift = 0;

	do {
		byte = take(bytes, 1);
		value |= shift < 64 ? (byte & 0x7f) << shift : 0;
		shift += 7;
	} while (byte & 0x80);
	if (shift < 64 && byte & 0x40)
		value |= -(UINT64_C(1) << shift);
	return (int64_t)value;
}

/* An address in one of the encodings DW_EH_PE_*: the format, relative to its own place or not. */
static uint64_t take_encoded(struct bytes *bytes, uint8_t encoding)
{
	uint64_t place = bytes->address + bytes->at, value;

	switch (encoding & 0x0f) {
	case 0x00: /* absptr */
	case 0x04: /* udata8 */
	case 0x0c: /* sdata8 */
		value = take(bytes, 8);
		break;
	case 0x03: /* udata4 */
		value = take(bytes, 4);
		break;
	case 0x0b: /* sdata4 */
		value = (uint64_t)(int64_t)(int32_t)take(bytes, 4);
		break;
	default:
		bytes->failed = true;
		return 0;
	}
	if ((encoding & 0x70) == 0x10) /* pcrel */
		value += place;
	else if ((encoding & 0x70) != 0)
		bytes->failed = true;
	return value;
}

/* Copies an entry of .eh_frame, whose length stands before it. Its end is cut off if it does not fit. */
static int copy_entry(
	const struct lz_os *os, uint64_t address, uint8_t *buffer, size_t capacity, struct bytes *entry)
{
	uint32_t length;

	if (!lz_copy_from_program(os, (const void *)address, &length, sizeof length))
		return -EFAULT;
	if (length == 0 || length >= 0xfffffff0)
		return -ENOTSUP;
	*entry = (struct bytes){.address = address + 4, .data = buffer, .length = length};
	if (entry->length > capacity)
		entry->length = capacity;
	return lz_copy_from_program(os, (const void *)(address + 4), buffer, entry->length) ? 0 : -EFAULT;
}

/* Parses the header of a common information entry; its instructions follow. */
static int parse_cie(struct parser *parser, struct bytes *cie)
{
	const char *augmentation;
	uint8_t version;

	if (take(cie, 4) != 0)
		return -ENOTSUP;
	version = (uint8_t)take(cie, 1);
	augmentation = (const char *)cie->data + cie->at;
	cie->at += strnlen(augmentation, cie->length - cie->at);
	take(cie, 1);
	parser->code_align = take_uleb(cie);
	parser->data_align = take_sleb(cie);
	parser->return_register = version == 1 ? take(cie, 1) : take_uleb(cie);
	if (cie->failed || (version != 1 && version != 3) || (*augmentation != 'z' && *augmentation != '\0'))
		return -ENOTSUP;
	parser->has_augmentation = *augmentation == 'z';
	if (parser->has_augmentation) {
		uint64_t length = take_uleb(cie);
		size_t end = cie->at + length;

		while (*++augmentation != '\0') {
			if (*augmentation == 'R')
				parser->encoding = (uint8_t)take(cie, 1);
			else if (*augmentation == 'S')
				parser->is_signal_frame = true;
			else if (*augmentation == 'L')
				take(cie, 1);
			else if (*augmentation == 'P')
				/* Relative to what does not matter for skipping it. */
				take_encoded(cie, (uint8_t)(take(cie, 1) & 0x0f));
			else if (*augmentation != 'B') /* pointers are signed on arm64 */
				break;
		}
		if (length > cie->length || end > cie->length)
			return -ENOTSUP;
		cie->at = end;
	}
	return cie->failed ? -ENOTSUP : 0;
}

static uint8_t base_of_register(uint64_t number)
{
	return number == REGISTER_STACK   ? LZ_FRAME_STACK_POINTER
	       : number == REGISTER_FRAME ? LZ_FRAME_FRAME_POINTER
					  : LZ_FRAME_UNKNOWN;
}

static struct saved *rule_of(struct parser *parser, uint64_t number)
{
	return number == parser->return_register ? &parser->row.back
	       : number == REGISTER_FRAME        ? &parser->row.pointer
						 : NULL;
}

static void save(struct parser *parser, uint64_t number, uint8_t base, int64_t offset)
{
	struct saved *rule = rule_of(parser, number);

	if (rule != NULL)
		*rule = (struct saved){base, offset};
}

static void restore_initial(struct parser *parser, uint64_t number)
{
	if (number == parser->return_register)
		parser->row.back = parser->initial.back;
	else if (number == REGISTER_FRAME)
		parser->row.pointer = parser->initial.pointer;
}

/*
 * A DWARF expression: the two forms that compilers use for frames, a register and an offset (DW_OP_breg), and
 * the word that is stored there (DW_OP_deref). Others give LZ_FRAME_UNKNOWN.
 */
static struct saved take_expression(struct bytes *program, bool *is_loaded)
{
	uint64_t length = take_uleb(program);
	size_t end = program->at + length;
	struct saved place = {LZ_FRAME_UNKNOWN, 0};
	uint64_t operation;

	*is_loaded = false;
	if (length > program->length - program->at) {
		program->failed = true;
		return place;
	}
	operation = take(program, 1);
	if (operation >= 0x70 && operation <= 0x8f) {
		place = (struct saved){base_of_register(operation - 0x70), take_sleb(program)};
		*is_loaded = program->at + 1 == end && program->data[program->at] == 0x06;
		if (!*is_loaded && program->at != end)
			place.base = LZ_FRAME_UNKNOWN;
	}
	program->at = end;
	return place;
}

static void interpret_saved_register(struct parser *parser, struct bytes *program, unsigned operation)
{
	uint64_t number = take_uleb(program);
	struct saved place;
	bool is_loaded;

	switch (operation) {
	case 0x05: /* DW_CFA_offset_extended */
		save(parser, number, LZ_FRAME_CFA, (int64_t)take_uleb(program) * parser->data_align);
		break;
	case 0x11: /* DW_CFA_offset_extended_sf */
		save(parser, number, LZ_FRAME_CFA, take_sleb(program) * parser->data_align);
		break;
	case 0x06: /* DW_CFA_restore_extended */
		restore_initial(parser, number);
		break;
	case 0x07: /* DW_CFA_undefined */
		save(parser, number, LZ_FRAME_UNDEFINED, 0);
		break;
	case 0x08: /* DW_CFA_same_value */
		save(parser, number, LZ_FRAME_UNKNOWN, 0);
		break;
	case 0x10: /* DW_CFA_expression */
		place = take_expression(program, &is_loaded);
		save(parser, number, place.base, place.offset);
		if ((is_loaded || place.base == LZ_FRAME_UNKNOWN) && rule_of(parser, number) != NULL)
			program->failed = true;
		break;
	case 0x16: /* DW_CFA_val_expression */
		take_expression(program, &is_loaded);
		program->failed |= rule_of(parser, number) != NULL;
		break;
	default: /* DW_CFA_register, DW_CFA_val_offset, DW_CFA_val_offset_sf */
		take_uleb(program);
		program->failed |= rule_of(parser, number) != NULL;
		break;
	}
}

static void interpret_cfa(struct parser *parser, struct bytes *program, unsigned operation)
{
	struct row *row = &parser->row;

	if (operation == 0x0c || operation == 0x12 ||
		operation == 0x0d) { /* DW_CFA_def_cfa, _sf, _register */
		row->cfa.base = base_of_register(take_uleb(program));
		row->cfa_is_loaded = false;
	}
	if (operation == 0x0c || operation == 0x0e) /* and DW_CFA_def_cfa_offset */
		row->cfa.offset = (int64_t)take_uleb(program);
	else if (operation == 0x12 || operation == 0x13) /* and DW_CFA_def_cfa_offset_sf */
		row->cfa.offset = take_sleb(program) * parser->data_align;
	else if (operation == 0x0f) /* DW_CFA_def_cfa_expression */
		row->cfa = take_expression(program, &row->cfa_is_loaded);
}

static void remember_or_restore(struct parser *parser, struct bytes *program, bool restore)
{
	if (restore ? parser->depth == 0 : parser->depth == DEPTH)
		program->failed = true;
	else if (restore)
		parser->row = parser->saved[--parser->depth];
	else
		parser->saved[parser->depth++] = parser->row;
}

/* Interprets a program up to the row of pc, which starts at *location. */
static int interpret(struct parser *parser, struct bytes *program, uint64_t location, uint64_t pc)
{
	while (program->at < program->length && !program->failed) {
		unsigned operation = (unsigned)take(program, 1), low = operation & 0x3f;
		uint64_t advance = 0;

		if (operation >> 6 == 1) { /* DW_CFA_advance_loc */
			advance = low;
		} else if (operation >> 6 == 2) { /* DW_CFA_offset */
			save(parser, low, LZ_FRAME_CFA, (int64_t)take_uleb(program) * parser->data_align);
		} else if (operation >> 6 == 3) { /* DW_CFA_restore */
			restore_initial(parser, low);
		} else if (operation >= 0x02 && operation <= 0x04) { /* DW_CFA_advance_loc1, 2, 4 */
			advance = take(program, 1u << (operation - 2));
		} else if (operation == 0x01) { /* DW_CFA_set_loc */
			advance = take_encoded(program, parser->encoding) - location;
			advance /= parser->code_align != 0 ? parser->code_align : 1;
		} else if (operation == 0x0a ||
			   operation == 0x0b) { /* DW_CFA_remember_state, restore_state */
			remember_or_restore(parser, program, operation == 0x0b);
		} else if ((operation >= 0x0c && operation <= 0x0f) || operation == 0x12 ||
			   operation == 0x13) {
			interpret_cfa(parser, program, operation);
		} else if (operation == 0x2e) { /* DW_CFA_GNU_args_size */
			take_uleb(program);
		} else if ((operation >= 0x05 && operation <= 0x09) || operation == 0x10 ||
			   operation == 0x11 || (operation >= 0x14 && operation <= 0x16)) {
			interpret_saved_register(parser, program, operation);
		} else if (operation != 0x00 &&
			   operation != 0x2d) { /* 0x2d: a signed return address (arm64) */
			return -ENOTSUP;
		}
		location += advance * parser->code_align;
		if (location > pc)
			return 0;
	}
	return program->failed ? -ENOTSUP : 0;
}

/* Finds the frame description entry of pc in the sorted table of .eh_frame_hdr. Returns its address. */
__attribute__((noinline)) static int search_table(
	const struct lz_os *os, uint64_t header, uint64_t pc, uint64_t *fde)
{
	struct {
		uint8_t version, frame_encoding, count_encoding, table_encoding;
		int32_t frame;
		uint32_t count;
	} start;
	struct {
		int32_t location, fde;
	} entry;
	uint32_t low = 0, high;
	const uint64_t table = header + sizeof start;

	if (!lz_copy_from_program(os, (const void *)header, &start, sizeof start))
		return -EFAULT;
	/* The only form that linkers write: a pointer of 4 bytes, a count of 4, a table of pairs of 4. */
	if (start.version != 1 || (start.frame_encoding & 0x0f) != 0x0b || start.count_encoding != 0x03 ||
		start.table_encoding != 0x3b)
		return -ENOTSUP;
	high = start.count;
	*fde = 0;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (!lz_copy_from_program(
			    os, (const void *)(table + middle * sizeof entry), &entry, sizeof entry))
			return -EFAULT;
		if (header + (uint64_t)(int64_t)entry.location <= pc) {
			*fde = header + (uint64_t)(int64_t)entry.fde;
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return *fde != 0 ? 0 : -ENOENT;
}

static int parse_entries(struct parser *parser, const struct lz_os *os, uint64_t address, uint64_t pc)
{
	struct bytes cie, fde;
	uint64_t start, length, cie_offset, skipped;
	int error = copy_entry(os, address, parser->fde, sizeof parser->fde, &fde);

	if (error)
		return error;
	cie_offset = take(&fde, 4);
	if (cie_offset == 0)
		return -ENOTSUP;
	error = copy_entry(os, address + 4 - cie_offset, parser->cie, sizeof parser->cie, &cie);
	if (error == 0)
		error = parse_cie(parser, &cie);
	if (error)
		return error;
	start = take_encoded(&fde, parser->encoding);
	length = take_encoded(&fde, parser->encoding & 0x0f);
	if (fde.failed)
		return -ENOTSUP;
	if (pc < start || pc - start >= length)
		return -ENOENT;
	if (parser->has_augmentation) {
		skipped = take_uleb(&fde);
		if (skipped > fde.length - fde.at)
			return -ENOTSUP;
		fde.at += skipped;
	}
	error = interpret(parser, &cie, start, UINT64_MAX);
	parser->initial = parser->row;
	return error != 0 ? error : interpret(parser, &fde, start, pc);
}

static bool fits(int64_t offset)
{
	return offset >= INT32_MIN && offset <= INT32_MAX;
}

int lz_frame_rule_find(const struct lz_os *os, uint64_t header, uint64_t pc, struct lz_frame_rule *rule)
{
	struct parser *parser;
	const struct row *row;
	uint64_t fde;
	int error = search_table(os, header, pc, &fde);

	_Static_assert(sizeof *parser <= LZ_SCRATCH_BYTES, "it fits a scratch buffer");
	if (error)
		return error;
	parser = lz_scratch_take(os);
	if (parser == NULL)
		return -ENOMEM;
	memset(parser, 0, offsetof(struct parser, cie));
	error = parse_entries(parser, os, fde, pc);
	row = &parser->row;
	if (error == 0 && (!fits(row->cfa.offset) || !fits(row->back.offset) || !fits(row->pointer.offset)))
		error = -ENOTSUP;
	if (error == 0)
		*rule = (struct lz_frame_rule){.cfa_offset = (int32_t)row->cfa.offset,
			.return_offset = (int32_t)row->back.offset,
			.pointer_offset = (int32_t)row->pointer.offset,
			.cfa_base = row->cfa.base,
			.cfa_is_loaded = row->cfa_is_loaded,
			.return_base = row->back.base,
			.pointer_base = row->pointer.base,
			.is_signal_frame = parser->is_signal_frame};
	lz_scratch_release(os, parser);
	return error;
}

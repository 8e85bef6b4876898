/* The structures of CPython; see python_layout.h. */
#include "sites/python_layout.h"

#include <string.h>

#define OFFSET_MAX 4096u
#define RELEASE_LEVEL_CANDIDATE 0xcu

static const struct lz_python_layout known_layouts[] = {
	{.version = LZ_PYTHON_311,
		.at = {[LZ_PYTHON_THREAD_FRAME] = 56,
			[LZ_PYTHON_FRAME_PREVIOUS] = 48,
			[LZ_PYTHON_FRAME_CODE] = 32,
			[LZ_PYTHON_FRAME_INSTRUCTION] = 56,
			[LZ_PYTHON_FRAME_OWNER] = 69,
			[LZ_PYTHON_CODE_FILE] = 112,
			[LZ_PYTHON_CODE_FUNCTION] = 128,
			[LZ_PYTHON_CODE_LINES] = 136,
			[LZ_PYTHON_CODE_FIRST_LINE] = 72,
			[LZ_PYTHON_CODE_INSTRUCTIONS] = 184,
			[LZ_PYTHON_OBJECT_TYPE] = 8,
			[LZ_PYTHON_BYTES_LENGTH] = 16,
			[LZ_PYTHON_BYTES_DATA] = 32,
			[LZ_PYTHON_TEXT_STATE] = 32,
			[LZ_PYTHON_TEXT_LENGTH] = 16,
			[LZ_PYTHON_TEXT_ASCII_DATA] = 48},
		.text_data = 72,
		.cframe_frame = 8,
		.cframe_previous = 16,
		.frame_is_entry = 68},
	{.version = LZ_PYTHON_312,
		.at = {[LZ_PYTHON_THREAD_FRAME] = 56,
			[LZ_PYTHON_FRAME_PREVIOUS] = 8,
			[LZ_PYTHON_FRAME_CODE] = 0,
			[LZ_PYTHON_FRAME_INSTRUCTION] = 56,
			[LZ_PYTHON_FRAME_OWNER] = 70,
			[LZ_PYTHON_CODE_FILE] = 112,
			[LZ_PYTHON_CODE_FUNCTION] = 128,
			[LZ_PYTHON_CODE_LINES] = 136,
			[LZ_PYTHON_CODE_FIRST_LINE] = 68,
			[LZ_PYTHON_CODE_INSTRUCTIONS] = 192,
			[LZ_PYTHON_OBJECT_TYPE] = 8,
			[LZ_PYTHON_BYTES_LENGTH] = 16,
			[LZ_PYTHON_BYTES_DATA] = 32,
			[LZ_PYTHON_TEXT_STATE] = 32,
			[LZ_PYTHON_TEXT_LENGTH] = 16,
			[LZ_PYTHON_TEXT_ASCII_DATA] = 40},
		.text_data = 56,
		.cframe_frame = 0},
};

/* The 8-byte words of _Py_DebugOffsets that hold each offset. */
static const struct {
	uint16_t version;
	uint8_t word[LZ_PYTHON_MEMBERS];
} debug_offsets[] = {
	{0x030d, {23, 29, 30, 31, 33, 35, 37, 38, 39, 45, 43, 65, 66, 68, 69, 70}},
	{0x030e, {26, 32, 33, 34, 36, 40, 42, 43, 44, 51, 48, 75, 76, 78, 79, 80}},
	{0x030f, {26, 40, 41, 42, 44, 48, 50, 51, 52, 59, 56, 87, 88, 90, 91, 92}},
};

static bool read_debug_offsets(
	struct lz_python_layout *layout, const struct lz_elf_symbols *symbols, uint64_t version)
{
	struct {
		char cookie[8];
		uint64_t version, free_threaded;
	} start;
	struct lz_elf_symbol runtime;

	if (!lz_elf_symbol_find(symbols, "_PyRuntime", &runtime) ||
		symbols->os->read_memory((const void *)(uintptr_t)runtime.address, &start, sizeof start) !=
			(ssize_t)sizeof start ||
		memcmp(start.cookie, "xdebugpy", sizeof start.cookie) != 0 || start.version != version ||
		start.free_threaded != 0)
		return false;
	for (unsigned i = 0; i < sizeof debug_offsets / sizeof *debug_offsets; i++) {
		if (debug_offsets[i].version != version >> 16)
			continue;
		for (unsigned member = 0; member < LZ_PYTHON_MEMBERS; member++) {
			uint64_t offset, at = runtime.address + debug_offsets[i].word[member] * UINT64_C(8);

			if (symbols->os->read_memory((const void *)(uintptr_t)at, &offset, sizeof offset) !=
					(ssize_t)sizeof offset ||
				offset > OFFSET_MAX)
				return false;
			layout->at[member] = (uint16_t)offset;
		}
		/* Followed by the length and the pointer of the UTF-8 form. */
		layout->text_data = (uint16_t)(layout->at[LZ_PYTHON_TEXT_ASCII_DATA] + 16);
		layout->version = debug_offsets[i].version;
		return true;
	}
	return false;
}

bool lz_python_layout_find(struct lz_python_layout *layout, const struct lz_elf_symbols *symbols)
{
	struct lz_elf_symbol symbol;
	uint64_t version;

	/* PY_VERSION_HEX: major, minor, patch, release level and serial. */
	if (!lz_elf_symbol_find(symbols, "Py_Version", &symbol) ||
		symbols->os->read_memory((const void *)(uintptr_t)symbol.address, &version, sizeof version) !=
			(ssize_t)sizeof version ||
		(version >> 4 & 0xf) < RELEASE_LEVEL_CANDIDATE)
		return false;
	for (unsigned i = 0; i < sizeof known_layouts / sizeof *known_layouts; i++)
		if (known_layouts[i].version == version >> 16) {
			*layout = known_layouts[i];
			return true;
		}
	*layout = (struct lz_python_layout){0};
	return read_debug_offsets(layout, symbols, version);
}

/*
 * Where the members of CPython's structures are, for the versions 3.11 to 3.15.
 *
 * 3.11 and 3.12: a table of offsets. From 3.13 on the interpreter describes itself: _PyRuntime begins with
 * _Py_DebugOffsets (Include/internal/pycore_debug_offsets.h), whose own members differ from version to
 * version. Unknown versions, versions before their first release candidate, and free-threaded builds are
 * rejected.
 */
#ifndef LZ_SITES_PYTHON_LAYOUT_H
#define LZ_SITES_PYTHON_LAYOUT_H

#include <stdbool.h>
#include <stdint.h>

#include "sites/elf_symbol.h"

enum lz_python_member {
	LZ_PYTHON_THREAD_FRAME, /* 3.11, 3.12: pointer to a _PyCFrame; from 3.13 on: to the innermost frame */
	LZ_PYTHON_FRAME_PREVIOUS,
	LZ_PYTHON_FRAME_CODE,
	LZ_PYTHON_FRAME_INSTRUCTION,
	LZ_PYTHON_FRAME_OWNER,
	LZ_PYTHON_CODE_FILE,
	LZ_PYTHON_CODE_FUNCTION,
	LZ_PYTHON_CODE_LINES,
	LZ_PYTHON_CODE_FIRST_LINE,
	LZ_PYTHON_OBJECT_TYPE,
	LZ_PYTHON_CODE_INSTRUCTIONS,
	LZ_PYTHON_BYTES_LENGTH,
	LZ_PYTHON_BYTES_DATA,
	LZ_PYTHON_TEXT_STATE,
	LZ_PYTHON_TEXT_LENGTH,
	LZ_PYTHON_TEXT_ASCII_DATA, /* of ASCII text */
	LZ_PYTHON_MEMBERS
};

struct lz_python_layout {
	uint16_t version; /* 0x030b is 3.11 */
	uint16_t at[LZ_PYTHON_MEMBERS];
	uint16_t text_data; /* of text that is not ASCII */
	/* 3.11 and 3.12: in a _PyCFrame, which is on the C stack: pointer to the innermost frame. */
	uint16_t cframe_frame;
	/* 3.11: pointer to the next outer one; and a byte, 1 in the outermost frame that a call of it runs.
	 */
	uint16_t cframe_previous, frame_is_entry;
};

#define LZ_PYTHON_311 0x030bu
#define LZ_PYTHON_312 0x030cu
#define LZ_PYTHON_313 0x030du

/* Frames owned by the interpreter or the C stack, which are no function's. */
#define LZ_PYTHON_OWNER_INTERPRETER 3u

/* Returns whether the object with these symbols is an interpreter whose structures are known. */
bool lz_python_layout_find(struct lz_python_layout *layout, const struct lz_elf_symbols *symbols);

#endif

/*
 * The Python frames of the calling thread: which code objects CPython's interpreter runs, and at which
 * instructions.
 *
 * Interpreters are recognised among the modules of stacks (modules.h). Their structures are read, so that
 * nothing can fault; only PyGILState_GetThisThreadState is called, which reads a thread-local variable:
 * PyEval_GetFrame and others crash when they are called from inside an allocation. It is called only while
 * the stack of this thread has a frame of that interpreter: then the interpreter is loaded, and the variable
 * exists.
 *
 * Why not _PyThreadState_UncheckedGet (PyThreadState_GetUnchecked): it has no thread state while the thread
 * does not hold the GIL, and in 3.11 that of another thread. numpy releases the GIL for the calloc of
 * np.zeros. The frames of a thread do not change meanwhile, because it is the only one that runs them.
 *
 * Versions that are not known (python_layout.h) have no Python frames.
 *
 * Thread-safe and async-signal-safe: no lock, no heap.
 */
#ifndef LZ_SITES_PYTHON_H
#define LZ_SITES_PYTHON_H

#include <stdbool.h>
#include <stdint.h>

#include "sites/modules.h"
#include "sites/python_layout.h"
#include "sites/stack.h"

#define LZ_PYTHON_FRAMES 24u
#define LZ_PYTHONS 4u /* interpreters in one process */

struct lz_python {
	_Atomic bool known; /* the other members are valid */
	struct lz_python_layout layout;
	uint8_t file_header[64];          /* the start of the module, to recognise it */
	unsigned frame_bytes, code_bytes; /* of a frame and a code object that hold the members */
	uint64_t start, end;              /* addresses of the module */
	uint64_t eval_start, eval_end;    /* 3.11: of the function that runs frames */
	uint64_t code_type, text_type, bytes_type;
	void *(*thread_state)(void);
};

struct lz_pythons {
	_Atomic uint32_t examined; /* modules that were, in the order of their numbers */
	_Atomic uint32_t count;    /* entries given out, more than LZ_PYTHONS if there were too many */
	struct lz_python entry[LZ_PYTHONS];
};

struct lz_python_frame {
	uint64_t code;        /* address of the code object, or of something else, which must be checked */
	uint64_t instruction; /* address of the instruction */
	/*
	 * Of the outermost frame that one call of the interpreter runs: an address in the C stack frame of
	 * the function that runs it. Of others 0.
	 */
	uint64_t call;
};

struct lz_python_stack {
	const struct lz_python *python; /* NULL: there are no frames */
	uint64_t key; /* hash of the frames and of the contents of the innermost code object */
	unsigned count;
	struct lz_python_frame frame[LZ_PYTHON_FRAMES]; /* innermost first */
};

/*
 * Gets the Python frames of the calling thread, whose stack has been walked: 3 to 8 us. A program that frees
 * code objects may get another one at the same address; only the innermost is checked for that, because each
 * read of memory takes 0.5 to 2 us.
 */
void lz_python_walk(struct lz_python_stack *frames, struct lz_pythons *pythons,
	const struct lz_site_modules *modules, const struct lz_stack *stack);

/* Has all modules examined again: the table of modules was emptied. There are no other threads. */
void lz_pythons_examine_again(struct lz_pythons *pythons);

/* What is known of a code object. */
struct lz_python_code {
	uint64_t file, function, lines; /* addresses of objects */
	int32_t first_line;
};

/* Reads the code object at an address. Returns false if it is none. */
bool lz_python_code_read(struct lz_python_code *code, const struct lz_os *os, const struct lz_python *python,
	uint64_t address);

#endif

/* Walks Python frames; see python.h. */
#include "sites/python.h"

#include <stdatomic.h>
#include <string.h>

#include "base/checked.h"
#include "os/scratch.h"

#define STEPS_MAX 64u /* frames of the interpreter itself included */
#define FRAME_BYTES 128u
#define CODE_BYTES 256u
#define WINDOW_BYTES 1792u
#define TAG_BITS UINT64_C(3) /* of references in frames, from 3.14 on (Py_TAG_BITS) */

/* Memory around a frame that was read last. */
struct window {
	uint64_t start;
	size_t length;
	uint8_t bytes[WINDOW_BYTES];
};

struct walk {
	const struct lz_os *os;
	const struct lz_python *python;
	uint64_t cframe; /* 3.11, 3.12 */
	unsigned last;   /* the window that was used last */
	/* Frames are on the interpreter's own stack, where outer ones come before, and on the C stack. */
	struct window window[2];
};

static bool load(const struct lz_os *os, uint64_t address, void *to, size_t length)
{
	return address > 4096 &&
	       os->read_memory((const void *)(uintptr_t)address, to, length) == (ssize_t)length;
}

static uint64_t word(const uint8_t *bytes, unsigned offset)
{
	uint64_t value;

	memcpy(&value, bytes + offset, sizeof value);
	return value;
}

/* --- finding interpreters --- */

static uint64_t address_of(const struct lz_elf_symbols *symbols, const char *name)
{
	struct lz_elf_symbol symbol;

	return lz_elf_symbol_find(symbols, name, &symbol) ? symbol.address : 0;
}

/* The bytes of a structure that hold the members from first to last. */
static unsigned bytes_of(const struct lz_python_layout *layout, unsigned first, unsigned last)
{
	unsigned bytes = 0;

	for (unsigned i = first; i <= last; i++)
		bytes = (unsigned)lz_max_u64(bytes, layout->at[i] + 8u);
	return bytes;
}

/* Whether an interpreter is where it was. Another object may be in the place of one that was unloaded. */
__attribute__((noinline)) static bool is_present(const struct lz_python *python, const struct lz_os *os)
{
	uint8_t header[sizeof python->file_header];

	return atomic_load_explicit(&python->known, memory_order_acquire) &&
	       load(os, python->start, header, sizeof header) &&
	       memcmp(header, python->file_header, sizeof header) == 0;
}

static bool is_known(const struct lz_pythons *pythons, const struct lz_os *os, uint64_t start)
{
	for (unsigned i = 0; i < LZ_PYTHONS; i++)
		if (pythons->entry[i].start == start && is_present(&pythons->entry[i], os))
			return true;
	return false;
}

__attribute__((noinline)) static void examine(
	struct lz_pythons *pythons, const struct lz_os *os, const struct lz_site_module *module)
{
	struct lz_python_layout layout;
	struct lz_elf_symbols symbols;
	struct lz_elf_symbol eval = {0};
	struct lz_python *python;
	uint64_t getter;
	uint32_t index;

	if (is_known(pythons, os, module->module.start) ||
		!lz_elf_symbols_open(&symbols, os, module->module.start, module->bias, module->dynamic) ||
		!lz_python_layout_find(&layout, &symbols) ||
		bytes_of(&layout, LZ_PYTHON_FRAME_PREVIOUS, LZ_PYTHON_FRAME_OWNER) > FRAME_BYTES ||
		bytes_of(&layout, LZ_PYTHON_CODE_FILE, LZ_PYTHON_OBJECT_TYPE) > CODE_BYTES)
		return;
	getter = address_of(&symbols, "PyGILState_GetThisThreadState");
	if (getter == 0 || (layout.version == LZ_PYTHON_311 &&
				   !lz_elf_symbol_find(&symbols, "_PyEval_EvalFrameDefault", &eval)))
		return;
	index = atomic_fetch_add_explicit(&pythons->count, 1, memory_order_relaxed);
	if (index >= LZ_PYTHONS)
		return;
	python = &pythons->entry[index];
	python->layout = layout;
	memcpy(python->file_header, module->file_header, sizeof python->file_header);
	python->frame_bytes = bytes_of(&layout, LZ_PYTHON_FRAME_PREVIOUS, LZ_PYTHON_FRAME_OWNER);
	python->code_bytes = bytes_of(&layout, LZ_PYTHON_CODE_FILE, LZ_PYTHON_OBJECT_TYPE);
	python->start = module->module.start;
	python->end = module->end;
	python->eval_start = eval.address;
	python->eval_end = eval.address + eval.size;
	python->code_type = address_of(&symbols, "PyCode_Type");
	python->text_type = address_of(&symbols, "PyUnicode_Type");
	python->bytes_type = address_of(&symbols, "PyBytes_Type");
	memcpy(&python->thread_state, &getter, sizeof python->thread_state);
	atomic_store_explicit(&python->known, true, memory_order_release);
}

/* Examines the modules that were added. One that is being added is left for later. */
static void examine_new_modules(struct lz_pythons *pythons, const struct lz_site_modules *modules)
{
	uint32_t index = atomic_load_explicit(&pythons->examined, memory_order_relaxed);

	while (index < LZ_MODULES && index < atomic_load_explicit(&modules->count, memory_order_relaxed) &&
		atomic_load_explicit(&modules->entry[index].known, memory_order_acquire))
		if (atomic_compare_exchange_strong_explicit(&pythons->examined, &index, index + 1,
			    memory_order_relaxed, memory_order_relaxed))
			examine(pythons, modules->os, &modules->entry[index++]);
}

void lz_pythons_examine_again(struct lz_pythons *pythons)
{
	atomic_store_explicit(&pythons->examined, 0, memory_order_relaxed);
}

/* The interpreter that has a frame on the stack; the innermost. */
static const struct lz_python *find_interpreter(
	const struct lz_pythons *pythons, const struct lz_os *os, const struct lz_stack *stack)
{
	uint32_t count = atomic_load_explicit(&pythons->count, memory_order_relaxed);

	for (unsigned i = 0; count > 0 && i < stack->count; i++)
		for (uint32_t j = 0; j < count && j < LZ_PYTHONS; j++) {
			const struct lz_python *python = &pythons->entry[j];

			if (stack->frame[i] > python->start && stack->frame[i] <= python->end &&
				is_present(python, os))
				return python;
		}
	return NULL;
}

/* --- reading frames --- */

/* The innermost frame of the calling thread; 0: there is none. */
static uint64_t innermost_frame(struct walk *walk)
{
	const struct lz_python *python = walk->python;
	const struct lz_python_layout *layout = &python->layout;
	void *state = python->thread_state();
	uint64_t frame;

	if (state == NULL ||
		!load(walk->os, (uintptr_t)state + layout->at[LZ_PYTHON_THREAD_FRAME], &frame, sizeof frame))
		return 0;
	if (layout->version >= LZ_PYTHON_313)
		return frame;
	walk->cframe = frame;
	return load(walk->os, walk->cframe + layout->cframe_frame, &frame, sizeof frame) ? frame : 0;
}

/* Returns the bytes of a frame; NULL: not readable. */
static const uint8_t *load_frame(struct walk *walk, uint64_t address)
{
	const size_t bytes = walk->python->frame_bytes;
	uint64_t page = lz_round_down(address, 4096), start, end;
	struct window *window;

	for (unsigned i = 0; i < 2; i++) {
		window = &walk->window[i];
		if (address >= window->start && address - window->start + bytes <= window->length) {
			walk->last = i;
			return window->bytes + (address - window->start);
		}
	}
	/* On the page of the frame, except if that begins near its end. */
	start = lz_max_u64(page, lz_sub_clamped(address, WINDOW_BYTES - 2 * FRAME_BYTES));
	end = lz_max_u64(lz_min_u64(page + 4096, start + WINDOW_BYTES), address + bytes);
	walk->last = !walk->last;
	window = &walk->window[walk->last];
	window->start = start;
	window->length = 0;
	if (!load(walk->os, start, window->bytes, end - start))
		return NULL;
	window->length = end - start;
	return window->bytes + (address - start);
}

/*
 * Reads a frame, and goes to the previous one. Returns whether the frame is a function's: then *found is set.
 * From 3.12 on, each call of the interpreter has a frame of its own, outside those it runs, on the C stack.
 */
static bool read_frame(struct walk *walk, uint64_t *at, bool *is_interpreters, struct lz_python_frame *found)
{
	const struct lz_python_layout *layout = &walk->python->layout;
	const uint8_t *frame = load_frame(walk, *at);

	*at = frame != NULL ? word(frame, layout->at[LZ_PYTHON_FRAME_PREVIOUS]) : 0;
	*is_interpreters =
		frame != NULL && frame[layout->at[LZ_PYTHON_FRAME_OWNER]] >= LZ_PYTHON_OWNER_INTERPRETER;
	if (frame == NULL || *is_interpreters)
		return false;
	found->code = word(frame, layout->at[LZ_PYTHON_FRAME_CODE]) & ~TAG_BITS;
	found->instruction = word(frame, layout->at[LZ_PYTHON_FRAME_INSTRUCTION]);
	found->call = 0;
	if (layout->version == LZ_PYTHON_311 && frame[layout->frame_is_entry] != 0) {
		found->call = walk->cframe;
		if (!load(walk->os, walk->cframe + layout->cframe_previous, &walk->cframe,
			    sizeof walk->cframe))
			*at = 0;
	}
	return true;
}

__attribute__((noinline)) bool lz_python_code_read(
	struct lz_python_code *code, const struct lz_os *os, const struct lz_python *python, uint64_t address)
{
	const uint16_t *at = python->layout.at;
	uint8_t bytes[CODE_BYTES];

	if (!load(os, address, bytes, python->code_bytes) ||
		word(bytes, at[LZ_PYTHON_OBJECT_TYPE]) != python->code_type)
		return false;
	code->file = word(bytes, at[LZ_PYTHON_CODE_FILE]);
	code->function = word(bytes, at[LZ_PYTHON_CODE_FUNCTION]);
	code->lines = word(bytes, at[LZ_PYTHON_CODE_LINES]);
	memcpy(&code->first_line, bytes + at[LZ_PYTHON_CODE_FIRST_LINE], sizeof code->first_line);
	return true;
}

/* Reads the frames. Returns whether there were more. */
static bool read_frames(struct walk *walk, struct lz_python_stack *frames)
{
	uint64_t at = innermost_frame(walk);

	for (unsigned i = 0; at != 0 && i < STEPS_MAX && frames->count < LZ_PYTHON_FRAMES; i++) {
		uint64_t address = at;
		bool is_interpreters;

		if (read_frame(walk, &at, &is_interpreters, &frames->frame[frames->count]))
			frames->count++;
		else if (!is_interpreters)
			return false;
		else if (frames->count > 0 && frames->frame[frames->count - 1].call == 0)
			frames->frame[frames->count - 1].call = address;
	}
	return at != 0;
}

/*
 * 3.11: a thread that runs another interpreter of the process has the thread state of the first. Then the
 * stack has more calls than the frames have. It may have fewer, because it is not always known to its end.
 */
static bool are_others_frames(const struct lz_python_stack *frames, const struct lz_stack *stack)
{
	const struct lz_python *python = frames->python;
	unsigned calls = 0;

	for (unsigned i = 0; i < stack->count; i++)
		calls += stack->frame[i] > python->eval_start && stack->frame[i] <= python->eval_end;
	for (unsigned i = 0; i < frames->count; i++)
		calls -= calls > 0 && frames->frame[i].call != 0;
	return calls > 0;
}

static uint64_t mix(uint64_t key, uint64_t value)
{
	key = (key ^ value) * UINT64_C(0x9E3779B97F4A7C15);
	return key ^ key >> 29;
}

/* Sets the key. Returns false if the innermost frame has no code object. */
static bool set_key(struct lz_python_stack *frames, const struct lz_os *os)
{
	struct lz_python_code code;

	if (frames->count == 0 || !lz_python_code_read(&code, os, frames->python, frames->frame[0].code))
		return false;
	frames->key =
		mix(mix(code.lines, code.file), code.function ^ (uint64_t)(uint32_t)code.first_line << 32);
	for (unsigned i = 0; i < frames->count; i++)
		frames->key = mix(mix(frames->key, frames->frame[i].code), frames->frame[i].instruction);
	return true;
}

void lz_python_walk(struct lz_python_stack *frames, struct lz_pythons *pythons,
	const struct lz_site_modules *modules, const struct lz_stack *stack)
{
	struct walk *walk;

	_Static_assert(sizeof *walk <= LZ_SCRATCH_BYTES, "it fits a scratch buffer");
	frames->count = 0;
	frames->key = 0;
	examine_new_modules(pythons, modules);
	frames->python = find_interpreter(pythons, modules->os, stack);
	walk = frames->python != NULL ? lz_scratch_take(modules->os) : NULL;
	if (walk != NULL) {
		walk->os = modules->os;
		walk->python = frames->python;
		walk->window[0].length = walk->window[1].length = walk->last = 0;
		if ((!read_frames(walk, frames) && are_others_frames(frames, stack)) ||
			!set_key(frames, modules->os))
			frames->count = 0;
	}
	lz_scratch_release(modules->os, walk);
}

/* Reads the places of Python frames; see python_places.h. */
#include "sites/python_places.h"

#include <stdatomic.h>
#include <string.h>

#include "base/checked.h"
#include "base/text.h"
#include "os/scratch.h"

#define PROBES 64u
#define OBJECT_BYTES 40u /* of the header of text or bytes that are read */

/* Buffers, in place of the stack. */
struct reading {
	const struct lz_os *os;
	const struct lz_python *python;
	struct lz_python_code code;
	struct lz_python_place place;
	uint8_t object[OBJECT_BYTES];
	uint8_t characters[4 * sizeof((struct lz_python_place *)0)->file];
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

/* --- text --- */

/* Appends a character; one that stands for a byte that was not UTF-8 (PEP 383) as that byte. */
static void text_character(struct lz_text *text, uint32_t character)
{
	char bytes[4];
	size_t count = 0;

	if (character < 0x80 || (character >= 0xdc80 && character <= 0xdcff)) {
		bytes[count++] = (char)character;
	} else if (character < 0x800) {
		bytes[count++] = (char)(0xc0 | character >> 6);
	} else if (character < 0x10000) {
		bytes[count++] = (char)(0xe0 | character >> 12);
		bytes[count++] = (char)(0x80 | (character >> 6 & 0x3f));
	} else {
		bytes[count++] = (char)(0xf0 | (character >> 18 & 7));
		bytes[count++] = (char)(0x80 | (character >> 12 & 0x3f));
		bytes[count++] = (char)(0x80 | (character >> 6 & 0x3f));
	}
	if (character >= 0x80 && (character < 0xdc80 || character > 0xdcff))
		bytes[count++] = (char)(0x80 | (character & 0x3f));
	lz_text_bytes(text, bytes, count);
}

/* Copies a str object into a buffer: the end of what does not fit, or else the start. */
static bool copy_text(struct reading *reading, uint64_t object, bool end, char *to, size_t capacity)
{
	const struct lz_python_layout *layout = &reading->python->layout;
	struct lz_text text = lz_text_init(to, capacity);
	uint64_t length, data, skipped = 0, most;
	uint32_t state, kind, character;
	bool ascii;

	if (!load(reading->os, object, reading->object, sizeof reading->object) ||
		word(reading->object, layout->at[LZ_PYTHON_OBJECT_TYPE]) != reading->python->text_type)
		return false;
	length = word(reading->object, layout->at[LZ_PYTHON_TEXT_LENGTH]);
	/* Two bits of interning, three of the bytes of a character, "compact", "ascii". */
	memcpy(&state, reading->object + layout->at[LZ_PYTHON_TEXT_STATE], sizeof state);
	kind = state >> 2 & 7;
	ascii = state >> 6 & 1;
	if ((state >> 5 & 1) == 0 || (kind != 1 && kind != 2 && kind != 4))
		return false;
	data = object + (ascii ? layout->at[LZ_PYTHON_TEXT_ASCII_DATA] : layout->text_data);
	/* A character takes at most one byte more in UTF-8 than here, and no more than 4. */
	most = (capacity - 1) / (ascii ? 1 : lz_min_u64(kind + 1, 4));
	if (length > most) {
		skipped = end ? length - most + 3 : 0;
		length = end ? most - 3 : most;
		if (end)
			lz_text_string(&text, "...");
	}
	if (length > 0 && !load(reading->os, data + skipped * kind, reading->characters, length * kind))
		return false;
	for (uint64_t i = 0; i < length; i++) {
		character = 0;
		memcpy(&character, reading->characters + i * kind, kind);
		text_character(&text, character);
	}
	return true;
}

/* --- lines --- */

struct source {
	const struct lz_os *os;
	uint64_t address, length; /* of what was not loaded yet */
	unsigned at, count;
	uint8_t bytes[256];
};

/* The next byte, or -1 at the end. */
static int peek(struct source *source)
{
	if (source->at == source->count) {
		size_t length = (size_t)lz_min_u64(source->length, sizeof source->bytes);

		if (length == 0 || !load(source->os, source->address, source->bytes, length))
			return -1;
		source->address += length;
		source->length -= length;
		source->at = 0;
		source->count = (unsigned)length;
	}
	return source->bytes[source->at];
}

static int take(struct source *source)
{
	int byte = peek(source);

	source->at += byte >= 0;
	return byte;
}

/* A signed number: six bits a byte, the lowest first; the lowest bit of all is the sign. */
static int64_t take_signed(struct source *source)
{
	uint64_t value = 0;
	unsigned shift = 0;
	int byte;

	do {
		byte = take(source);
		if (byte < 0)
			return 0;
		value |= shift < 64 ? (uint64_t)(byte & 0x3f) << shift : 0;
		shift += 6;
	} while (byte & 0x40);
	return value & 1 ? -(int64_t)(value >> 1) : (int64_t)(value >> 1);
}

__attribute__((noinline)) int32_t lz_python_line(
	const struct lz_os *os, uint64_t table, uint64_t length, int32_t first_line, uint64_t offset)
{
	struct source source = {.os = os, .address = table, .length = length};
	int64_t line = first_line;
	uint64_t end = 0;

	/* An entry is a byte with the highest bit set, and others without. */
	while (end <= offset) {
		int first = take(&source), code = first >> 3 & 15;

		if (first < 0x80)
			break;
		if (code == 13 || code == 14)
			line += take_signed(&source);
		else if (code >= 10 && code <= 12)
			line += code - 10;
		end += ((unsigned)first & 7) * UINT64_C(2) + 2;
		while (peek(&source) >= 0 && peek(&source) < 0x80)
			take(&source);
	}
	return line > 0 && line <= INT32_MAX ? (int32_t)line : first_line;
}

static int32_t line_of(struct reading *reading, const struct lz_python_frame *frame)
{
	const struct lz_python_code *code = &reading->code;
	const uint16_t *at = reading->python->layout.at;
	uint64_t start = frame->code + at[LZ_PYTHON_CODE_INSTRUCTIONS];

	if (!load(reading->os, code->lines, reading->object, sizeof reading->object) ||
		word(reading->object, at[LZ_PYTHON_OBJECT_TYPE]) != reading->python->bytes_type)
		return code->first_line;
	return lz_python_line(reading->os, code->lines + at[LZ_PYTHON_BYTES_DATA],
		word(reading->object, at[LZ_PYTHON_BYTES_LENGTH]), code->first_line,
		frame->instruction > start ? frame->instruction - start : 0);
}

/* --- the table --- */

static uint64_t hash(uint64_t key, const char *text)
{
	for (; *text != '\0'; text++)
		key = (key ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
	key ^= key >> 29;
	return key * UINT64_C(0x9E3779B97F4A7C15);
}

static unsigned enter(struct lz_python_places *places, const struct lz_python_place *new)
{
	uint64_t key = hash(hash((uint64_t)(uint32_t) new->line + 1, new->file), new->function) | 1;
	unsigned at = (unsigned)(key >> 32) % LZ_PYTHON_PLACES;

	for (unsigned i = 0; i < PROBES; i++, at = (at + 1) % LZ_PYTHON_PLACES) {
		struct lz_python_place *place = &places->place[at];
		uint64_t found = atomic_load_explicit(&place->key, memory_order_relaxed);

		if (found == 0 && atomic_compare_exchange_strong_explicit(&place->key, &found, key,
					  memory_order_relaxed, memory_order_relaxed)) {
			place->line = new->line;
			memcpy(place->file, new->file, sizeof place->file);
			memcpy(place->function, new->function, sizeof place->function);
			atomic_store_explicit(&place->known, true, memory_order_release);
			return at;
		}
		if (found == key)
			return at;
	}
	return LZ_PYTHON_PLACE_NONE;
}

unsigned lz_python_places_find(struct lz_python_places *places, const struct lz_os *os,
	const struct lz_python *python, const struct lz_python_frame *frame)
{
	struct reading *reading = lz_scratch_take(os);
	unsigned found = LZ_PYTHON_PLACE_NONE;

	_Static_assert(sizeof *reading <= LZ_SCRATCH_BYTES, "it fits a scratch buffer");
	if (reading == NULL)
		return LZ_PYTHON_PLACE_NONE;
	reading->os = os;
	reading->python = python;
	if (lz_python_code_read(&reading->code, os, python, frame->code) &&
		copy_text(
			reading, reading->code.file, true, reading->place.file, sizeof reading->place.file) &&
		copy_text(reading, reading->code.function, false, reading->place.function,
			sizeof reading->place.function)) {
		reading->place.line = line_of(reading, frame);
		found = enter(places, &reading->place);
	}
	lz_scratch_release(os, reading);
	return found;
}

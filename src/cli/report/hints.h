/* Texts about call sites: names, percentages, hints. */
#ifndef LZ_CLI_REPORT_HINTS_H
#define LZ_CLI_REPORT_HINTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/report/model.h"

/* "sparse (t.c:17)", or "libx.so+0x119c" if the function is unknown. */
void lz_report_site_name(const struct lz_report_site *site, char *name, size_t capacity);

/* The same for a place of an address, or for the address if place is not below place_count. */
void lz_report_place_name(const struct lz_report *report, const struct lz_report_address *address,
	size_t place, char *name, size_t capacity);

/* Whether the frames further out are those that start every program or thread. */
bool lz_report_is_outermost(const struct lz_report *report, const struct lz_report_address *address);

/*
 * The callers of a site, from its headline outwards to main, without those that only pass requests on:
 * "called by b (t.c:9) < main (t.c:20)"; "" if none is known.
 */
void lz_report_callers(
	const struct lz_report *report, const struct lz_report_site *site, char *text, size_t capacity);

/* `part` of `whole` in percent: "0%", "<1%", "50%", ">99%", "100%"; "?" if unknown. */
void lz_report_percent(uint64_t part, uint64_t whole, char *percent, size_t capacity);

/* The same of an estimate: "~50%"; "0%" for nothing. */
void lz_report_percent_estimated(uint64_t part, uint64_t whole, char *percent, size_t capacity);

/*
 * A share of page tables as whole tables of 4 KiB: a region's share of tables at its ends, which it shares
 * with its neighbours, is a fraction. UINT64_MAX stays.
 */
uint64_t lz_report_whole_tables(uint64_t bytes);

/*
 * A sentence on how the site uses its memory and what would save page tables; "" if there is nothing to say.
 */
void lz_report_hint(const struct lz_report_site *site, char *hint, size_t capacity);

/* A sentence to be printed once if the usage of some site is unknown, else NULL. */
const char *lz_report_unknown_note(const struct lz_report *report);

/*
 * One line about the zeros that memset was asked for and had to write, in all processes. Returns false if it
 * was asked for none.
 */
bool lz_report_memset_note(const struct lz_report *report, char *note, size_t capacity);

#endif

/*
 * The tests that `lazyzero doctor` runs, in four tables: probe_system.c, probe_memory.c, probe_window.c,
 * probe_shared.c; and what the facts of os/facts.h say alone, in probe_facts.c.
 */
#ifndef LZ_CLI_DOCTOR_PROBES_H
#define LZ_CLI_DOCTOR_PROBES_H

#include <stdbool.h>
#include <stddef.h>

#include "cli/doctor/finding.h"
#include "pagetables/geometry.h"

/* Results that later probes depend on; probes run in the order of the tables. */
struct lz_probe_context {
	const struct lz_geometry *geometry;
	unsigned long window_bytes; /* size of the smallest window: what a PMD entry maps */
	int window;                 /* memfd of a window made of a huge page; -1: none */
	bool window_sealed;
	bool window_works;
};

struct lz_probe {
	const char *name;
	void (*run)(struct lz_probe_context *context, struct lz_finding *finding);
};

extern const struct lz_probe lz_system_probes[];
extern const size_t lz_system_probe_count;
extern const struct lz_probe lz_memory_probes[];
extern const size_t lz_memory_probe_count;
extern const struct lz_probe lz_window_probes[];
extern const size_t lz_window_probe_count;
extern const struct lz_probe lz_shared_probes[];
extern const size_t lz_shared_probe_count;

/* Makes the i-th finding and returns its name. */
const char *lz_fact_finding(size_t i, struct lz_finding *finding);
extern const size_t lz_fact_finding_count;

#endif

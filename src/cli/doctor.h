/* `lazyzero doctor`: what is examined (probe_*.c) and how it is told (doctor.c). */
#ifndef LZ_CLI_DOCTOR_H
#define LZ_CLI_DOCTOR_H

#include <stdbool.h>
#include <stddef.h>

#include "pagetables/geometry.h"

enum lz_health {
	LZ_HEALTH_OK,
	LZ_HEALTH_NOTE, /* it works, though not as it might */
	LZ_HEALTH_BAD   /* something does not work */
};

/* What one examination found. Texts are empty where there is nothing to say. */
struct lz_finding {
	enum lz_health health;
	char found[160];   /* begins in lower case or with a number */
	char meaning[240]; /* what that means for lazyzero */
	char mend[240];    /* how to change it */
};

/* What the examinations know of one another: they run in the order of the tables. */
struct lz_patient {
	const struct lz_geometry *geometry;
	unsigned long window_bytes; /* of the smallest window: what an entry of the second level maps */
	int window;                 /* memfd of a collapsed window; -1: there is none */
	bool window_sealed;
	bool window_works;
};

struct lz_probe {
	const char *name;
	void (*examine)(struct lz_patient *patient, struct lz_finding *finding);
};

extern const struct lz_probe lz_system_probes[];
extern const size_t lz_system_probe_count;
extern const struct lz_probe lz_memory_probes[];
extern const size_t lz_memory_probe_count;
extern const struct lz_probe lz_window_probes[];
extern const size_t lz_window_probe_count;

/* Fills the three texts by format; for the probes. */
void lz_find(struct lz_finding *finding, enum lz_health health, const char *found, ...)
	__attribute__((format(printf, 3, 4)));
void lz_find_meaning(struct lz_finding *finding, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void lz_find_mend(struct lz_finding *finding, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif

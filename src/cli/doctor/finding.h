/* The result of one test of `lazyzero doctor`. */
#ifndef LZ_CLI_DOCTOR_FINDING_H
#define LZ_CLI_DOCTOR_FINDING_H

enum lz_health {
	LZ_HEALTH_OK,
	LZ_HEALTH_NOTE, /* works, with a restriction */
	LZ_HEALTH_BAD   /* does not work */
};

/* Texts are empty if they do not apply. */
struct lz_finding {
	enum lz_health health;
	char found[160];   /* starts with a lower-case letter or a number */
	char meaning[240]; /* the consequence for the library */
	char fix[240];     /* how to change it */
};

/* Set the texts, formatted as by printf. */
void lz_finding_set(struct lz_finding *finding, enum lz_health health, const char *found, ...)
	__attribute__((format(printf, 3, 4)));
void lz_finding_set_meaning(struct lz_finding *finding, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void lz_finding_set_fix(struct lz_finding *finding, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif

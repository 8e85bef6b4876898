/* Events of the log by call site; see log_sites.h. */
#include "support/log_sites.h"

#include <stdatomic.h>
#include <stddef.h>

#define KIND_BITS 2u

/* User addresses have at most 57 bits. */
static uint64_t key_of(uint64_t address, unsigned kind)
{
	return address << KIND_BITS | kind;
}

struct lz_log_site *lz_log_site_find(struct lz_log_sites *sites, uint64_t address, unsigned kind, bool create)
{
	uint64_t key = key_of(address, kind);

	if (address == 0)
		return NULL;
	for (unsigned i = 0; i < LZ_LOG_SITES; i++) {
		struct lz_log_site *site = &sites->site[i];
		uint64_t found = atomic_load_explicit(&site->key, memory_order_acquire);

		if (found == 0 && create)
			atomic_compare_exchange_strong(&site->key, &found, key);
		if (found == key)
			return site;
		if (found == 0)
			return create ? site : NULL;
	}
	return NULL;
}

unsigned lz_log_site_kind(const struct lz_log_site *site)
{
	return (unsigned)(atomic_load_explicit(&site->key, memory_order_relaxed) &
			  ((UINT64_C(1) << KIND_BITS) - 1));
}

void lz_log_sites_reset(struct lz_log_sites *sites)
{
	*sites = (struct lz_log_sites){0};
}

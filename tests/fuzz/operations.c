/* The table of operations. Corpus files refer to entries by position, so new ones are added at the end. */
#include "fuzz.h"
#include "worker.h"

const struct operation operations[] = {
	{"malloc", do_malloc, 10, false},
	{"calloc", do_calloc, 30, false},
	{"realloc", do_realloc, 16, false},
	{"reallocarray", do_reallocarray, 2, false},
	{"aligned", do_aligned, 5, false},
	{"free", do_free, 24, false},
	{"write", do_write, 24, false},
	{"fill", do_fill, 8, false},
	{"check", do_check, 4, false},
	{"usable", do_usable, 5, false},
	{"block-protect", do_block_protect, 2, false},
	{"block-advise", do_block_advise, 4, false},
	{"exchange", do_exchange, 4, false},
	{"invalid", do_invalid, 1, false},
	{"trim", do_trim, 1, false},
	{"fork", do_fork, 1, false},
	{"map", do_map, 16, true},
	{"unmap", do_unmap, 8, true},
	{"remap", do_remap, 18, true},
	{"protect", do_protect, 12, true},
	{"advise", do_advise, 20, true},
	{"advise-free", do_advise_free, 3, true},
	{"lock", do_lock, 6, true},
	{"sync", do_sync, 3, true},
	{"attach", do_attach, 2, true},
	{"detach", do_detach, 2, true},
	{"store", do_store, 40, true},
	{"load", do_load, 16, true},
	{"compare-maps", do_compare_maps, 1, true},
	{"advise-process", do_advise_process, 3, true},
	{"bind", do_bind, 2, true},
	{"overlay", do_overlay, 8, false},
	{"fork-on", do_fork_on, 1, false},
	{"block-dontfork", do_block_dontfork, 1, false},
	{"userfault", do_userfault, 2, true},
};

const size_t operation_count = sizeof operations / sizeof *operations;

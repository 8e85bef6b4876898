/* Probe of shared memory: whether its pages can be made huge, so that no process needs page tables for them.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "cli/doctor/probes.h"
#include "os/collapse.h"
#include "os/facts.h"
#include "os/os.h"
#include "os/procfs.h"

/* Fills a block of shared anonymous memory, makes it huge, and checks that what was written is still there.
 */
static int try_block(size_t block, bool *kept)
{
	intptr_t at = lz_collapse_reserve(&lz_os_linux, block, block), mapped;
	size_t page = lz_os_linux.page_size();
	volatile char *memory = (char *)at;
	int error;

	*kept = true;
	if (lz_os_failed(at))
		return (int)at;
	mapped = lz_os_linux.mmap(
		(void *)at, block, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	if (lz_os_failed(mapped)) {
		lz_os_linux.munmap((void *)at, block);
		return (int)mapped;
	}
	for (size_t i = 0; i < block; i += page)
		memory[i] = (char)(i / page + 1);
	lz_collapse_block(&lz_os_linux, (uintptr_t)at, block, &error);
	for (size_t i = 0; i < block; i += page)
		*kept = *kept && memory[i] == (char)(i / page + 1);
	lz_os_linux.munmap((void *)at, block);
	return error;
}

static void explain_failure(struct lz_finding *finding, int error)
{
	lz_finding_set(finding, LZ_HEALTH_NOTE, "cannot be made huge: %s", strerror(-error));
	lz_finding_set_meaning(finding,
		"each process needs page tables of its own for shared memory; LAZYZERO_SHARED changes "
		"only where it is placed");
	if (lz_fact_known(LZ_FACT_COLLAPSE) == LZ_FACT_UNSUPPORTED)
		lz_finding_set_fix(finding, "use Linux 6.1 or newer with transparent huge pages");
	else if (lz_os_linux.thp_disabled() == 1)
		lz_finding_set_fix(
			finding, "huge pages are disabled for this process (prctl PR_SET_THP_DISABLE)");
	else if (error == -ENOMEM)
		lz_finding_set_fix(finding, "no huge page is free: echo 1 > /proc/sys/vm/compact_memory");
	else
		lz_finding_set_fix(
			finding, "see that /sys/kernel/mm/transparent_hugepage/shmem_enabled is not deny");
}

static void probe_shared(struct lz_probe_context *context, struct lz_finding *finding)
{
	uint64_t overcommit = 0;
	bool kept = false;
	int error = -ENOSYS;

	if (lz_fact_holds(&lz_os_linux, LZ_FACT_COLLAPSE))
		error = try_block(context->window_bytes, &kept);
	if (error != 0) {
		explain_failure(finding, error);
		return;
	}
	if (!kept) {
		lz_finding_set(finding, LZ_HEALTH_BAD, "loses its contents when it is made huge");
		lz_finding_set_fix(
			finding, "set LAZYZERO_SHARED=align, and report this to your kernel's vendor");
		return;
	}
	lz_finding_set(finding, LZ_HEALTH_OK, "can be made huge");
	lz_finding_set_meaning(finding, "'lazyzero run' saves each process the page tables of shared memory");
	if (lz_proc_number(&lz_os_linux, "/proc/sys/vm/overcommit_memory", &overcommit) == 0 &&
		overcommit == 2) {
		finding->health = LZ_HEALTH_NOTE;
		lz_finding_set_meaning(finding,
			"with overcommit mode 2, 'lazyzero run' leaves shared anonymous memory "
			"as it is, and makes only segments and memory files huge");
		lz_finding_set_fix(finding, "LAZYZERO_SHARED=huge, or sysctl vm.overcommit_memory=0");
	}
}

const struct lz_probe lz_shared_probes[] = {{"shared memory", probe_shared}};

const size_t lz_shared_probe_count = sizeof lz_shared_probes / sizeof *lz_shared_probes;

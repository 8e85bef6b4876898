/* Probes of the zero window: the steps that create one, in order, and then the use of a small one. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/checked.h"
#include "cli/common/display.h"
#include "cli/doctor/probes.h"
#include "os/facts.h"
#include "os/mman.h"
#include "os/os.h"
#include "os/procfs.h"

#define STATUS "/proc/thread-self/status"
#define BLOCKS 64u /* mappings of the window in the test region */

/* Reserves `length` bytes of address space (PROT_NONE) at a multiple of `unit`; NULL on failure. */
static char *reserve(size_t length, size_t unit)
{
	char *at = mmap(NULL, length + unit, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	char *start;

	if (at == MAP_FAILED)
		return NULL;
	start = (char *)(((uintptr_t)at + unit - 1) & ~(unit - 1));
	if (start > at)
		munmap(at, (size_t)(start - at));
	munmap(start + length, (size_t)(at + unit - start));
	return start;
}

/* The bytes of the mapping at an address that are mapped by huge pages, from smaps. */
static uint64_t huge_bytes(const char *address)
{
	struct lz_line_reader lines;
	uint64_t bytes = 0;
	bool inside = false;
	char *line;

	if (lz_line_reader_open(&lines, &lz_os_linux, "/proc/thread-self/smaps") != 0)
		return 0;
	while ((line = lz_line_reader_next(&lines)) != NULL) {
		struct lz_mapping mapping;

		if (lz_mapping_parse(line, &mapping) == 0)
			inside = mapping.start <= (uintptr_t)address && (uintptr_t)address < mapping.end;
		else if (inside && strncmp(line, "ShmemPmdMapped:", 15) == 0)
			sscanf(line + 15, "%" SCNu64, &bytes);
	}
	lz_line_reader_close(&lines);
	return bytes * 1024;
}

static void probe_collapse(struct lz_probe_context *context, struct lz_finding *finding)
{
	size_t size = context->window_bytes;
	int fd = memfd_create("lazyzero-doctor", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	char *at = reserve(size, size);
	int error = 0;
	uint64_t huge = 0;

	if (fd < 0 || at == NULL || ftruncate(fd, (off_t)size) != 0 ||
		mmap(at, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED) {
		lz_finding_set(finding, LZ_HEALTH_BAD, "cannot create a memory file: %s", strerror(errno));
		lz_finding_set_meaning(finding, "there will be no zero window");
		lz_finding_set_fix(finding, errno == EMFILE  ? "raise RLIMIT_NOFILE (ulimit -n)"
					    : errno == EFBIG ? "raise RLIMIT_FSIZE (ulimit -f)"
							     : "allow memfd_create in the seccomp filter");
		if (fd >= 0)
			close(fd);
		return;
	}
	memset(at, 0, size);
	if (lz_fact(&lz_os_linux, LZ_FACT_COLLAPSE) == LZ_FACT_UNSUPPORTED)
		error = EINVAL;
	else if (madvise(at, size, MADV_COLLAPSE) != 0)
		error = errno;
	else
		huge = huge_bytes(at);
	munmap(at, size);
	if (huge >= size) {
		context->window = fd;
		lz_finding_set(finding, LZ_HEALTH_OK, "collapsed a memory file of %s into one huge page",
			lz_size_text(size).text);
		return;
	}
	close(fd);
	lz_finding_set(finding, LZ_HEALTH_BAD,
		error != 0 ? "fails: %s" : "succeeds, but no huge page is mapped", strerror(error));
	lz_finding_set_meaning(finding, "there will be no zero window");
	lz_finding_set_fix(
		finding, error == EINVAL   ? "use Linux 6.1 or newer with huge pages enabled, as above"
			 : error == ENOMEM ? "free a huge page: echo 1 > /proc/sys/vm/compact_memory"
					   : "echo 1 > /proc/sys/vm/compact_memory, then try again");
}

static void set_not_tested(struct lz_finding *finding)
{
	lz_finding_set(finding, LZ_HEALTH_BAD, "not tested, since there is no window");
}

static void probe_sealing(struct lz_probe_context *context, struct lz_finding *finding)
{
	int error;

	if (context->window < 0) {
		set_not_tested(finding);
		return;
	}
	error = lz_fact(&lz_os_linux, LZ_FACT_SEALING) == LZ_FACT_UNSUPPORTED
			? -EINVAL
			: lz_os_linux.add_seals(context->window);
	context->window_sealed = error == 0;
	if (context->window_sealed) {
		lz_finding_set(finding, LZ_HEALTH_OK, "works");
		lz_finding_set_meaning(finding, "the shared pages of a window cannot be modified");
		return;
	}
	lz_finding_set(finding, LZ_HEALTH_BAD, "fails: %s", strerror(-error));
	lz_finding_set_meaning(
		finding, "a stray write could modify every region on the window: there will be none");
}

/* Maps the window `blocks` times at consecutive addresses, MAP_PRIVATE. */
static bool map_blocks(const struct lz_probe_context *context, char *at, unsigned blocks)
{
	size_t size = context->window_bytes;

	for (unsigned i = 0; i < blocks; i++)
		if (mmap(at + i * size, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE,
			    context->window, 0) == MAP_FAILED)
			return false;
	return true;
}

static bool is_zero(const char *at, size_t length, size_t step)
{
	for (size_t i = 0; i < length; i += step)
		if (((const volatile char *)at)[i] != 0)
			return false;
	return true;
}

/* Reads a region backed by the window, writes to it, and counts its page tables. */
static void probe_window(struct lz_probe_context *context, struct lz_finding *finding)
{
	size_t size = context->window_bytes, length = BLOCKS * size;
	size_t page = (size_t)1 << context->geometry->page_shift;
	uint64_t before = 0, after = 0;
	bool is_private_and_zero;
	char *at;

	if (context->window < 0 || !context->window_sealed) {
		set_not_tested(finding);
		return;
	}
	at = reserve(length, size);
	if (at == NULL || !map_blocks(context, at, BLOCKS)) {
		lz_finding_set(finding, LZ_HEALTH_BAD, "cannot be mapped: %s", strerror(errno));
		return;
	}
	lz_proc_value(&lz_os_linux, STATUS, "VmPTE:", &before);
	is_private_and_zero = is_zero(at, length, page);
	lz_proc_value(&lz_os_linux, STATUS, "VmPTE:", &after);
	at[size + page] = 1;
	is_private_and_zero = is_private_and_zero && is_zero(at, size, page) &&
			      is_zero(at + 2 * size, size, page) && at[size + page] == 1 &&
			      at[size + 2 * page] == 0;
	munmap(at, length);
	after = lz_sub_clamped(after, before);
	context->window_works = is_private_and_zero && after < BLOCKS * page / 2;
	lz_finding_set(finding, context->window_works ? LZ_HEALTH_OK : LZ_HEALTH_BAD,
		!is_private_and_zero ? "a write to one mapping is visible in another"
				     : "reading %s took %s of page tables",
		lz_size_text(length).text, lz_size_text(after).text);
	if (is_private_and_zero)
		lz_finding_set_meaning(finding, "plain memory needs %s%s", lz_size_text(BLOCKS * page).text,
			context->window_works ? "" : "; the window saves nothing here");
}

/* Whether the window can be locked, which prevents swapping. */
static void probe_mlock(struct lz_probe_context *context, struct lz_finding *finding)
{
	size_t size = context->window_bytes;
	struct rlimit limit = {0, 0};
	char *at;
	int error;

	if (context->window < 0 || (at = reserve(size, size)) == NULL || !map_blocks(context, at, 1)) {
		set_not_tested(finding);
		return;
	}
	error = mlock(at, size) != 0 ? errno : 0;
	munmap(at, size);
	getrlimit(RLIMIT_MEMLOCK, &limit);
	if (error == 0) {
		lz_finding_set(finding, LZ_HEALTH_OK, "the window can be locked");
		lz_finding_set_meaning(finding, "its huge page will not be split by swapping");
		return;
	}
	lz_finding_set(finding, LZ_HEALTH_NOTE, "the window cannot be locked: %s", strerror(error));
	lz_finding_set_meaning(
		finding, "swapping may split its huge page; the library then collapses it again");
	lz_finding_set_fix(finding, "raise RLIMIT_MEMLOCK (ulimit -l), now %s",
		lz_size_text((uint64_t)limit.rlim_cur).text);
}

/* The library creates the mappings of a window by cloning one, so that no descriptor has to stay open. */
static void probe_clones(struct lz_probe_context *context, struct lz_finding *finding)
{
	enum lz_fact_state state = lz_fact(&lz_os_linux, LZ_FACT_MREMAP_DONTUNMAP);

	if (state == LZ_FACT_YES) {
		lz_finding_set(finding, LZ_HEALTH_OK, "a mapping can be cloned (MREMAP_DONTUNMAP)");
		lz_finding_set_meaning(finding, "a window needs no open descriptor");
		return;
	}
	context->window_works = false;
	lz_finding_set(finding, LZ_HEALTH_BAD, "a mapping cannot be cloned (MREMAP_DONTUNMAP)%s%s",
		state == LZ_FACT_FAILED ? ": " : "",
		state == LZ_FACT_FAILED ? strerror(-lz_fact_error(LZ_FACT_MREMAP_DONTUNMAP)) : "");
	lz_finding_set_meaning(finding, "no region can be backed by a window");
	lz_finding_set_fix(finding, "use Linux 5.13 or newer, and a sandbox that allows mremap");
}

const struct lz_probe lz_window_probes[] = {
	{"MADV_COLLAPSE", probe_collapse},
	{"sealing", probe_sealing},
	{"zero window", probe_window},
	{"mlock", probe_mlock},
	{"mremap", probe_clones},
};

const size_t lz_window_probe_count = sizeof lz_window_probes / sizeof *lz_window_probes;

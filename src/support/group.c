/* The members of a budget group and their sum; see group.h. How a group is found: group_join.c. */
#include "support/group.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/shm.h>
#include <sys/syscall.h>

#include "base/checked.h"
#include "os/process.h"

/* A slot whose process is gone and that is being freed. No pid is as large (PID_MAX_LIMIT is 2^22). */
#define FREEING UINT32_MAX

static struct lz_group_segment *segment_of(const struct lz_group *group)
{
	return __atomic_load_n(&group->segment, __ATOMIC_ACQUIRE);
}

static uint32_t end_of(struct lz_group_segment *segment)
{
	uint32_t end = atomic_load_explicit(&segment->end, memory_order_acquire);

	/* Another process may have written anything. */
	return end <= LZ_GROUP_MEMBERS ? end : LZ_GROUP_MEMBERS;
}

/* More than this no process has, so that no sum overflows, whatever other processes have written. */
#define CHARGE_MAX (UINT64_C(1) << 48)

static uint64_t held_by(struct lz_group_segment *segment, unsigned slot)
{
	uint64_t held = lz_max_u64(atomic_load_explicit(&segment->charge[slot], memory_order_relaxed),
		atomic_load_explicit(&segment->observed[slot], memory_order_relaxed));

	return lz_min_u64(held, CHARGE_MAX);
}

static bool counts(struct lz_group_segment *segment, unsigned slot)
{
	return atomic_load_explicit(&segment->member[slot].pid, memory_order_relaxed) != 0 &&
	       atomic_load_explicit(&segment->member[slot].counts, memory_order_relaxed) != 0;
}

/* Frees a slot whose process was `pid`. Its charge goes first, so that the next owner's is not lost. */
static void free_slot(struct lz_group_segment *segment, unsigned slot, uint32_t pid)
{
	if (pid != FREEING && !atomic_compare_exchange_strong(&segment->member[slot].pid, &pid, FREEING))
		return;
	atomic_store(&segment->charge[slot], 0);
	atomic_store(&segment->observed[slot], 0);
	atomic_store(&segment->member[slot].pid_namespace, 0);
	atomic_store(&segment->member[slot].start_time, 0);
	atomic_store(&segment->member[slot].stack, 0);
	pid = FREEING;
	atomic_compare_exchange_strong(&segment->member[slot].pid, &pid, 0);
}

/* Whether this process owns the slot: another member may have freed it. */
static bool owns_slot(const struct lz_group *group)
{
	struct lz_group_member *member = &group->segment->member[group->slot];

	return atomic_load_explicit(&member->pid, memory_order_relaxed) == group->pid &&
	       atomic_load_explicit(&member->pid_namespace, memory_order_relaxed) == group->pid_namespace;
}

/* The slot that a process of this PID namespace has; LZ_GROUP_MEMBERS if it has none. */
static unsigned find_slot(const struct lz_group *group, uint32_t pid)
{
	struct lz_group_segment *segment = group->segment;

	for (unsigned slot = 0, end = end_of(segment); slot < end; slot++)
		if (atomic_load(&segment->member[slot].pid) == pid &&
			atomic_load(&segment->member[slot].pid_namespace) == group->pid_namespace)
			return slot;
	return LZ_GROUP_MEMBERS;
}

/* Takes the first free slot. Returns 0, or -EUSERS if there is none. */
static int take_free_slot(struct lz_group *group, uint32_t pid)
{
	struct lz_group_segment *segment = group->segment;

	for (unsigned slot = 0; slot < LZ_GROUP_MEMBERS; slot++) {
		uint32_t end = end_of(segment), none = 0;

		if (!atomic_compare_exchange_strong(&segment->member[slot].pid, &none, pid))
			continue;
		while (end <= slot && !atomic_compare_exchange_weak(&segment->end, &end, slot + 1))
			;
		atomic_store(&segment->member[slot].pid_namespace, group->pid_namespace);
		atomic_store(&segment->member[slot].counts, 1);
		group->slot = slot;
		return 0;
	}
	return -EUSERS;
}

static void scan(struct lz_group *group);

int lz_group_claim_slot(struct lz_group *group)
{
	uint32_t pid = (uint32_t)group->os->getpid();
	struct lz_process_id id = {0, 0};
	struct lz_group_member *member;

	group->pid = pid;
	/* unshare(CLONE_NEWPID) takes effect for children. */
	group->pid_namespace = lz_process_namespace(group->os, "pid");
	group->slot = find_slot(group, pid);
	if (group->slot == LZ_GROUP_MEMBERS && take_free_slot(group, pid) != 0) {
		/* Children that have come and gone since the last look. */
		scan(group);
		if (take_free_slot(group, pid) != 0)
			return -EUSERS;
	}
	/* Without these, a process that gets the same pid later would be taken for this one. */
	lz_process_identify(group->os, pid, &id);
	member = &group->segment->member[group->slot];
	atomic_store(&group->segment->charge[group->slot], 0);
	atomic_store(&group->segment->observed[group->slot], 0);
	atomic_store(&member->start_time, id.start_time);
	atomic_store(&member->stack, id.stack);
	return 0;
}

bool lz_group_after_fork(struct lz_group *group)
{
	if (segment_of(group) == NULL || (uint32_t)group->os->getpid() == group->pid)
		return false;
	if (lz_group_claim_slot(group) != 0)
		__atomic_store_n(&group->segment, NULL, __ATOMIC_RELEASE);
	return true;
}

void lz_group_publish(struct lz_group *group, uint64_t bytes)
{
	struct lz_group_segment *segment = group->segment;

	if (segment == NULL || (!owns_slot(group) && lz_group_claim_slot(group) != 0))
		return;
	atomic_store_explicit(&segment->charge[group->slot], bytes, memory_order_seq_cst);
}

uint64_t lz_group_others(const struct lz_group *group)
{
	struct lz_group_segment *segment = group->segment;
	uint64_t sum = 0;

	if (segment == NULL)
		return 0;
	/* Without a branch: this is in every decision. */
	for (unsigned slot = 0, end = end_of(segment); slot < end; slot++)
		sum += held_by(segment, slot);
	return lz_sub_clamped(sum, held_by(segment, group->slot));
}

void lz_group_sum(const struct lz_group *group, struct lz_group_sum *sum)
{
	struct lz_group_segment *segment = segment_of(group);

	*sum = (struct lz_group_sum){.members = 0};
	for (unsigned slot = 0, end = segment != NULL ? end_of(segment) : 0; slot < end; slot++) {
		uint64_t held = held_by(segment, slot);

		if (!counts(segment, slot))
			continue;
		sum->members++;
		sum->bytes += held;
		if (held < sum->largest)
			continue;
		sum->largest = held;
		sum->largest_pid = atomic_load_explicit(&segment->member[slot].pid, memory_order_relaxed);
	}
	if (segment != NULL && sum->bytes > atomic_load_explicit(&segment->peak, memory_order_relaxed))
		atomic_store_explicit(&segment->peak, sum->bytes, memory_order_relaxed);
}

const char *lz_group_name(const struct lz_group *group)
{
	struct lz_group_segment *segment = segment_of(group);

	return segment != NULL ? segment->name : "";
}

unsigned lz_group_count(const struct lz_group *group)
{
	struct lz_group_segment *segment = segment_of(group);
	unsigned count = 0;

	for (unsigned slot = 0, end = segment != NULL ? end_of(segment) : 0; slot < end; slot++)
		count += counts(segment, slot);
	return count != 0 ? count : 1;
}

/* --- looking at the other members --- */

/*
 * Looks at a member of this PID namespace: frees its slot if the process is gone, or notes its page tables.
 */
static void look_at(struct lz_group *group, unsigned slot, uint32_t pid)
{
	struct lz_group_segment *segment = group->segment;
	struct lz_group_member *member = &segment->member[slot];
	uint64_t start_time = atomic_load(&member->start_time), stack = atomic_load(&member->stack);
	struct lz_process_id id;
	int error = lz_process_identify(group->os, pid, &id);

	if (error == -ESRCH || (error == 0 && start_time != 0 && id.start_time != start_time)) {
		free_slot(segment, slot, pid);
		return;
	}
	if (error != 0)
		return;
	/*
	 * It executes another program, which does not have the segment. If that is under the library, it
	 * joins by itself.
	 */
	if (stack != 0 && id.stack != 0 && id.stack != stack) {
		free_slot(segment, slot, pid);
		return;
	}
	if (atomic_load(&member->counts))
		atomic_store(&segment->observed[slot], lz_process_page_tables(group->os, pid));
}

/* Processes that have the segment mapped; UINT64_MAX if unknown. */
static uint64_t attached_processes(const struct lz_group *group)
{
	struct shmid_ds status;

	if (group->os->any_syscall(SYS_shmctl, group->id, IPC_STAT, (long)&status, 0, 0, 0) < 0)
		return UINT64_MAX;
	return status.shm_nattch;
}

/* Frees the slots of other PID namespaces if only members of this one are left. */
static void free_foreign_slots(struct lz_group *group, unsigned end, unsigned local, unsigned foreign)
{
	if (foreign == 0 || attached_processes(group) > local)
		return;
	for (unsigned slot = 0; slot < end; slot++) {
		struct lz_group_member *member = &group->segment->member[slot];
		uint32_t pid = atomic_load(&member->pid);

		if (pid != 0 && atomic_load(&member->pid_namespace) != group->pid_namespace)
			free_slot(group->segment, slot, pid);
	}
}

__attribute__((noinline)) static void scan(struct lz_group *group)
{
	struct lz_group_segment *segment = group->segment;
	unsigned end = end_of(segment), local = 0, foreign = 0;

	for (unsigned slot = 0; slot < end; slot++) {
		struct lz_group_member *member = &segment->member[slot];
		uint32_t pid = atomic_load(&member->pid);

		if (pid == 0)
			continue;
		if (pid == FREEING)
			free_slot(segment, slot, pid);
		else if (atomic_load(&member->pid_namespace) != group->pid_namespace)
			foreign++;
		else if (slot != group->slot)
			look_at(group, slot, pid);
		local += atomic_load(&member->pid) != 0 &&
			 atomic_load(&member->pid_namespace) == group->pid_namespace;
	}
	free_foreign_slots(group, end, local, foreign);
}

void lz_group_scan(struct lz_group *group, uint64_t age_ms)
{
	struct lz_group_segment *segment = group->segment;
	uint64_t now, last;

	if (segment == NULL)
		return;
	now = group->os->now_ms();
	last = atomic_load(&segment->scanned_ms);
	/* A time in the future is another process's garbage. */
	if ((last <= now && now - last < age_ms) ||
		!atomic_compare_exchange_strong(&segment->scanned_ms, &last, now))
		return;
	scan(group);
}

bool lz_group_overlaps(const struct lz_group *group, uintptr_t start, uintptr_t end)
{
	uintptr_t at = (uintptr_t)segment_of(group);

	return at != 0 && start < at + sizeof *group->segment && end > at;
}

void lz_group_abandon(struct lz_group *group)
{
	struct lz_group_segment *segment = group->segment;

	if (segment == NULL)
		return;
	__atomic_store_n(&group->segment, NULL, __ATOMIC_RELEASE);
	free_slot(segment, group->slot, group->pid);
}

void lz_group_leave(struct lz_group *group)
{
	struct lz_group_segment *segment = segment_of(group);

	if (segment == NULL || group->pid != (uint32_t)group->os->getpid() || !owns_slot(group))
		return;
	lz_group_abandon(group);
}

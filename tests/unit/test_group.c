/* support/group.c, support/group_join.c: the sum over processes, and those that die, fork or write garbage.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fake_os.h"
#include "support/group.h"

#define MIB(n) ((uint64_t)(n) << 20)

static struct lz_group group; /* as `lazyzero run` makes it */

static struct lz_group_sum sum(void)
{
	struct lz_group_sum result;

	lz_group_sum(&group, &result);
	return result;
}

static void join_by_id(struct lz_group *member)
{
	char scope[32], buffer[200];
	struct lz_text why = lz_text_init(buffer, sizeof buffer);

	snprintf(scope, sizeof scope, "run:%d", group.id);
	if (lz_group_join(member, &lz_os_linux, scope, &why) != 0)
		_exit(1);
}

/* Forks a member that publishes `bytes`; returns when it has. */
static pid_t start_member(uint64_t bytes)
{
	uint32_t before = sum().members;
	pid_t pid = fork();

	if (pid == 0) {
		struct lz_group member;

		join_by_id(&member);
		lz_group_publish(&member, bytes);
		for (;;)
			pause();
	}
	for (int i = 0; i < 1000 && (sum().members == before || sum().bytes < bytes); i++)
		usleep(5000);
	return pid;
}

static unsigned slot_of(pid_t pid)
{
	unsigned slot = 0;

	while (atomic_load(&group.segment->member[slot].pid) != (uint32_t)pid)
		slot++;
	return slot;
}

/* Joins in a forked child. Returns what that gave: 0 or -errno. */
static int join_in_child(void)
{
	int status, error;
	pid_t pid = fork();

	if (pid == 0) {
		struct lz_group member;
		char scope[32], buffer[200];
		struct lz_text why = lz_text_init(buffer, sizeof buffer);

		snprintf(scope, sizeof scope, "run:%d", group.id);
		error = lz_group_join(&member, &lz_os_linux, scope, &why);
		if (error != 0 && (member.segment != NULL || why.length == 0))
			_exit(255);
		_exit(error == -EUSERS && strstr(buffer, "4096") == NULL ? 255 : -error);
	}
	waitpid(pid, &status, 0);
	return -WEXITSTATUS(status);
}

static void end_member(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void create(void)
{
	if (lz_group_create(&group, &lz_os_linux, "test") != 0)
		cr_skip_test("no System V shared memory here");
}

Test(group, scopes)
{
	cr_expect(lz_group_scope_is_valid("process"));
	cr_expect(lz_group_scope_is_valid("group"));
	cr_expect(lz_group_scope_is_valid("group:a b/c"));
	cr_expect(lz_group_scope_is_valid("run:12"));
	cr_expect_not(lz_group_scope_is_valid(""));
	cr_expect_not(lz_group_scope_is_valid("group:"));
	cr_expect_not(lz_group_scope_is_valid("run:"));
	cr_expect_not(lz_group_scope_is_valid("run:-1"));
	cr_expect_not(lz_group_scope_is_valid("run:99999999999"));
	cr_expect_not(lz_group_scope_is_valid(
		"group:0123456789012345678901234567890123456789012345678901234567890123"));
}

Test(group, killed_members_leave_the_sum)
{
	pid_t first, second;

	create();
	cr_expect_eq(sum().members, 0, "the command itself does not count");
	first = start_member(MIB(1000));
	second = start_member(MIB(3000));
	cr_expect_eq(sum().members, 2);
	cr_expect_eq(sum().bytes, MIB(4000));
	cr_expect_eq(sum().largest, MIB(3000));
	cr_expect_eq(sum().largest_pid, second);
	kill(second, SIGKILL);
	/* Its parent has not waited for it: a zombie holds no memory. */
	for (int i = 0; i < 200 && sum().members == 2; i++) {
		usleep(5000);
		lz_group_scan(&group, 0);
	}
	cr_expect_eq(sum().members, 1);
	cr_expect_eq(sum().bytes, MIB(1000));
	waitpid(second, NULL, 0);
	end_member(first);
	lz_group_scan(&group, 0);
	cr_expect_eq(sum().members, 0);
	cr_expect_eq(sum().bytes, 0);
}

Test(group, pid_that_was_used_again_is_another_process)
{
	pid_t pid;
	unsigned slot;

	create();
	pid = start_member(MIB(1));
	slot = slot_of(pid);
	atomic_fetch_sub(&group.segment->member[slot].start_time, 100);
	lz_group_scan(&group, 0);
	cr_expect_eq(sum().members, 0);
	end_member(pid);
}

Test(group, program_that_was_executed_does_not_count)
{
	pid_t pid;
	unsigned slot;

	create();
	pid = start_member(UINT64_C(5) << 30);
	slot = slot_of(pid);
	/* As if its stack had been elsewhere before. */
	atomic_fetch_add(&group.segment->member[slot].stack, 4096);
	lz_group_scan(&group, 0);
	cr_expect_eq(sum().members, 0);
	cr_expect_eq(sum().bytes, 0);
	end_member(pid);
}

Test(group, forked_child_has_a_slot_of_its_own)
{
	int status;
	pid_t pid;

	create();
	pid = fork();
	if (pid == 0) {
		struct lz_group member;
		pid_t child;

		join_by_id(&member);
		lz_group_publish(&member, MIB(1));
		child = fork();
		if (child == 0) {
			if (!lz_group_after_fork(&member) || lz_group_after_fork(&member))
				_exit(1);
			if (sum().members != 2 || sum().bytes != MIB(1))
				_exit(2);
			lz_group_publish(&member, MIB(2));
			_exit(sum().bytes == MIB(3) && lz_group_others(&member) == MIB(1) ? 0 : 3);
		}
		waitpid(child, &status, 0);
		_exit(WEXITSTATUS(status));
	}
	waitpid(pid, &status, 0);
	cr_expect_eq(status, 0, "status %d", WEXITSTATUS(status));
}

Test(group, member_that_leaves_counts_no_more)
{
	int status;
	pid_t pid;

	create();
	pid = fork();
	if (pid == 0) {
		struct lz_group member;

		join_by_id(&member);
		lz_group_publish(&member, MIB(1));
		lz_group_leave(&member);
		_exit(sum().members == 0 && sum().bytes == 0 ? 0 : 1);
	}
	waitpid(pid, &status, 0);
	cr_expect_eq(status, 0);
}

/* A slot of another PID namespace stays while somebody else has the segment mapped, and goes when nobody has.
 */
Test(group, foreign_members_go_with_the_last_user)
{
	pid_t other;

	create();
	other = fork();
	if (other == 0)
		for (;;)
			pause();
	atomic_store(&group.segment->member[7].pid_namespace, 1);
	atomic_store(&group.segment->member[7].counts, 1);
	atomic_store(&group.segment->member[7].pid, 12345);
	atomic_store(&group.segment->charge[7], MIB(1));
	atomic_store(&group.segment->end, 8);
	lz_group_scan(&group, 0);
	cr_expect_eq(sum().bytes, MIB(1));
	end_member(other);
	lz_group_scan(&group, 0);
	cr_expect_eq(sum().bytes, 0);
	cr_expect_eq(sum().members, 0);
}

Test(group, garbage_of_another_process_is_survived)
{
	create();
	atomic_store(&group.segment->end, UINT32_MAX);
	for (unsigned slot = 1; slot < LZ_GROUP_MEMBERS; slot++)
		atomic_store(&group.segment->charge[slot], UINT64_MAX);
	atomic_store(&group.segment->member[5].pid, UINT32_MAX);
	atomic_store(&group.segment->scanned_ms, UINT64_MAX);
	cr_expect_geq(lz_group_others(&group), UINT64_C(1) << 48);
	lz_group_scan(&group, 500);
	cr_expect_eq(atomic_load(&group.segment->member[5].pid), 0, "a time in the future stops no scan");
	cr_expect_eq(sum().members, 0);
}

/* Children of a prefork server come and go between two decisions. */
Test(group, slots_of_dead_members_are_used_again)
{
	create();
	for (unsigned slot = 0; slot < LZ_GROUP_MEMBERS; slot++) {
		if (slot == group.slot)
			continue;
		atomic_store(&group.segment->member[slot].pid_namespace, group.pid_namespace);
		atomic_store(&group.segment->member[slot].pid, 4194304 - 1);
	}
	atomic_store(&group.segment->end, LZ_GROUP_MEMBERS);
	cr_expect_eq(join_in_child(), 0);
}

Test(group, full_group_cannot_be_joined)
{
	create();
	for (unsigned slot = 0; slot < LZ_GROUP_MEMBERS; slot++)
		if (slot != group.slot)
			atomic_store(&group.segment->member[slot].pid, 1);
	cr_expect_eq(join_in_child(), -EUSERS);
}

Test(group, segment_of_something_else_is_not_joined)
{
	struct lz_group member;
	char scope[32], buffer[200];
	struct lz_text why = lz_text_init(buffer, sizeof buffer);

	create();
	snprintf(scope, sizeof scope, "run:%d", group.id);
	group.segment->magic[0] = 'x';
	cr_expect_eq(lz_group_join(&member, &lz_os_linux, scope, &why), -EPROTO);
	cr_expect_null(member.segment);
	cr_expect_neq(lz_group_join(&member, &lz_os_linux, "run:2147483647", &why), 0);
	cr_expect_not_null(strstr(buffer, "it has ended"), "%s", buffer);
	cr_expect_null(member.segment);
}

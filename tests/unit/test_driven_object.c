/* cli/run/driven_object.c: a message whose sender's process ID is that of another process by now. */
#include <criterion/criterion.h>

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/run/driven_object.h"

#define BLOCK ((size_t)2 << 20)
#define BYTES (8 * BLOCK)

/* A process that has nothing of what this one makes later. */
static pid_t start_other(void)
{
	pid_t other = fork();

	if (other == 0)
		for (;;)
			pause();
	return other;
}

static void end_other(pid_t other)
{
	kill(other, SIGKILL);
	waitpid(other, NULL, 0);
}

static bool is_driven(const struct lz_shared_message *message, pid_t process)
{
	struct lz_driven_object *object = lz_driven_object_create(message, -1, process, BLOCK);
	bool created = object != NULL;

	lz_driven_object_free(object);
	return created;
}

Test(driven_object, segment_of_a_process_that_has_not_attached_it)
{
	pid_t other = start_other();
	int id = shmget(IPC_PRIVATE, BYTES, 0600);
	void *at = shmat(id, NULL, 0);
	struct lz_shared_message message = {
		.kind = LZ_MESSAGE_SEGMENT, .id = id, .inode = (uint64_t)id, .bytes = BYTES};

	shmctl(id, IPC_RMID, NULL);
	if (id < 0 || at == (void *)-1)
		cr_skip_test("no System V shared memory here");
	cr_expect(is_driven(&message, getpid()));
	cr_expect_not(is_driven(&message, other));
	message.bytes = BLOCK;
	cr_expect_not(is_driven(&message, getpid()), "a segment of another size");
	end_other(other);
}

Test(driven_object, file_of_a_process_that_does_not_have_it)
{
	pid_t other = start_other();
	int fd = memfd_create("test", MFD_CLOEXEC);
	struct lz_shared_message message = {.kind = LZ_MESSAGE_FILE, .id = fd, .bytes = BYTES};
	struct stat status;

	cr_assert_eq(ftruncate(fd, (off_t)BYTES), 0);
	cr_assert_eq(fstat(fd, &status), 0);
	message.inode = status.st_ino;
	message.device = (uint64_t)major(status.st_dev) << 32 | minor(status.st_dev);
	cr_expect(is_driven(&message, getpid()));
	cr_expect_not(is_driven(&message, other), "its descriptor of that number is another file");
	message.inode++;
	cr_expect_not(is_driven(&message, getpid()), "the descriptor is another file by now");
	end_other(other);
}

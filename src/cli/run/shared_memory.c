/* Receives messages and looks at shared objects; see shared_memory.h. */
#include "cli/run/shared_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli/common/clock.h"
#include "cli/run/driven_object.h"
#include "pagetables/geometry.h"
#include "support/options.h"
#include "support/shared_driver.h"

#define VARIABLE LZ_OPTION_PREFIX "SHARED"
#define OBJECTS_MAX 256u
#define WAITER_STACK ((size_t)128 << 10)
#define LOOK_MS 100
#define REST 3u           /* times the processor time of a collapse */
#define CHEAP_NS 2000000u /* after less than that, as long as it took */

struct lz_shared_driver {
	struct lz_options options;
	char text[LZ_SHARED_DRIVER_DIGITS + 1];
	int socket;
	int wake[2]; /* a pipe: pointers to objects that the program has let go of */
	_Atomic bool ends;
	bool started;
	pthread_t thread;
	size_t block;

	/* Only for the thread, and after its end. */
	struct lz_driven_object *object[OBJECTS_MAX];
	unsigned count;
	struct lz_shared_totals totals;
};

/* --- objects --- */

/* The lock is released with the last mapping. An error also ends the wait, so that nothing is held for ever.
 */
static void *wait_until_unused(void *argument)
{
	struct {
		struct lz_driven_object *object;
		int fd, wake;
	} waiter;

	memcpy(&waiter, argument, sizeof waiter);
	free(argument);
	while (flock(waiter.fd, LOCK_EX) != 0 && errno == EINTR)
		;
	while (write(waiter.wake, &waiter.object, sizeof waiter.object) < 0 && errno == EINTR)
		;
	return NULL;
}

static bool start_waiter(struct lz_shared_driver *driver, struct lz_driven_object *object)
{
	const struct {
		struct lz_driven_object *object;
		int fd, wake;
	} waiter = {object, object->fd, driver->wake[1]};
	void *argument = malloc(sizeof waiter);
	pthread_attr_t attributes;
	pthread_t thread;
	bool started = false;

	if (argument == NULL)
		return false;
	memcpy(argument, &waiter, sizeof waiter);
	if (pthread_attr_init(&attributes) == 0) {
		pthread_attr_setstacksize(&attributes, WAITER_STACK);
		pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
		started = pthread_create(&thread, &attributes, wait_until_unused, argument) == 0;
		pthread_attr_destroy(&attributes);
	}
	if (!started)
		free(argument);
	return started;
}

static void count_object(struct lz_shared_driver *driver, const struct lz_driven_object *object)
{
	driver->totals.collapsed += object->blocks.collapsed;
	driver->totals.failed += object->blocks.failed;
}

static void remove_gone(struct lz_shared_driver *driver)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < driver->count; i++) {
		struct lz_driven_object *object = driver->object[i];

		/* A waiter has the descriptor of memory; it is closed when that one is done. */
		if (object->gone && (object->kind != LZ_MESSAGE_MEMORY || object->released)) {
			count_object(driver, object);
			lz_driven_object_free(object);
		} else {
			driver->object[kept++] = object;
		}
	}
	driver->count = kept;
}

static bool is_known(const struct lz_shared_driver *driver, const struct lz_shared_message *message)
{
	for (unsigned i = 0; i < driver->count; i++)
		if (driver->object[i]->kind == message->kind && driver->object[i]->inode == message->inode &&
			driver->object[i]->device == message->device && !driver->object[i]->gone)
			return true;
	return false;
}

static void add_object(
	struct lz_shared_driver *driver, const struct lz_shared_message *message, int fd, pid_t process)
{
	struct lz_driven_object *object;

	if (driver->count == OBJECTS_MAX || is_known(driver, message)) {
		if (fd >= 0)
			close(fd);
		return;
	}
	object = lz_driven_object_create(message, fd, process, driver->block);
	if (object == NULL)
		return;
	if (object->kind == LZ_MESSAGE_MEMORY && !start_waiter(driver, object)) {
		lz_driven_object_free(object);
		return;
	}
	driver->object[driver->count++] = object;
	driver->totals.objects++;
	driver->totals.bytes += message->bytes;
}

static void restrict_objects(struct lz_shared_driver *driver, const struct lz_shared_message *message)
{
	for (unsigned i = 0; i < driver->count; i++)
		if (driver->object[i]->inode == message->inode)
			lz_shared_blocks_restrict(&driver->object[i]->blocks, message->offset, message->bytes,
				message->kind == LZ_MESSAGE_LEAVE);
}

/* --- messages --- */

static void handle(
	struct lz_shared_driver *driver, const struct lz_shared_message *message, int fd, pid_t process)
{
	bool is_new = message->kind == LZ_MESSAGE_MEMORY || message->kind == LZ_MESSAGE_SEGMENT ||
		      message->kind == LZ_MESSAGE_FILE;

	if (is_new && process > 0) {
		add_object(driver, message, fd, process);
		return;
	}
	if (fd >= 0)
		close(fd);
	if (message->kind == LZ_MESSAGE_PUNCHED || message->kind == LZ_MESSAGE_LEAVE)
		restrict_objects(driver, message);
}

/* Receives one message. Returns false if there is none. */
static bool receive(struct lz_shared_driver *driver)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
	} control;
	struct lz_shared_message message;
	struct iovec content = {&message, sizeof message};
	struct msghdr header = {.msg_iov = &content,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof control};
	ssize_t length = recvmsg(driver->socket, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	struct ucred sender = {.pid = 0};
	int fd = -1;

	if (length < 0)
		return errno == EINTR;
	for (struct cmsghdr *part = CMSG_FIRSTHDR(&header); part != NULL; part = CMSG_NXTHDR(&header, part)) {
		if (part->cmsg_level != SOL_SOCKET)
			continue;
		if (part->cmsg_type == SCM_RIGHTS)
			memcpy(&fd, CMSG_DATA(part), sizeof fd);
		else if (part->cmsg_type == SCM_CREDENTIALS)
			memcpy(&sender, CMSG_DATA(part), sizeof sender);
	}
	if (length == sizeof message &&
		memcmp(message.key, driver->text + LZ_SHARED_KEY_DIGITS, sizeof message.key) == 0)
		handle(driver, &message, fd, sender.pid);
	else if (fd >= 0)
		close(fd);
	return true;
}

static void take_released(struct lz_shared_driver *driver)
{
	struct lz_driven_object *object;

	while (read(driver->wake[0], &object, sizeof object) == sizeof object)
		if (object != NULL)
			object->gone = object->released = true;
}

/* Waits for messages, released objects, or the time; handles what has come. */
static void wait_for_events(struct lz_shared_driver *driver, uint64_t ns)
{
	uint64_t until = lz_monotonic_ns() + ns, now;

	do {
		struct pollfd events[] = {
			{.fd = driver->socket, .events = POLLIN}, {.fd = driver->wake[0], .events = POLLIN}};
		struct timespec left;

		now = lz_monotonic_ns();
		left.tv_sec = now < until ? (time_t)((until - now) / LZ_NS_PER_SECOND) : 0;
		left.tv_nsec = now < until ? (long)((until - now) % LZ_NS_PER_SECOND) : 0;
		if (ppoll(events, 2, &left, NULL) > 0) {
			take_released(driver);
			while (receive(driver))
				;
		}
		now = lz_monotonic_ns();
	} while (now < until && !atomic_load(&driver->ends));
}

/* --- looking --- */

struct look {
	struct lz_shared_driver *driver;
	const struct lz_driven_object *object;
};

static bool rest(void *context, uint64_t took)
{
	const struct look *look = context;

	wait_for_events(look->driver, took < CHEAP_NS ? took : REST * took);
	return !look->object->gone && !atomic_load(&look->driver->ends);
}

static void *drive(void *argument)
{
	struct lz_shared_driver *driver = argument;

	while (!atomic_load(&driver->ends)) {
		wait_for_events(driver, (uint64_t)LOOK_MS * 1000000);
		for (unsigned i = 0; i < driver->count && !atomic_load(&driver->ends); i++) {
			struct look look = {driver, driver->object[i]};

			lz_driven_object_look(driver->object[i], &driver->options, rest, &look);
		}
		remove_gone(driver);
	}
	driver->totals.processor_time = lz_thread_time_ns();
	return NULL;
}

/* --- starting and ending --- */

static void ignore(void *context, const char *text)
{
	(void)context;
	(void)text;
}

static bool make_name(struct lz_shared_driver *driver)
{
	unsigned char bytes[LZ_SHARED_DRIVER_DIGITS / 2];

	if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes)
		return false;
	for (size_t i = 0; i < sizeof bytes; i++)
		snprintf(driver->text + 2 * i, 3, "%02x", bytes[i]);
	return true;
}

static bool open_socket(struct lz_shared_driver *driver)
{
	struct sockaddr_un address;
	socklen_t length;
	int on = 1;

	driver->socket = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	length = lz_shared_driver_address(driver->text, &address);
	return driver->socket >= 0 &&
	       setsockopt(driver->socket, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) == 0 &&
	       bind(driver->socket, (struct sockaddr *)&address, length) == 0 &&
	       pipe2(driver->wake, O_CLOEXEC | O_NONBLOCK) == 0;
}

static void free_driver(struct lz_shared_driver *driver)
{
	if (driver->socket >= 0)
		close(driver->socket);
	free(driver);
}

int lz_shared_driver_open(struct lz_shared_driver **opened)
{
	struct lz_shared_driver *driver = calloc(1, sizeof *driver);
	const struct lz_geometry *geometry;
	char value[sizeof driver->text + 8];

	*opened = NULL;
	if (driver == NULL)
		return -ENOMEM;
	driver->socket = -1;
	lz_options_from_environment(&driver->options, environ, ignore, NULL);
	if (lz_option_is_set(&driver->options, "SHARED") && driver->options.shared.mode != LZ_SHARED_AUTO) {
		free_driver(driver);
		return 0;
	}
	geometry = lz_geometry_probe(&lz_os_linux);
	driver->block = (size_t)1 << lz_table_span_shift(geometry, 0);
	if (!make_name(driver) || !open_socket(driver)) {
		free_driver(driver);
		return 0;
	}
	snprintf(value, sizeof value, "auto:%s", driver->text);
	if (setenv(VARIABLE, value, 1) != 0) {
		free_driver(driver);
		return -ENOMEM;
	}
	*opened = driver;
	return 0;
}

void lz_shared_driver_poll(struct lz_shared_driver *driver)
{
	struct pollfd message;

	if (driver == NULL || driver->started)
		return;
	message = (struct pollfd){.fd = driver->socket, .events = POLLIN};
	if (poll(&message, 1, 0) == 1)
		driver->started = pthread_create(&driver->thread, NULL, drive, driver) == 0;
}

void lz_shared_driver_close(struct lz_shared_driver *driver, struct lz_shared_totals *totals)
{
	static struct lz_driven_object *const none = NULL;

	*totals = (struct lz_shared_totals){.objects = 0};
	if (driver == NULL)
		return;
	atomic_store(&driver->ends, true);
	if (driver->started && write(driver->wake[1], &none, sizeof none) == sizeof none) {
		pthread_join(driver->thread, NULL);
		for (unsigned i = 0; i < driver->count; i++)
			count_object(driver, driver->object[i]);
		*totals = driver->totals;
		totals->huge_bytes = totals->collapsed * driver->block;
	}
	/* Waiters may still use the objects and the pipe, until the command ends. */
	close(driver->socket);
}

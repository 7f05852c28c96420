// Shifts the real-time clock of the process that it is loaded into, and makes its disk slow. The file that
// TOKENGATE_TEST_PRELOAD names holds both: how far the clock is ahead, in nanoseconds, then how much longer
// each fsync or fdatasync takes. It is mapped into memory, so that a change takes effect at once.

#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000

struct control {
	volatile int64_t ahead, sync_delay;
};

static const struct control none;
static const struct control *control = &none;

__attribute__((constructor)) static void open_control(void) {
	const char *path = getenv("TOKENGATE_TEST_PRELOAD");
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	void *mapped = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(struct control), PROT_READ, MAP_SHARED, fd, 0);
	if (mapped == MAP_FAILED)
		abort(); // with the real clock, a test would show nothing
	close(fd);
	control = mapped;
}

// The system calls are called directly: the C library's functions have these names, and memory allocators ask
// for the time before other libraries can be searched.
int clock_gettime(clockid_t clock, struct timespec *t) {
	int result = syscall(SYS_clock_gettime, clock, t);
	if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
		int64_t shifted = t->tv_sec * (int64_t)SECOND + t->tv_nsec + control->ahead;
		t->tv_sec = shifted / SECOND;
		t->tv_nsec = shifted % SECOND;
	}
	return result;
}

int gettimeofday(struct timeval *restrict t, void *restrict zone) {
	struct timespec now;
	(void)zone;
	clock_gettime(CLOCK_REALTIME, &now);
	t->tv_sec = now.tv_sec;
	t->tv_usec = now.tv_nsec / 1000;
	return 0;
}

time_t time(time_t *t) {
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	if (t)
		*t = now.tv_sec;
	return now.tv_sec;
}

static void delay_sync(void) {
	int64_t delay = control->sync_delay;
	struct timespec t = {delay / SECOND, delay % SECOND};
	if (delay > 0)
		nanosleep(&t, NULL);
}

int fsync(int fd) {
	delay_sync();
	return syscall(SYS_fsync, fd);
}

int fdatasync(int fd) {
	delay_sync();
	return syscall(SYS_fdatasync, fd);
}

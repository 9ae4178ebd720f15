/*
 * slow_flush.c
 *	  Makes a local disk as slow as a cloud's: a flush takes 1 ms more.
 *
 * A library for the LD_PRELOAD of a server.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <time.h>
#include <unistd.h>

static void
wait_1_ms(void)
{
	struct timespec left = {.tv_nsec = 1000000};

	while (nanosleep(&left, &left) != 0 && errno == EINTR)
		;
}

/* Calls the function of the C library whose place ours has. */
static int
real(const char *name, int fd)
{
	int (*function)(int);

	*(void **) &function = dlsym(RTLD_NEXT, name);
	return function(fd);
}

int
fdatasync(int fd)
{
	wait_1_ms();
	return real("fdatasync", fd);
}

int
fsync(int fd)
{
	wait_1_ms();
	return real("fsync", fd);
}

/*
 * faults.c
 *	  A system that is short of room.
 *
 * A library for the LD_PRELOAD of a server. While the directory FAULTS has a file
 *	  shm		no shared memory can be created or enlarged: a full /dev/shm
 *	  notify	no page of pg_notify can be written: a full disk, under NOTIFY alone
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static bool
fails(const char *what)
{
	const char *directory = getenv("FAULTS");
	char path[1000];

	if (directory == NULL)
		return false;
	snprintf(path, sizeof(path), "%s/%s", directory, what);
	return access(path, F_OK) == 0;
}

static bool
is_notify_file(int fd)
{
	char link[40];
	char path[1000];
	ssize_t len;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	len = readlink(link, path, sizeof(path) - 1);
	if (len < 0)
		return false;
	path[len] = '\0';
	return strstr(path, "/pg_notify/") != NULL;
}

int
shm_open(const char *name, int flags, mode_t mode)
{
	int (*real)(const char *, int, mode_t);

	if ((flags & O_CREAT) && fails("shm"))
	{
		errno = ENOSPC;
		return -1;
	}
	*(void **) &real = dlsym(RTLD_NEXT, "shm_open");
	return real(name, flags, mode);
}

static ssize_t
write_at(const char *function, int fd, const void *data, size_t len, off_t offset)
{
	ssize_t (*real)(int, const void *, size_t, off_t);

	if (is_notify_file(fd) && fails("notify"))
	{
		errno = ENOSPC;
		return -1;
	}
	*(void **) &real = dlsym(RTLD_NEXT, function);
	return real(fd, data, len, offset);
}

ssize_t
pwrite(int fd, const void *data, size_t len, off_t offset)
{
	return write_at("pwrite", fd, data, len, offset);
}

ssize_t
pwrite64(int fd, const void *data, size_t len, off64_t offset)
{
	return write_at("pwrite64", fd, data, len, offset);
}

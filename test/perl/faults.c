/*
 * faults.c
 *	  A system that is short of room, or slow.
 *
 * A library for the LD_PRELOAD of a server. While the directory FAULTS has a file
 *	  shm		no shared memory can be created or enlarged: a full /dev/shm
 *	  notify	no page of pg_notify can be written: a full disk, under NOTIFY alone
 *	  disk		no table and no index can grow
 *	  wal		no new file of the WAL can be made
 *	  slow		a flush takes 20 ms more
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
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

/* Whether it is a write that finds no room: by whose file it is. */
static bool
is_refused(int fd, off_t end)
{
	char link[40];
	char path[1000];
	struct stat file;
	ssize_t len;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	len = readlink(link, path, sizeof(path) - 1);
	if (len < 0)
		return false;
	path[len] = '\0';
	if (strstr(path, "/pg_notify/"))
		return fails("notify");
	if (strstr(path, "/pg_wal/xlogtemp"))
		return fails("wal");
	return strstr(path, "/base/") && fails("disk") && fstat(fd, &file) == 0 && end > file.st_size;
}

/* The function of the C library whose place ours has. */
static void *
real(const char *name)
{
	return dlsym(RTLD_NEXT, name);
}

int
shm_open(const char *name, int flags, mode_t mode)
{
	int (*function)(const char *, int, mode_t);

	if ((flags & O_CREAT) && fails("shm"))
	{
		errno = ENOSPC;
		return -1;
	}
	*(void **) &function = real("shm_open");
	return function(name, flags, mode);
}

static ssize_t
write_at(const char *name, int fd, const void *data, size_t len, off_t offset)
{
	ssize_t (*function)(int, const void *, size_t, off_t);

	if (is_refused(fd, offset + (off_t) len))
	{
		errno = ENOSPC;
		return -1;
	}
	*(void **) &function = real(name);
	return function(fd, data, len, offset);
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

static ssize_t
writev_at(const char *name, int fd, const struct iovec *parts, int nparts, off_t offset)
{
	ssize_t (*function)(int, const struct iovec *, int, off_t);
	off_t end = offset;

	for (int i = 0; i < nparts; i++)
		end += (off_t) parts[i].iov_len;
	if (is_refused(fd, end))
	{
		errno = ENOSPC;
		return -1;
	}
	*(void **) &function = real(name);
	return function(fd, parts, nparts, offset);
}

ssize_t
pwritev(int fd, const struct iovec *parts, int nparts, off_t offset)
{
	return writev_at("pwritev", fd, parts, nparts, offset);
}

ssize_t
pwritev64(int fd, const struct iovec *parts, int nparts, off64_t offset)
{
	return writev_at("pwritev64", fd, parts, nparts, offset);
}

int
posix_fallocate(int fd, off_t offset, off_t len)
{
	int (*function)(int, off_t, off_t);

	if (is_refused(fd, offset + len))
		return ENOSPC;
	*(void **) &function = real("posix_fallocate");
	return function(fd, offset, len);
}

static int
flush(const char *name, int fd)
{
	int (*function)(int);

	if (fails("slow"))
		usleep(20000);
	*(void **) &function = real(name);
	return function(fd);
}

int
fsync(int fd)
{
	return flush("fsync", fd);
}

int
fdatasync(int fd)
{
	return flush("fdatasync", fd);
}

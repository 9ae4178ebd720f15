/*
 * util.c
 *	  Memory that does not fail, text that grows, and the time.
 */
#include "base/util.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

#include "base/log.h"

static void *
checked(void *p)
{
	if (!p)
	{
		log_line(LOG_ERROR, "out of memory");
		abort();
	}
	return p;
}

void *
xmalloc(size_t size)
{
	return checked(malloc(size ? size : 1));
}

void *
xcalloc(size_t n, size_t size)
{
	return checked(calloc(n ? n : 1, size ? size : 1));
}

void *
xrealloc(void *old, size_t size)
{
	return checked(realloc(old, size ? size : 1));
}

char *
xstrdup(const char *s)
{
	return xstrndup(s, strlen(s));
}

char *
xstrndup(const char *s, size_t len)
{
	char *copy = xmalloc(len + 1);

	memcpy(copy, s, len);
	copy[len] = '\0';
	return copy;
}

void
buf_reserve(Buf *buf, size_t more)
{
	size_t cap = buf->cap ? buf->cap : 256;

	if (buf->len + more + 1 <= buf->cap)
		return;
	while (cap < buf->len + more + 1)
		cap *= 2;
	buf->data = xrealloc(buf->data, cap);
	buf->cap = cap;
}

void
buf_add(Buf *buf, const void *data, size_t len)
{
	buf_reserve(buf, len);
	if (len)
		memcpy(buf->data + buf->len, data, len);
	buf->len += len;
	buf->data[buf->len] = '\0';
}

void
buf_adds(Buf *buf, const char *s)
{
	buf_add(buf, s, strlen(s));
}

void
buf_addc(Buf *buf, char c)
{
	buf_add(buf, &c, 1);
}

void
buf_addf(Buf *buf, const char *format, ...)
{
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(NULL, 0, format, args);
	va_end(args);
	if (len < 0)
		abort();
	buf_reserve(buf, (size_t) len);
	va_start(args, format);
	vsnprintf(buf->data + buf->len, (size_t) len + 1, format, args);
	va_end(args);
	buf->len += (size_t) len;
}

void
buf_free(Buf *buf)
{
	free(buf->data);
	*buf = (Buf){0};
}

void
buf_take(Buf *buf, size_t len)
{
	buf->len -= len;
	if (buf->len == 0)
		buf_free(buf);
	else if (len > 0)
	{
		memmove(buf->data, buf->data + len, buf->len);
		buf->data[buf->len] = '\0';
	}
}

void
buf_add_element(Buf *buf, Bytes value)
{
	if (buf->len > 1)
		buf_addc(buf, ',');
	buf_addc(buf, '"');
	for (size_t i = 0; i < value.len; i++)
	{
		if (value.data[i] == '"' || value.data[i] == '\\')
			buf_addc(buf, '\\');
		buf_addc(buf, value.data[i]);
	}
	buf_addc(buf, '"');
}

bool
hex_bytes(const char *hex, unsigned char *bytes, size_t len)
{
	if (strlen(hex) != 2 * len)
		return false;
	for (size_t i = 0; i < len; i++)
	{
		unsigned byte;

		if (sscanf(hex + 2 * i, "%2x", &byte) != 1)
			return false;
		bytes[i] = (unsigned char) byte;
	}
	return true;
}

int64_t
thread_us(void)
{
	struct timespec ran;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ran);
	return (int64_t) ran.tv_sec * 1000000 + ran.tv_nsec / 1000;
}

int64_t
now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t) now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t
now_ms(void)
{
	return now_us() / 1000;
}

uint64_t
random_u64(void)
{
	uint64_t value;

	if (getrandom(&value, sizeof(value), 0) != sizeof(value))
	{
		log_line(LOG_ERROR, "no random numbers from the system");
		abort();
	}
	return value;
}

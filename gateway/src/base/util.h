/*
 * util.h
 *	  Memory that does not fail, text that grows, and the time.
 *
 * The gateway keeps nothing that its end would lose: members are the
 * database's. So an allocation that fails ends the program, and no caller
 * checks for it. What peers can make it allocate is bounded elsewhere.
 */
#ifndef GATEWAY_UTIL_H
#define GATEWAY_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "../../../src/signature.h" /* Bytes */

extern void *xmalloc(size_t size);
extern void *xcalloc(size_t n, size_t size);
extern void *xrealloc(void *old, size_t size);
extern char *xstrdup(const char *s);
extern char *xstrndup(const char *s, size_t len);

/* The bytes of a literal, and of a string. */
#define BYTES(literal) ((Bytes){(literal), sizeof(literal) - 1})

static inline Bytes
bytes_of(const char *s)
{
	return (Bytes){s, strlen(s)};
}

static inline bool
bytes_equal(Bytes a, Bytes b)
{
	return a.len == b.len && memcmp(a.data, b.data, a.len) == 0;
}

static inline bool
bytes_start_with(Bytes b, Bytes prefix)
{
	return b.len >= prefix.len && memcmp(b.data, prefix.data, prefix.len) == 0;
}

/* Text that grows; always ended by a zero once something was added. */
typedef struct Buf
{
	char *data;
	size_t len;
	size_t cap;
} Buf;

/* Makes room for so much more. */
extern void buf_reserve(Buf *buf, size_t more);
extern void buf_add(Buf *buf, const void *data, size_t len);
extern void buf_adds(Buf *buf, const char *s);
extern void buf_addc(Buf *buf, char c);
extern void buf_addf(Buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
extern void buf_free(Buf *buf);

/* Takes so many bytes from the begin; what is left moves there. An empty one holds no memory. */
extern void buf_take(Buf *buf, size_t len);

static inline void
buf_reset(Buf *buf)
{
	buf->len = 0;
}

static inline Bytes
buf_bytes(const Buf *buf)
{
	return (Bytes){buf->data ? buf->data : "", buf->len};
}

/*
 * An element of an array in PostgreSQL's text form, quoted, with a comma
 * before it unless it is the first: "{" and "}" are the caller's.
 */
extern void buf_add_element(Buf *buf, Bytes value);

/* Bytes of their hex digits; false: these are not so many. */
extern bool hex_bytes(const char *hex, unsigned char *bytes, size_t len);

/* Milliseconds and microseconds of a clock that only goes forward. */
extern int64_t now_ms(void);
extern int64_t now_us(void);

/* CPU of this thread so far. */
extern int64_t thread_us(void);

/* From the system's generator; ends the program if there is none. */
extern uint64_t random_u64(void);

#endif /* GATEWAY_UTIL_H */

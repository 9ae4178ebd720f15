/*
 * out.c
 *	  What waits to be written to one connection: frames, shared with others.
 */
#include "transport/out.h"

#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/metrics.h"

#define TLS_RECORD   (16 * 1024)
#define MAX_PARTS    64
#define SMALL_QUEUE  4            /* that stays while it is empty */
#define WRITE_A_TURN (512 * 1024) /* and then the others; the kernel may take megabytes */
#define WRITE_PART   (256 * 1024)

void
out_free(Out *out)
{
	for (int i = 0; i < out->nqueue; i++)
		frame_unref(out->queue[i]);
	free(out->queue);
	metrics.backlog -= out->backlog;
	out->queue = NULL;
	out->nqueue = out->queue_cap = 0;
	out->backlog = out->shared = 0;
	out->sent = 0;
}

void
out_add(Out *out, Frame *frame)
{
	if (out->nqueue == out->queue_cap)
	{
		out->queue_cap = out->queue_cap ? out->queue_cap * 2 : SMALL_QUEUE;
		out->queue = xrealloc(out->queue, sizeof(Frame *) * (size_t) out->queue_cap);
	}
	out->queue[out->nqueue++] = frame_ref(frame);
	out->backlog += frame->len;
	metrics.backlog += frame->len;
	metrics.frames_out++;
}

/* So many bytes are out. */
static void
unqueue(Out *out, size_t bytes)
{
	int n = 0;

	metrics.bytes_out += bytes;
	out->backlog -= bytes;
	metrics.backlog -= bytes;
	bytes += out->sent;
	while (n < out->nqueue && bytes >= out->queue[n]->len)
	{
		bytes -= out->queue[n]->len;
		frame_unref(out->queue[n++]);
	}
	out->sent = (uint32_t) bytes;
	out->nqueue -= n;
	if (n > 0)
		memmove(out->queue, out->queue + n, sizeof(Frame *) * (size_t) out->nqueue);
	if (out->nqueue > 0)
		return;
	out->shared = 0;
	if (out->queue_cap > SMALL_QUEUE)
		out_free(out);
}

/* What the kernel takes at once: bytes, 0 for none at the moment, -1 for never again. */
static ssize_t
write_plain(const Out *out, int fd)
{
	struct iovec parts[MAX_PARTS];
	int n = 0;
	ssize_t written;

	if (out->nqueue == 1)
	{
		size_t len = out->queue[0]->len - out->sent;

		written = send(fd, out->queue[0]->data + out->sent, len < WRITE_PART ? len : WRITE_PART,
					   MSG_NOSIGNAL);
	}
	else
	{
		for (; n < out->nqueue && n < MAX_PARTS; n++)
		{
			size_t skip = n == 0 ? out->sent : 0;

			parts[n].iov_base = out->queue[n]->data + skip;
			parts[n].iov_len = out->queue[n]->len - skip;
			if (parts[n].iov_len > WRITE_PART)
			{
				parts[n++].iov_len = WRITE_PART;
				break;
			}
		}
		written = writev(fd, parts, n);
	}
	if (written < 0)
		return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? 0 : -1;
	return written;
}

/* A record of TLS: of one frame, or of as many as fit. The same bytes again if it must wait. */
static ssize_t
write_tls(const Out *out, SSL *tls)
{
	static unsigned char joined[TLS_RECORD];
	const unsigned char *data = out->queue[0]->data + out->sent;
	size_t len = out->queue[0]->len - out->sent;
	int written;
	int error;

	if (out->nqueue > 1 && len < TLS_RECORD)
	{
		size_t n = 0;

		memcpy(joined, data, len);
		n = len;
		for (int i = 1; i < out->nqueue && n + out->queue[i]->len <= TLS_RECORD; i++)
		{
			memcpy(joined + n, out->queue[i]->data, out->queue[i]->len);
			n += out->queue[i]->len;
		}
		data = joined;
		len = n;
	}
	ERR_clear_error();
	written = SSL_write(tls, data, len > INT_MAX ? INT_MAX : (int) len);
	if (written > 0)
		return written;
	error = SSL_get_error(tls, written);
	return error == SSL_ERROR_WANT_WRITE || error == SSL_ERROR_WANT_READ ? 0 : -1;
}

bool
out_write(Out *out, int fd, SSL *tls)
{
	size_t total = 0;

	while (out->nqueue > 0 && total < WRITE_A_TURN)
	{
		ssize_t written = tls ? write_tls(out, tls) : write_plain(out, fd);

		if (written < 0)
			return false;
		if (written == 0)
			break;
		unqueue(out, (size_t) written);
		total += (size_t) written;
	}
	return true;
}

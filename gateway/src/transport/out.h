/*
 * out.h
 *	  What waits to be written to one connection: frames, shared with others.
 */
#ifndef GATEWAY_OUT_H
#define GATEWAY_OUT_H

#include <openssl/ssl.h>

#include "transport/frame.h"

typedef struct Out
{
	Frame **queue;
	int nqueue;
	int queue_cap;
	uint32_t sent;  /* bytes of the first frame that are out */
	size_t backlog; /* bytes that wait */
	size_t shared;  /* of them, those of lists: not this connection's own */
} Out;

/* The reference stays the caller's. */
extern void out_add(Out *out, Frame *frame);

/* Writes until nothing is left, or the kernel takes no more; false: the connection is dead. */
extern bool out_write(Out *out, int fd, SSL *tls);

extern void out_free(Out *out);

#endif /* GATEWAY_OUT_H */

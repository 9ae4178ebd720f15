/*
 * bind.h
 *	  Addresses to listen on, bound as they were asked for.
 */
#ifndef GATEWAY_BIND_H
#define GATEWAY_BIND_H

#include "base/util.h"

/* A socket listens; path: its file, of a Unix socket. where: for the taker to tell. */
typedef bool (*BindTake)(int fd, const char *path, Buf *where);

/* Binds all of "HOST:PORT,unix:PATH". False: one can't be, and the log says why. */
extern bool bind_addresses(const char *addresses, BindTake take, Buf *where);

#endif /* GATEWAY_BIND_H */

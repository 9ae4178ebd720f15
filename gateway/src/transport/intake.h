/*
 * intake.h
 *	  Bytes that come on a connection: the PROXY protocol, TLS, or as they are.
 */
#ifndef GATEWAY_INTAKE_H
#define GATEWAY_INTAKE_H

#include <openssl/ssl.h>
#include <sys/types.h>

#include "transport/address.h"

/* 1: it was there, ip is the client's; 0: not all of it yet; -1: it is none. */
extern int intake_proxy_header(int fd, Ip *ip);

/* 1: done; 0: not yet; -1: failed. */
extern int intake_handshake(SSL *tls);

/* Bytes; 0: none at the moment; -1: that was all. tls may be NULL. */
extern ssize_t intake_read(int fd, SSL *tls, char *data, size_t size);

#endif /* GATEWAY_INTAKE_H */

/*
 * tls.h
 *	  The certificate and its key, as TLS connections use them.
 */
#ifndef GATEWAY_TLS_H
#define GATEWAY_TLS_H

#include <openssl/ssl.h>
#include <stdbool.h>

/*
 * Reads the files of the options; those that connect from now on get them. False, with the
 * old ones kept and the log told, if they are not good. Without such options: no TLS.
 */
extern bool tls_load(void);

/* A connection's own, on that socket; NULL: there is no TLS here, or no memory. */
extern SSL *tls_open(int fd);

extern bool tls_wanted(void);
extern void tls_end(void);

#endif /* GATEWAY_TLS_H */

/*
 * bytes.h
 *	  Text as it is signed.
 */
#ifndef PRESENCE_BYTES_H
#define PRESENCE_BYTES_H

#include "postgres.h"

#include "compat.h"
#include "signature.h"

/* As UTF-8, which is what Pusher signs and a gateway reads, whatever the database's encoding. */
extern Bytes text_bytes(text *value);
extern Bytes utf8_bytes(const char *s, int len);

/*
 * Whether it can be told so. Not all text can: SQL_ASCII takes any bytes, and other encodings have
 * characters of their own. A listener would get an error instead of it.
 */
extern bool has_utf8(const char *s, int len);

#endif /* PRESENCE_BYTES_H */

/*
 * signature.h
 *	  Pusher's signatures: HMAC-SHA256 and MD5 in lower-case hex, by OpenSSL.
 *
 * Knows no PostgreSQL header, so that other programs can link it.
 */
#ifndef PRESENCE_SIGNATURE_H
#define PRESENCE_SIGNATURE_H

#include <stdbool.h>
#include <stddef.h>

#define SIGNATURE_HEX_LEN     64
#define SIGNATURE_MD5_HEX_LEN 32

#define SIGNATURE_KEY_LEN           32
#define SIGNATURE_SHARED_SECRET_LEN 44 /* those bytes in base64 */

/* Bytes that are not ended by a zero. */
typedef struct Bytes
{
	const char *data;
	size_t len;
} Bytes;

/*
 * HMAC-SHA256 of the parts one after the other. Writes the hex digits and a
 * zero. False if OpenSSL fails: out of memory, or an empty secret.
 */
extern bool signature_hmac(Bytes secret, const Bytes *parts, int nparts,
						   char hex[SIGNATURE_HEX_LEN + 1]);

/* "socket_id:channel" or, with channel_data not NULL, "socket_id:channel:channel_data". */
extern bool signature_channel(Bytes secret, Bytes socket_id, Bytes channel,
							  const Bytes *channel_data, char hex[SIGNATURE_HEX_LEN + 1]);

/* "socket_id::user::user_data" */
extern bool signature_user(Bytes secret, Bytes socket_id, Bytes user_data,
						   char hex[SIGNATURE_HEX_LEN + 1]);

/* A master key of encrypted channels, out of its base64. False: it is not 32 bytes so. */
extern bool signature_master_key(Bytes base64, unsigned char key[SIGNATURE_KEY_LEN]);

/* The key of one encrypted channel, in base64, with a zero: SHA-256 of its name and the master key.
 */
extern bool signature_shared_secret(Bytes master_key_base64, Bytes channel,
									char base64[SIGNATURE_SHARED_SECRET_LEN + 1]);

/* The body_md5 of a signed HTTP request. */
extern bool signature_md5(Bytes body, char hex[SIGNATURE_MD5_HEX_LEN + 1]);

/* Whether a signature received is the one computed, in a time that does not tell where it differs.
 */
extern bool signature_equal(const char computed[SIGNATURE_HEX_LEN + 1], Bytes received);

#endif /* PRESENCE_SIGNATURE_H */

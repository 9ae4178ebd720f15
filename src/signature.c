/*
 * signature.c
 *	  Pusher's signatures: HMAC-SHA256 and MD5 in lower-case hex, by OpenSSL.
 *
 * What is signed is defined by the Pusher Channels documentation: "Auth
 * signatures", "User authentication", "HTTP API: authentication", "Webhooks".
 */
#include "signature.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

static void
write_hex(const unsigned char *bytes, size_t len, char *hex)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < len; i++)
	{
		hex[2 * i] = digits[bytes[i] >> 4];
		hex[2 * i + 1] = digits[bytes[i] & 0xf];
	}
	hex[2 * len] = '\0';
}

bool
signature_hmac(Bytes secret, const Bytes *parts, int nparts, char hex[SIGNATURE_HEX_LEN + 1])
{
	unsigned char digest[SIGNATURE_HEX_LEN / 2];
	size_t len = sizeof(digest);
	EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_HMAC, NULL,
												 (const unsigned char *) secret.data, secret.len);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ok = key && ctx && EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key) == 1;

	for (int i = 0; ok && i < nparts; i++)
		ok = EVP_DigestSignUpdate(ctx, parts[i].data, parts[i].len) == 1;
	ok = ok && EVP_DigestSignFinal(ctx, digest, &len) == 1 && len == sizeof(digest);
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(key);
	if (ok)
		write_hex(digest, len, hex);
	return ok;
}

bool
signature_channel(Bytes secret, Bytes socket_id, Bytes channel, const Bytes *channel_data,
				  char hex[SIGNATURE_HEX_LEN + 1])
{
	Bytes colon = {":", 1};
	Bytes parts[] = {socket_id, colon, channel, colon, channel_data ? *channel_data : colon};

	return signature_hmac(secret, parts, channel_data ? 5 : 3, hex);
}

bool
signature_user(Bytes secret, Bytes socket_id, Bytes user_data, char hex[SIGNATURE_HEX_LEN + 1])
{
	Bytes parts[] = {socket_id, {"::user::", 8}, user_data};

	return signature_hmac(secret, parts, 3, hex);
}

bool
signature_md5(Bytes body, char hex[SIGNATURE_MD5_HEX_LEN + 1])
{
	unsigned char digest[SIGNATURE_MD5_HEX_LEN / 2];
	unsigned int len = 0;

	if (EVP_Digest(body.data, body.len, digest, &len, EVP_md5(), NULL) != 1 ||
		len != sizeof(digest))
		return false;
	write_hex(digest, len, hex);
	return true;
}

bool
signature_equal(const char computed[SIGNATURE_HEX_LEN + 1], Bytes received)
{
	return received.len == SIGNATURE_HEX_LEN &&
		   CRYPTO_memcmp(computed, received.data, SIGNATURE_HEX_LEN) == 0;
}

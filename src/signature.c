/*
 * signature.c
 *	  Pusher's signatures: HMAC-SHA256 and MD5 in lower-case hex, by OpenSSL.
 *
 * What is signed is defined by the Pusher Channels documentation: "Auth
 * signatures", "User authentication", "HTTP API: authentication", "Webhooks".
 */
#include "signature.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <string.h>

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

/* Made once a process: to look up the algorithms takes ten times as long as to use them. */
static EVP_MAC_CTX *
hmac_context(void)
{
	static EVP_MAC_CTX *context = NULL;
	char digest[] = OSSL_DIGEST_NAME_SHA2_256;
	OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
						   OSSL_PARAM_END};
	EVP_MAC *hmac;

	if (context != NULL)
		return context;
	hmac = EVP_MAC_fetch(NULL, OSSL_MAC_NAME_HMAC, NULL);
	context = hmac ? EVP_MAC_CTX_new(hmac) : NULL;
	EVP_MAC_free(hmac);
	if (context != NULL && EVP_MAC_CTX_set_params(context, params) != 1)
	{
		EVP_MAC_CTX_free(context);
		context = NULL;
	}
	return context;
}

bool
signature_hmac(Bytes secret, const Bytes *parts, int nparts, char hex[SIGNATURE_HEX_LEN + 1])
{
	unsigned char digest[SIGNATURE_HEX_LEN / 2];
	size_t len = 0;
	EVP_MAC_CTX *context = secret.len > 0 ? hmac_context() : NULL;
	bool ok = context != NULL &&
			  EVP_MAC_init(context, (const unsigned char *) secret.data, secret.len, NULL) == 1;

	for (int i = 0; ok && i < nparts; i++)
		ok = EVP_MAC_update(context, (const unsigned char *) parts[i].data, parts[i].len) == 1;
	ok = ok && EVP_MAC_final(context, digest, &len, sizeof(digest)) == 1 && len == sizeof(digest);
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

/* The decoder takes blanks and bad padding for nothing: what it read must be what was written. */
bool
signature_master_key(Bytes base64, unsigned char key[SIGNATURE_KEY_LEN])
{
	unsigned char bytes[SIGNATURE_KEY_LEN + 1]; /* the padding is decoded, too */
	unsigned char again[SIGNATURE_SHARED_SECRET_LEN + 1];
	bool ok = base64.len == SIGNATURE_SHARED_SECRET_LEN &&
			  EVP_DecodeBlock(bytes, (const unsigned char *) base64.data, (int) base64.len) ==
				  sizeof(bytes);

	if (ok)
	{
		EVP_EncodeBlock(again, bytes, SIGNATURE_KEY_LEN);
		ok = CRYPTO_memcmp(again, base64.data, SIGNATURE_SHARED_SECRET_LEN) == 0;
		memcpy(key, bytes, SIGNATURE_KEY_LEN);
	}
	OPENSSL_cleanse(bytes, sizeof(bytes));
	OPENSSL_cleanse(again, sizeof(again));
	return ok;
}

bool
signature_shared_secret(Bytes master_key_base64, Bytes channel,
						char base64[SIGNATURE_SHARED_SECRET_LEN + 1])
{
	unsigned char key[SIGNATURE_KEY_LEN];
	unsigned char digest[SIGNATURE_KEY_LEN];
	unsigned int len = 0;
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	bool ok = signature_master_key(master_key_base64, key) && context != NULL &&
			  EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1 &&
			  EVP_DigestUpdate(context, channel.data, channel.len) == 1 &&
			  EVP_DigestUpdate(context, key, sizeof(key)) == 1 &&
			  EVP_DigestFinal_ex(context, digest, &len) == 1 && len == sizeof(digest);

	EVP_MD_CTX_free(context);
	if (ok)
		EVP_EncodeBlock((unsigned char *) base64, digest, sizeof(digest));
	OPENSSL_cleanse(key, sizeof(key));
	OPENSSL_cleanse(digest, sizeof(digest));
	return ok;
}

bool
signature_equal(const char computed[SIGNATURE_HEX_LEN + 1], Bytes received)
{
	return received.len == SIGNATURE_HEX_LEN &&
		   CRYPTO_memcmp(computed, received.data, SIGNATURE_HEX_LEN) == 0;
}

/*
 * tls.c
 *	  The certificate and its key, as TLS connections use them.
 */
#include "transport/tls.h"

#include <openssl/err.h>

#include "base/log.h"
#include "base/options.h"

static SSL_CTX *context;

static int
choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_len,
				const unsigned char *in, unsigned in_len, void *arg)
{
	static const unsigned char http[] = "\x08http/1.1";

	(void) ssl;
	(void) arg;
	if (SSL_select_next_proto((unsigned char **) out, out_len, http, sizeof(http) - 1, in,
							  in_len) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_NOACK;
	return SSL_TLSEXT_ERR_OK;
}

static bool
fill(SSL_CTX *ctx)
{
	return SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1 &&
		   SSL_CTX_use_certificate_chain_file(ctx, options.tls_cert) == 1 &&
		   SSL_CTX_use_PrivateKey_file(ctx, options.tls_key, SSL_FILETYPE_PEM) == 1 &&
		   SSL_CTX_check_private_key(ctx) == 1;
}

bool
tls_load(void)
{
	SSL_CTX *fresh;

	if (!options.tls_cert)
		return true;
	ERR_clear_error();
	fresh = SSL_CTX_new(TLS_server_method());
	if (!fresh || !fill(fresh))
	{
		log_line(LOG_ERROR, "the certificate %s or its key %s can't be used: %s", options.tls_cert,
				 options.tls_key, ERR_reason_error_string(ERR_peek_last_error()));
		ERR_clear_error();
		SSL_CTX_free(fresh);
		return false;
	}
	SSL_CTX_set_options(fresh, SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE |
								   SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_mode(fresh, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
								SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_alpn_select_cb(fresh, choose_protocol, NULL);
	SSL_CTX_set_session_id_context(fresh, (const unsigned char *) "gateway", 7);
	SSL_CTX_free(context);
	context = fresh;
	return true;
}

bool
tls_wanted(void)
{
	return context != NULL;
}

SSL *
tls_open(int fd)
{
	SSL *ssl = context ? SSL_new(context) : NULL;

	if (ssl && SSL_set_fd(ssl, fd) != 1)
	{
		SSL_free(ssl);
		return NULL;
	}
	if (ssl)
		SSL_set_accept_state(ssl);
	return ssl;
}

void
tls_end(void)
{
	SSL_CTX_free(context);
	context = NULL;
}

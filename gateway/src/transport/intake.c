/*
 * intake.c
 *	  Bytes that come on a connection: the PROXY protocol, TLS, or as they are.
 */
#include "transport/intake.h"

#include <errno.h>
#include <openssl/err.h>
#include <sys/socket.h>

#include "transport/proxy.h"

/* How many bytes must be there before the loop is woken. */
static void
wake_at(int fd, int bytes)
{
	setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof(bytes));
}

int
intake_proxy_header(int fd, Ip *ip)
{
	char data[2100];
	ssize_t n = recv(fd, data, sizeof(data), MSG_PEEK);
	int len;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	len = n > 0 ? proxy_parse((Bytes){data, (size_t) n}, ip) : -1;
	if (len > 0 && recv(fd, data, (size_t) len, 0) == len)
	{
		wake_at(fd, 1);
		return 1;
	}
	if (len != 0)
		return -1;
	wake_at(fd, (int) n + 1);
	return 0;
}

int
intake_handshake(SSL *tls)
{
	int status;

	ERR_clear_error();
	status = SSL_do_handshake(tls);
	if (status == 1)
		return 1;
	status = SSL_get_error(tls, status);
	return status == SSL_ERROR_WANT_READ || status == SSL_ERROR_WANT_WRITE ? 0 : -1;
}

ssize_t
intake_read(int fd, SSL *tls, char *data, size_t size)
{
	ssize_t n;
	int error;

	if (!tls)
	{
		n = recv(fd, data, size, 0);
		if (n < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : -1;
		return n == 0 ? -1 : n;
	}
	ERR_clear_error();
	n = SSL_read(tls, data, (int) size);
	if (n > 0)
		return n;
	error = SSL_get_error(tls, (int) n);
	return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? 0 : -1;
}

/*
 * proxy.c
 *	  The PROXY protocol (HAProxy, versions 1 and 2): whom a proxy connects.
 */
#include "transport/proxy.h"

#include <netinet/in.h>

#define V1_MAX  107
#define V2_HEAD 16
#define V2_MAX  (V2_HEAD + 2048)

static const char v2_signature[12] = "\r\n\r\n\0\r\nQUIT\n";

/* "PROXY TCP4 198.51.100.1 203.0.113.2 56324 443" */
static int
parse_v1(Bytes data, Ip *ip)
{
	const char *end = memmem(data.data, data.len < V1_MAX ? data.len : V1_MAX, "\r\n", 2);
	Bytes rest = {data.data + 6, 0};
	const char *space;

	if (!end)
		return data.len >= V1_MAX ? -1 : 0;
	rest.len = (size_t) (end - rest.data);
	if (bytes_start_with(rest, BYTES("UNKNOWN")))
		return (int) (end + 2 - data.data);
	if (!bytes_start_with(rest, BYTES("TCP4 ")) && !bytes_start_with(rest, BYTES("TCP6 ")))
		return -1;
	rest = (Bytes){rest.data + 5, rest.len - 5};
	space = memchr(rest.data, ' ', rest.len);
	if (!space || !ip_parse((Bytes){rest.data, (size_t) (space - rest.data)}, ip))
		return -1;
	return (int) (end + 2 - data.data);
}

static int
parse_v2(Bytes data, Ip *ip)
{
	const unsigned char *p = (const unsigned char *) data.data;
	size_t len;

	if (data.len < V2_HEAD)
		return 0;
	len = V2_HEAD + ((size_t) p[14] << 8 | p[15]);
	if (p[12] >> 4 != 2 || (p[12] & 15) > 1 || len > V2_MAX)
		return -1;
	if (data.len < len)
		return 0;
	if ((p[12] & 15) == 1 && p[13] == 0x11 && len >= V2_HEAD + 12)
	{
		struct sockaddr_in in = {.sin_family = AF_INET};

		memcpy(&in.sin_addr, p + V2_HEAD, 4);
		*ip = ip_of((struct sockaddr *) &in);
	}
	else if ((p[12] & 15) == 1 && p[13] == 0x21 && len >= V2_HEAD + 36)
		memcpy(ip->bytes, p + V2_HEAD, sizeof(ip->bytes));
	return (int) len;
}

int
proxy_parse(Bytes data, Ip *ip)
{
	size_t n = data.len < sizeof(v2_signature) ? data.len : sizeof(v2_signature);

	if (n > 0 && memcmp(data.data, v2_signature, n) == 0)
		return n < sizeof(v2_signature) ? 0 : parse_v2(data, ip);
	n = data.len < 6 ? data.len : 6;
	if (memcmp(data.data, "PROXY ", n) != 0)
		return -1;
	return n < 6 ? 0 : parse_v1(data, ip);
}

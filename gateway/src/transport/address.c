/*
 * address.c
 *	  Who is at the other end: addresses as text, networks, and what one address holds.
 */
#include "transport/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>

static Holder *holders;

static const unsigned char v4_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static bool
is_v4(const Ip *ip)
{
	return memcmp(ip->bytes, v4_prefix, sizeof(v4_prefix)) == 0;
}

static Ip
from_v4(const void *address)
{
	Ip ip = {{0}};

	memcpy(ip.bytes, v4_prefix, sizeof(v4_prefix));
	memcpy(ip.bytes + 12, address, 4);
	return ip;
}

bool
ip_parse(Bytes text, Ip *ip)
{
	char copy[ADDRESS_TEXT];
	unsigned char v4[4];

	if (text.len > 2 && text.data[0] == '[' && text.data[text.len - 1] == ']')
		text = (Bytes){text.data + 1, text.len - 2};
	if (text.len == 0 || text.len >= sizeof(copy))
		return false;
	memcpy(copy, text.data, text.len);
	copy[text.len] = '\0';
	if (inet_pton(AF_INET, copy, v4) == 1)
	{
		*ip = from_v4(v4);
		return true;
	}
	return inet_pton(AF_INET6, copy, ip->bytes) == 1;
}

Ip
ip_of(const struct sockaddr *address)
{
	Ip ip = {{0}};

	if (address->sa_family == AF_INET)
		return from_v4(&((const struct sockaddr_in *) address)->sin_addr);
	if (address->sa_family == AF_INET6)
		memcpy(ip.bytes, &((const struct sockaddr_in6 *) address)->sin6_addr, sizeof(ip.bytes));
	return ip;
}

static bool
is_none(const Ip *ip)
{
	static const Ip none;

	return memcmp(ip, &none, sizeof(none)) == 0;
}

void
ip_text(const Ip *ip, char text[ADDRESS_TEXT])
{
	if (is_none(ip))
		strcpy(text, "unix");
	else if (is_v4(ip))
		inet_ntop(AF_INET, ip->bytes + 12, text, ADDRESS_TEXT);
	else
		inet_ntop(AF_INET6, ip->bytes, text, ADDRESS_TEXT);
}

bool
ip_is_local(const Ip *ip)
{
	static const unsigned char loopback[16] = {[15] = 1};

	return is_none(ip) || memcmp(ip->bytes, loopback, sizeof(loopback)) == 0 ||
		   (is_v4(ip) && ip->bytes[12] == 127);
}

void
address_text(const struct sockaddr *address, char *text, size_t size)
{
	char host[INET6_ADDRSTRLEN];

	if (address->sa_family == AF_INET)
	{
		const struct sockaddr_in *in = (const struct sockaddr_in *) address;

		inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
		snprintf(text, size, "%s:%d", host, ntohs(in->sin_port));
	}
	else if (address->sa_family == AF_INET6)
	{
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *) address;

		inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
		snprintf(text, size, "[%s]:%d", host, ntohs(in6->sin6_port));
	}
	else
		snprintf(text, size, "unix:%s", ((const struct sockaddr_un *) address)->sun_path);
}

/*
 * Networks
 */

static bool
same_bits(const Ip *a, const Ip *b, int bits)
{
	int whole = bits / 8;
	int rest = bits % 8;

	if (memcmp(a->bytes, b->bytes, (size_t) whole) != 0)
		return false;
	return rest == 0 || ((a->bytes[whole] ^ b->bytes[whole]) >> (8 - rest)) == 0;
}

static bool
is_in(const Ip *ip, Bytes network)
{
	const char *slash = memchr(network.data, '/', network.len);
	size_t len = slash ? (size_t) (slash - network.data) : network.len;
	Ip base;
	int bits = 128;

	if (bytes_equal(network, BYTES("unix")))
		return is_none(ip);
	if (is_none(ip) || !ip_parse((Bytes){network.data, len}, &base))
		return false;
	if (slash)
		bits = atoi(slash + 1) + (is_v4(&base) ? 96 : 0);
	return bits >= 0 && bits <= 128 && same_bits(ip, &base, bits);
}

bool
ip_in(const Ip *ip, const char *networks)
{
	while (networks && *networks)
	{
		size_t len;

		networks += strspn(networks, ", ");
		len = strcspn(networks, ", ");
		if (len > 0 && is_in(ip, (Bytes){networks, len}))
			return true;
		networks += len;
	}
	return false;
}

/*
 * Holders
 */

Holder *
holder_take(const Ip *ip, unsigned limit)
{
	Ip key = *ip;
	Holder *holder;

	if (!is_v4(&key))
		memset(key.bytes + 8, 0, 8);
	HASH_FIND(hh, holders, &key, sizeof(key), holder);
	if (holder && limit && holder->refs >= limit)
		return NULL;
	if (!holder)
	{
		holder = xcalloc(1, sizeof(Holder));
		holder->ip = key;
		HASH_ADD(hh, holders, ip, sizeof(key), holder);
	}
	holder->refs++;
	return holder;
}

void
holder_release(Holder *holder)
{
	if (!holder || --holder->refs > 0)
		return;
	HASH_DEL(holders, holder);
	free(holder);
}

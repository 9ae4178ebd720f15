/*
 * address.h
 *	  Who is at the other end: addresses as text, networks, and what one address holds.
 */
#ifndef GATEWAY_ADDRESS_H
#define GATEWAY_ADDRESS_H

#include <sys/socket.h>
#include <uthash.h>

#include "base/bucket.h"
#include "base/util.h"

#define ADDRESS_TEXT 64

/* An IPv4 address as IPv6 has it; all zero: none, as of a Unix socket. */
typedef struct Ip
{
	unsigned char bytes[16];
} Ip;

/* What one address (IPv4; IPv6: one /64) holds here. Shared and counted. */
typedef struct Holder
{
	Ip ip;
	unsigned refs; /* connections */
	Bucket messages;
	UT_hash_handle hh;
} Holder;

/* False: the text is none. */
extern bool ip_parse(Bytes text, Ip *ip);
extern Ip ip_of(const struct sockaddr *address);
extern void ip_text(const Ip *ip, char text[ADDRESS_TEXT]);
extern bool ip_is_local(const Ip *ip); /* this machine's own, Unix sockets included */

/* HOST:PORT of a bound socket, or unix:PATH. */
extern void address_text(const struct sockaddr *address, char *text, size_t size);

/* Whether an address is in a list like "10.0.0.0/8,::1,unix". NULL: in none. */
extern bool ip_in(const Ip *ip, const char *networks);

/* NULL, with nothing counted, if it holds so many already. 0: no limit. */
extern Holder *holder_take(const Ip *ip, unsigned limit);
extern void holder_release(Holder *holder);

#endif /* GATEWAY_ADDRESS_H */

/*
 * proxy.h
 *	  The PROXY protocol (HAProxy, versions 1 and 2): whom a proxy connects.
 */
#ifndef GATEWAY_PROXY_H
#define GATEWAY_PROXY_H

#include "transport/address.h"

/* Bytes of the header; 0: more are needed; -1: it is none. ip is left alone if it tells none. */
extern int proxy_parse(Bytes data, Ip *ip);

#endif /* GATEWAY_PROXY_H */

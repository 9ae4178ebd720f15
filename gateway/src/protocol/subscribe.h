/*
 * subscribe.h
 *	  Subscriptions of a client: who may have which.
 */
#ifndef GATEWAY_SUBSCRIBE_H
#define GATEWAY_SUBSCRIBE_H

#include "protocol/message.h"
#include "rooms/socket.h"

extern void subscribe(Socket *socket, const Message *message);
extern void unsubscribe(Socket *socket, const Message *message);

/* The socket ends. */
extern void unsubscribe_all(Socket *socket);

/* What a signature is of. */
typedef struct Signed
{
	const Socket *socket;
	const Message *message;
} Signed;

/*
 * auth is "key:signature". The key is the one that the client connected with, or another one of
 * the same app: the application's server may have been told of the new one already.
 */
extern bool is_signed(const App *app, Bytes auth, Signs signs, const void *what);

#endif /* GATEWAY_SUBSCRIBE_H */

/*
 * socket.h
 *	  One client's WebSocket: who it is, its silence, its end.
 *
 * One that is being closed is detached first: it is in no channel and its members are gone
 * while its last bytes go out. It is freed when its connection is gone.
 */
#ifndef GATEWAY_SOCKET_H
#define GATEWAY_SOCKET_H

#include "rooms/apps.h"
#include "rooms/words.h"
#include "transport/conn.h"

struct Subscription;
struct Watcher;

#define SOCKET_ID_SIZE 24

/* Close codes of the protocol; 4000-4099: do not reconnect, 4100-4199: later, 4200-4299: now */
#define CLOSE_TOO_LARGE      1009 /* WebSocket's own */
#define CLOSE_TLS_ONLY       4000
#define CLOSE_UNKNOWN_APP    4001
#define CLOSE_APP_DISABLED   4003
#define CLOSE_APP_QUOTA      4004
#define CLOSE_PATH_NOT_FOUND 4005
#define CLOSE_BAD_VERSION    4006
#define CLOSE_UNSUPPORTED    4007
#define CLOSE_NO_VERSION     4008
#define CLOSE_UNAUTHORIZED   4009
#define CLOSE_OVER_CAPACITY  4100
#define CLOSE_RECONNECT      4200
#define CLOSE_NO_PONG        4201
#define ERROR_CLIENT_EVENT   4301
#define ERROR_WATCHLIST      4302

typedef struct Socket
{
	Conn *conn;
	AppKey *key; /* NULL: it is being refused */
	char id[SOCKET_ID_SIZE];
	char *user_id;           /* signed in, or NULL */
	char *user_info;         /* of his signin, JSON, or NULL */
	struct Watcher *watcher; /* of those on his list, or NULL (watchlist.c) */
	struct Subscription *subscriptions;
	int nsubscriptions;
	unsigned left; /* rooms that it left: what comes after is another connection */

	bool leaves_at_once; /* when it closes: it was thrown out */
	bool pinged;         /* in the list of those that owe a sign of life */
	bool closing;        /* detached; nothing more is taken from it */
	Bucket messages;
	Bucket client_events;
	int64_t heard_at;           /* ms; or when it was pinged */
	struct Socket *prev, *next; /* all sockets, quiet or pinged */
} Socket;

/* What else has to let go of a socket when it ends (protocol.c); called once for each. */
extern void (*socket_on_detach)(Socket *socket);

/* key: NULL for one that is only to be told why not. */
extern Socket *socket_open(Conn *conn, AppKey *key);

/* The connection is gone: frees it. */
extern void socket_closed(Socket *socket);

static inline App *
socket_app(const Socket *socket)
{
	return socket->key->app;
}

/* Queues a frame, for the end of this turn of the loop. The reference stays the caller's. */
extern void socket_send(Socket *socket, Frame *frame);

/* The same, for a frame that only this socket gets; takes the reference. */
extern void socket_send_own(Socket *socket, Frame *frame);

/* Tells the client why (pusher:error), and closes with that code. */
extern void socket_close(Socket *socket, int code, const char *reason);

/* Something came from it. */
extern void socket_heard(Socket *socket);

/* Counts a message of that many bytes; false if there are too many. */
extern bool socket_may_speak(Socket *socket, size_t bytes);

/* Counts a client event; false if that is more than 10 in a second. */
extern bool socket_may_send_event(Socket *socket);

/* Pings who was silent, ends who stays so; once a second. */
extern void sockets_tick(void);

/* How many seconds of silence a client is told to allow before it pings. */
extern int socket_activity_timeout(void);

/* Calls a function for each socket; it may close it. */
extern void sockets_each(void (*call)(Socket *socket, void *arg), void *arg);

/* Closes so many, those that were quiet for longest first. */
extern void sockets_move_away(unsigned n);

#endif /* GATEWAY_SOCKET_H */

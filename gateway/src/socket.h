/*
 * socket.h
 *	  One client's WebSocket: what waits to go out, its silence, its end.
 *
 * Nothing here is called from two threads. A Socket lives from libwebsockets'
 * ESTABLISHED to its CLOSED callback. One that is being closed is detached first:
 * it is in no channel and its members are gone while its last bytes go out.
 */
#ifndef GATEWAY_SOCKET_H
#define GATEWAY_SOCKET_H

#include <libwebsockets.h>

#include "apps.h"
#include "frame.h"
#include "util.h"

struct Subscription;

#define SOCKET_ID_SIZE 24

/* Close codes of the protocol; 4000-4099: do not reconnect, 4100-4199: later, 4200-4299: now */
#define CLOSE_TOO_LARGE      1009 /* WebSocket's own */
#define CLOSE_UNKNOWN_APP    4001
#define CLOSE_PATH_NOT_FOUND 4005
#define CLOSE_BAD_VERSION    4007
#define CLOSE_NO_VERSION     4008
#define CLOSE_UNAUTHORIZED   4009
#define CLOSE_OVER_CAPACITY  4100
#define CLOSE_RECONNECT      4200
#define CLOSE_NO_PONG        4201
#define ERROR_CLIENT_EVENT   4301

typedef struct Socket
{
	struct lws *wsi;
	App *app; /* NULL: it is being refused */
	char id[SOCKET_ID_SIZE];
	char *user_id; /* signed in, or NULL */
	struct Subscription *subscriptions;
	int nsubscriptions;

	Frame **queue; /* not handed to libwebsockets yet */
	int nqueue;
	int queue_cap;
	size_t backlog; /* bytes of queue */
	Buf in;         /* a message that came in part */

	bool dirty;        /* in the list of those with something to send */
	bool pinged;       /* in the list of those that owe a sign of life */
	bool slow;         /* more waits for it than may: to be killed */
	bool closing;      /* detached; nothing more is taken from it */
	int client_events; /* in the second that began at client_events_at */
	int64_t client_events_at;
	int64_t heard_at;                       /* ms; or when it was pinged */
	struct Socket *prev, *next;             /* all sockets, quiet or pinged */
	struct Socket *dirty_prev, *dirty_next; /* those with something to send */
} Socket;

/* What else has to let go of a socket when it ends (protocol.c); called once for each. */
extern void (*socket_on_detach)(Socket *socket);

extern Socket *socket_open(struct lws *wsi, App *app);

/* The connection is gone: frees it. */
extern void socket_closed(Socket *socket);

/* Queues a frame, for the end of this turn of the loop. The reference stays the caller's. */
extern void socket_send(Socket *socket, Frame *frame);

/* The same, for a frame that only this socket gets; takes the reference. */
extern void socket_send_own(Socket *socket, Frame *frame);

/* Tells the client why (pusher:error), and closes with that code. */
extern void socket_close(Socket *socket, int code, const char *reason);

/* Closes without a word: the peer can't take one. */
extern void socket_kill(Socket *socket);

/* libwebsockets' turn to write; nonzero: close now. */
extern int socket_writable(Socket *socket);

/* Something came from it. */
extern void socket_heard(Socket *socket);

/* Counts a client event; false if that is more than 10 in a second. */
extern bool socket_may_send_event(Socket *socket);

/* Hands what was queued to libwebsockets; at the end of each turn of the loop. */
extern void sockets_flush(void);

/* Pings who was silent, ends who stays so; once a second. */
extern void sockets_tick(void);

/* How many seconds of silence a client is told to allow before it pings. */
extern int socket_activity_timeout(void);

/* Calls a function for each socket; it may close it. */
extern void sockets_each(void (*call)(Socket *socket, void *arg), void *arg);

#endif /* GATEWAY_SOCKET_H */

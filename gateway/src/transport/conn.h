/*
 * conn.h
 *	  One TCP connection, with TLS or without: bytes in, frames out, time limits.
 *
 * Nothing here is called from two threads. A Conn lives until conn_close(); its memory stays
 * until the turn of the loop is over, so that a list that is being walked need not care.
 * What it does with what comes is its handler's.
 *
 * Frames are queued by reference and written at the end of each turn, all that wait for one
 * connection in one system call: nobody has a copy of his own. What the kernel does not take
 * waits, and counts against --max-backlog.
 */
#ifndef GATEWAY_CONN_H
#define GATEWAY_CONN_H

#include <openssl/ssl.h>
#include <uv.h>

#include "transport/address.h"
#include "transport/frame.h"
#include "transport/out.h"
#include "transport/websocket.h"

typedef struct Conn Conn;

typedef struct ConnHandler
{
	/* What came; how much of it was taken. The rest comes again, with more. */
	size_t (*received)(Conn *conn, char *data, size_t len);
	/* It ends; called once. */
	void (*closed)(Conn *conn);
} ConnHandler;

/* What it waits for; each has its time limit. */
typedef enum ConnWait
{
	WAIT_NONE,
	WAIT_HEAD,   /* the head of a first request, TLS included */
	WAIT_IDLE,   /* another request */
	WAIT_BODY,   /* the rest of a request */
	WAIT_ANSWER, /* that an answer is taken */
	WAIT_END,    /* all is said: the peer's last bytes */
	WAITS
} ConnWait;

struct Conn
{
	int fd;
	uv_poll_t poll;
	int polled; /* events */
	SSL *tls;   /* NULL: none */
	const ConnHandler *handler;
	void *owner; /* the handler's: a Request, a Socket */
	WsState ws;  /* of a WebSocket */

	Ip ip;          /* the client's, as far as is known */
	Holder *holder; /* that it counts for; NULL: none */

	Out out; /* what waits to be written */
	Buf in;  /* what came and was not taken */

	bool tls_ready;
	bool from_proxy;  /* it must tell by the PROXY protocol first */
	bool proxied;     /* its peer is one of --proxies */
	bool admin;       /* by --admin-listen */
	bool dirty;       /* in the list of those with something to write */
	bool paused;      /* nothing is read: an answer is under way */
	bool resumed;     /* in the list of those whose input is to be looked at again */
	bool slow;        /* more waits for it than may: to be closed */
	bool broken;      /* writing failed: to be closed */
	bool ending;      /* nothing more is taken; closed when all is written */
	bool half_closed; /* we said our last */
	bool closed;

	ConnWait wait;
	int64_t wait_since;
	Conn *prev, *next; /* those that wait for the same */
	Conn *all_prev, *all_next;
	Conn *dirty_prev, *dirty_next;
	Conn *resumed_prev, *resumed_next;
};

extern void conns_start(uv_loop_t *loop);

/* Takes an accepted socket. NULL: it could not, and the socket is closed. */
extern Conn *conn_open(int fd, const ConnHandler *handler, bool admin, bool with_tls);

/* Gone, at once. */
extern void conn_close(Conn *conn);

/* Nothing more is taken from it; when what waits is written it ends, as the peer can hear. */
extern void conn_end(Conn *conn);

/* Queues a frame for the end of this turn. The reference stays the caller's. */
extern void conn_send(Conn *conn, Frame *frame);

/*
 * Queues a message of many frames, which others hold too: if it was large itself, what waits
 * behind it is no sign of a slow reader.
 */
extern void conn_send_list(Conn *conn, Frame *const *frames, int nframes, size_t bytes);

/* The same as conn_send(), whatever waits already. */
extern void conn_send_last(Conn *conn, Frame *frame);

/* From now on it waits for that; the time begins anew. */
extern void conn_wait(Conn *conn, ConnWait wait);

/* The one that has waited longest for that; NULL: nobody does. */
extern Conn *conn_first(ConnWait wait);

/* Reads no more, until it is resumed. */
extern void conn_pause(Conn *conn);
extern void conn_resume(Conn *conn);

/* Writes what was queued; at the end of each turn. True: there is more, for the next turn. */
extern bool conns_flush(void);

/* At once, all of them. */
extern void conns_close_all(void);

/* Those of operators left out. */
extern unsigned conns_open(void);

/* Called when one is gone: a file is free. */
extern void (*conns_on_closed)(const Conn *conn);

#endif /* GATEWAY_CONN_H */

/*
 * notify.h
 *	  One NOTIFY: its number, its payload, its mac.
 *
 * A payload is {"event":"name","seq":n and the rest,"mac":"hex"}. The mac is the first 128 bits of
 * HMAC-SHA256, with the database's key, over all bytes before ,"mac": in UTF-8, which is
 * what a gateway reads. Whoever may connect can NOTIFY on any channel, but has no key.
 */
#ifndef PRESENCE_NOTIFY_H
#define PRESENCE_NOTIFY_H

#include "postgres.h"

#define NOTIFY_KEY_LEN  32
/* The longest rest that fits a payload, of less than 8000 bytes, with all that is around it. */
#define NOTIFY_MAX_REST 7800

/*
 * Before numbers are given out: takes the lock that NOTIFY takes at commit (PreCommit_Notify), so
 * that events are sent in the order of their numbers. Held until the end of the transaction.
 */
extern void notify_lock_seq(void);

/* Sends an event at the commit of this transaction; notify_load_key was called. */
extern void notify_send(const char *channel, const char *name, uint64 seq, const char *rest);

/*
 * Makes the database's key, where the extension has one (since 0.3), once; again: anew. In a
 * transaction, with or without the store.
 */
extern void notify_load_key(bool again);

#endif /* PRESENCE_NOTIFY_H */

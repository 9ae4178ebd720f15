/*
 * event.h
 *	  Notifications of the extension: which are true, and which concern a room here.
 *
 * Every role that may connect to the database can send notifications. One about a room that
 * nobody here is in costs a look into a table; any other has to carry the mac of the
 * database's key, if there is one, and a number that did not come before.
 */
#ifndef GATEWAY_EVENT_H
#define GATEWAY_EVENT_H

#include "database/database.h"

/* What came on presence.channel of that database. */
extern void event_notified(Database *database, const char *payload);

/* Called when apps or webhooks have changed; that they are read again comes after it. */
extern void (*event_on_apps)(void);

/* LISTEN has begun anew there: numbers begin anew. */
extern void events_restart(const Database *database);

/* Reads all rooms again, if events were lost; not more than once a second. */
extern void events_flush(void);

/* Whether a payload carries the mac of the key over what is before it. */
extern bool event_is_genuine(Bytes key, Bytes payload);

/* The room of a member event; {NULL, 0}: it is none. */
extern Bytes event_book_id(Bytes payload);

#endif /* GATEWAY_EVENT_H */

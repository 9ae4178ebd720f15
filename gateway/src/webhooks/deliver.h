/*
 * deliver.h
 *	  Webhooks: what waits in the database is posted, by the one gateway that leads.
 *
 * PostgreSQL says who leads (presence.webhook_take). Each webhook has one delivery under way at a
 * time, so that its events stay in order; one that fails is tried again, later and later.
 */
#ifndef GATEWAY_DELIVER_H
#define GATEWAY_DELIVER_H

#include "database/database.h"

/* Asks for what waits, if it is time; at the end of each turn of the loop. */
extern void deliver_flush(void);

/* Apps or webhooks have changed: what failed is tried at once. */
extern void deliver_anew(void);

/* That database is there again: what a crash has lost is looked for, a lease later. */
extern void deliver_restart(const Database *database);

/* We stop: nothing more is begun. */
extern void deliver_drain(void);
extern bool deliver_pending(void);

/* Forgets all, at the end. */
extern void deliver_end(void);

#endif /* GATEWAY_DELIVER_H */

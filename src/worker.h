/*
 * worker.h
 *	  The background processes: one launcher, one worker a database.
 */
#ifndef PRESENCE_WORKER_H
#define PRESENCE_WORKER_H

#include "postgres.h"

/* Registers the launcher; only while the server starts. */
extern void worker_init(void);

/*
 * Stops a database's worker and keeps it away until the release. Waits until
 * its process is gone. Without preload, or a worker, nothing happens.
 */
extern void worker_hold(Oid dboid);
extern void worker_release(Oid dboid);

/* The database is no more: forgets all that was its. */
extern void worker_forget(Oid dboid);

/* Gives a database's slot back, unless there are members in its memory. */
extern bool worker_let_go(Oid dboid);

/* A database may have the extension: has a worker look. */
extern void worker_look(Oid dboid);

extern PGDLLEXPORT void presence_launcher_main(Datum arg);
extern PGDLLEXPORT void presence_worker_main(Datum arg);

#endif /* PRESENCE_WORKER_H */

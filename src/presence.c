/*
 * presence.c
 *	  Loads the extension: settings, hooks, callbacks.
 *
 * How the files lean on each other, from the top. The SQL functions (rooms, views, history,
 * pusher, request, webhook, channels, outbox_take, upkeep, access, stats, check) check their
 * arguments with limits, which lets no room pass that is another node's, by shards. A join or a
 * leave is member's and members', which tell outbox (webhooks) too. They stand on presences (the
 * table), connections (what holds a presence open, in memory or in a table) and events (what this
 * transaction will tell), and these on queue, notify, memory, store and shared. launcher and worker
 * run by themselves, drive publisher, expiry and upkeep, and nobody calls them; hooks keeps them
 * out of the way. signature and json know none of the others. scripts/check-layers holds this true.
 *
 * Without shared_preload_libraries the library is loaded with the first call of a
 * function, and all works but the worker: somebody must call presence.sweep().
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"

#include "connections.h"
#include "events.h"
#include "hooks.h"
#include "outbox.h"
#include "row_writer.h"
#include "settings.h"
#include "shards.h"
#include "shared.h"
#include "store.h"
#include "worker.h"

PG_MODULE_MAGIC;

PGDLLEXPORT void _PG_init(void);

void
_PG_init(void)
{
	settings_define();
	events_init();
	connections_init();
	store_init();
	shards_init();
	outbox_init();
	row_writer_init();
	if (process_shared_preload_libraries_in_progress)
	{
		shared_init();
		hooks_init();
		if (!IsBinaryUpgrade)
			worker_init();
	}
}

/*
 * presence.c
 *	  Loads the extension: settings, hooks, callbacks.
 *
 * How the files lean on each other: the SQL functions (rooms, history, pusher,
 * request, webhook, upkeep, access, stats) check arguments with limits and do
 * their work with member and members, which stand on liveness (who was heard
 * when), events (what this transaction will tell) and store (the only SQL). launcher
 * and worker run by themselves and share shared with the backends; hooks keeps
 * them out of the way. signature and json know none of the others.
 *
 * Without shared_preload_libraries the library is loaded with the first call of a
 * function, and all works but the worker: somebody must call presence.sweep().
 */
#include "postgres.h"

#include "presence.h"

#include <limits.h>

#include "miscadmin.h"
#include "utils/guc.h"

#include "beats.h"
#include "events.h"
#include "hooks.h"
#include "limits.h"
#include "shared.h"
#include "worker.h"

PG_MODULE_MAGIC;

int presence_timeout = 25000;
int presence_linger = 0;
char *presence_channel_prefix = NULL;
char *presence_channel = NULL;
bool presence_notify = true;
int presence_pusher_max_members = 100;
int presence_history_retention = 0;
int presence_event_queue_size = 4096;

PGDLLEXPORT void _PG_init(void);

#define MAX_PREFIX_LEN 64

/* Pusher knows presence channels by their name. */
static bool
check_channel_prefix(char **newval, void **extra pg_attribute_unused(),
					 GucSource source pg_attribute_unused())
{
	size_t len = strlen(*newval);

	if (strncmp(*newval, "presence-", strlen("presence-")) == 0 && len <= MAX_PREFIX_LEN &&
		channel_chars_only(*newval, len))
		return true;
	GUC_check_errdetail("It starts with \"presence-\", has at most %d characters, of A-Z a-z 0-9 _ "
						"- = @ , . ;",
						MAX_PREFIX_LEN);
	return false;
}

static bool
check_channel(char **newval, void **extra pg_attribute_unused(),
			  GucSource source pg_attribute_unused())
{
	size_t len = strlen(*newval);

	if (len > 0 && len < NAMEDATALEN)
		return true;
	GUC_check_errdetail("The name of a channel has 1 to %d bytes.", NAMEDATALEN - 1);
	return false;
}

static void
define_settings(void)
{
	DefineCustomIntVariable("presence.timeout", "The lease of a connection.",
							"A connection that is silent for so long is dropped, unless its join "
							"gave a ttl of its own.",
							&presence_timeout, 25000, 1000, 24 * 60 * 60 * 1000, PGC_USERSET,
							GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomIntVariable(
		"presence.linger", "How long a member stays after the last socket was closed.",
		"A reload of the page within this time is no leave and no join.", &presence_linger, 0, 0,
		24 * 60 * 60 * 1000, PGC_USERSET, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomStringVariable(
		"presence.channel_prefix", "The Pusher channel of a room is this and the book_id.", NULL,
		&presence_channel_prefix, "presence-room-", PGC_SUSET, 0, check_channel_prefix, NULL, NULL);
	DefineCustomStringVariable("presence.channel", "The channel that events are notified on.", NULL,
							   &presence_channel, "presence", PGC_SUSET, 0, check_channel, NULL,
							   NULL);
	DefineCustomBoolVariable("presence.notify", "Sends events of members that come and go.", NULL,
							 &presence_notify, true, PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("presence.pusher_max_members",
							"The members at which a room is full for Pusher.",
							"0 is no limit; Pusher's own is 100.", &presence_pusher_max_members,
							100, 0, INT_MAX, PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("presence.history_retention",
							"The age at which the worker deletes presences that have ended.",
							"0 keeps them.", &presence_history_retention, 0, 0, INT_MAX, PGC_SUSET,
							GUC_UNIT_S, NULL, NULL, NULL);
	DefineCustomIntVariable("presence.event_queue_size",
							"The memory of a database for events that are not yet sent.",
							"If it is full, events are dropped, and listeners told to resync. A "
							"change holds from the next start of the worker.",
							&presence_event_queue_size, 4096, 64, 1024 * 1024, PGC_SIGHUP,
							GUC_UNIT_KB, NULL, NULL, NULL);
	MarkGUCPrefixReserved("presence");
}

void
_PG_init(void)
{
	define_settings();
	events_init();
	beats_init();
	if (process_shared_preload_libraries_in_progress)
	{
		shared_init();
		hooks_init();
		if (!IsBinaryUpgrade)
			worker_init();
	}
}

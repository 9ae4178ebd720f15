/*
 * settings.c
 *	  The settings, each with its unit, its limits and who may set it.
 *
 * Called by presence.c when the library is loaded; all other files read the variables.
 */
#include "postgres.h"

#include "settings.h"

#include <limits.h>

#include "miscadmin.h"
#include "utils/guc.h"

#include "chars.h"

int presence_timeout = 25000;
int presence_linger = 0;
char *presence_channel_prefix = NULL;
char *presence_channel = NULL;
bool presence_notify = true;
int presence_pusher_max_members = 100;
int presence_history_retention = 0;
int presence_purge_rate = 20000;
int presence_event_queue_size = 4096;
int presence_memory_limit = 65536;
int presence_max_databases = 128;
bool presence_moved_rooms = false;

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

void
settings_define(void)
{
	/* without preload they are only known by name */
	GucContext at_start =
		process_shared_preload_libraries_in_progress ? PGC_POSTMASTER : PGC_SIGHUP;

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
							   &presence_channel, "presence", PGC_SUSET, GUC_SUPERUSER_ONLY,
							   check_channel, NULL, NULL);
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
	DefineCustomIntVariable(
		"presence.purge_rate", "The rows a second that presence.history_retention deletes at most.",
		NULL, &presence_purge_rate, 20000, 1, INT_MAX, PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable(
		"presence.event_queue_size", "The memory of a database for events that are not yet sent.",
		"If it is full, events are dropped, and listeners told to resync. It is "
		"a part of presence.memory_limit.",
		&presence_event_queue_size, 4096, 64, 1024 * 1024, PGC_SIGHUP, GUC_UNIT_KB, NULL, NULL,
		NULL);
	DefineCustomIntVariable(
		"presence.memory_limit", "The shared memory for connections and events of all databases.",
		"A member with one tab takes about 450 bytes, its tables of keys included. "
		"When it is full, joins that need more get an error.",
		&presence_memory_limit, 65536, 1024, MAX_KILOBYTES, at_start, GUC_UNIT_KB, NULL, NULL,
		NULL);
	DefineCustomIntVariable("presence.max_databases",
							"The databases whose connections are in shared memory, at most.",
							"Those that find no place are served as without preload.",
							&presence_max_databases, 128, 1, 10000, at_start, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable(
		"presence.moved_rooms",
		"Tells the past of rooms that are on another node of a cluster by now.",
		"Set by presence.on_all_nodes(), whose answers are put together.", &presence_moved_rooms,
		false, PGC_USERSET, 0, NULL, NULL, NULL);
	MarkGUCPrefixReserved("presence");
}

/*
 * outbox.c
 *	  What is to be told to the servers of apps: rows that commit with what they tell of.
 *
 * A webhook (presence.pusher_webhook) has a queue (presence.webhook_event). Whoever adds or removes
 * a member inserts a row for each webhook that wants to know, in the same transaction: it is there
 * if and only if the change is. No snapshot, no position in the history and no notification is
 * relied upon, and rows that commit late are not passed by: what is in the queue is to be sent, and
 * what was received is deleted (outbox_take.c).
 *
 * Who changes the same presence waits for the one before, so rows of one user and room are in the
 * order of what happened. Whether a room became occupied or vacated nobody can tell who does not
 * wait for all others in it; that would make them wait for any open transaction. So the row is a
 * hint, and who takes the queue finds out. Of other channels it is known: reports wait for each
 * other.
 *
 * Whether there is any webhook a session keeps in mind until the relcache says that one of the
 * tables has changed, which the trigger on presence.pusher_webhook makes it say.
 */
#include "postgres.h"

#include "outbox.h"

#include "access/transam.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "commands/trigger.h"
#include "funcapi.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "limits.h"
#include "settings.h"
#include "store.h"

PG_FUNCTION_INFO_V1(presence_pusher_webhook_check);
PG_FUNCTION_INFO_V1(presence_pusher_webhook_changed);
PG_FUNCTION_INFO_V1(presence_webhook_emit);

#define CHANNELS_LOCK 1 /* of the table of gateways; a column has no lock of its own */
#define MAX_URL       2048

/* What a session knows. */
typedef enum Wanted
{
	WANTED_UNKNOWN,
	WANTED_NONE,
	WANTED_SOME
} Wanted;

static Wanted wanted;
static Oid known_webhooks; /* the relations that this is known of */
static Oid known_apps;

static void
forget_wanted(Oid relid)
{
	if (!OidIsValid(relid) || relid == known_webhooks || relid == known_apps)
		wanted = WANTED_UNKNOWN;
}

void
outbox_init(void)
{
	store_watch_relations(forget_wanted);
}

static bool
has_webhooks(void)
{
	static Statement find = {.sql = "SELECT w.id FROM presence.pusher_webhook AS w WHERE w.enabled"
									" LIMIT 1",
							 .args = "",
							 .columns = "i"};

	return store_execute(&find, NULL, NULL) > 0;
}

/* The table is not there before ALTER EXTENSION UPDATE, which changes that of apps. */
static bool
is_wanted(void)
{
	if (wanted == WANTED_UNKNOWN)
	{
		known_apps = store_relation("pusher_app");
		known_webhooks = get_relname_relid("pusher_webhook", get_namespace_oid("presence", false));
		wanted = WANTED_NONE; /* unless an invalidation comes meanwhile */
		if (OidIsValid(known_webhooks) && has_webhooks())
			wanted = WANTED_SOME;
	}
	return wanted == WANTED_SOME;
}

/*
 * Members
 */

#define OCCUPANCY "'{channel_occupied,channel_vacated}'::pg_catalog.text[]"

/* Of who comes the room first, which may be occupied from here on; of who goes the member first. */
static void
tell_member(Datum *values)
{
	static Statement tell = {
		.sql = "INSERT INTO presence.webhook_event AS q (webhook, name, channel, event, hint)"
			   " SELECT w.id, e.name, c.channel, e.event, e.hint"
			   " FROM (SELECT DISTINCT a.app_id, a.room_prefix FROM presence.pusher_app AS a"
			   " WHERE a.enabled AND pg_catalog.starts_with($1, a.room_prefix)) AS a"
			   " JOIN presence.pusher_webhook AS w ON w.app_id OPERATOR(pg_catalog.=) a.app_id"
			   " AND w.enabled CROSS JOIN LATERAL (SELECT $3 OPERATOR(pg_catalog.||)"
			   " pg_catalog.substr($1, pg_catalog.length(a.room_prefix)"
			   " OPERATOR(pg_catalog.+) 1)) AS c (channel)"
			   " CROSS JOIN LATERAL (VALUES (true, $5, $1),"
			   " (false, $4, pg_catalog.json_build_object('name', $4, 'channel', c.channel,"
			   " 'user_id', $2)::pg_catalog.text)) AS e (hint, name, event)"
			   " WHERE CASE WHEN e.hint THEN w.events OPERATOR(pg_catalog.&&) " OCCUPANCY
			   " ELSE e.name OPERATOR(pg_catalog.=) ANY (w.events) END"
			   " ORDER BY w.id, c.channel, e.hint OPERATOR(pg_catalog.<>) $6",
		.args = "tttttb",
		.columns = ""};

	store_execute(&tell, values, NULL);
}

void
outbox_tell(const Event *event)
{
	bool comes = event->kind == MEMBER_ADDED;
	Datum values[6];

	if (event->kind == MEMBER_UPDATED || !is_wanted())
		return;
	values[0] = PointerGetDatum(event->book_id);
	values[1] = PointerGetDatum(event->user_id);
	values[2] = CStringGetTextDatum(presence_channel_prefix);
	values[3] = CStringGetTextDatum(comes ? "member_added" : "member_removed");
	values[4] = CStringGetTextDatum(comes ? "channel_occupied" : "channel_vacated");
	values[5] = BoolGetDatum(comes);
	tell_member(values);
}

/*
 * Channels that are no rooms
 */

void
outbox_lock_channels(void)
{
	LockDatabaseObject(RelationRelationId, store_relation("gateway"), CHANNELS_LOCK, ExclusiveLock);
}

/* What has been told, and what is: the difference is to be told. */
static void
tell_occupancy(Datum *values)
{
	static Statement tell = {
		.sql = "WITH s AS (SELECT w.id, w.events, t.channel,"
			   " EXISTS (SELECT FROM presence.gateway_channel AS c"
			   " WHERE c.app_id OPERATOR(pg_catalog.=) t.app_id"
			   " AND c.channel OPERATOR(pg_catalog.=) t.channel) AS here,"
			   " EXISTS (SELECT FROM presence.webhook_channel AS o"
			   " WHERE o.webhook OPERATOR(pg_catalog.=) w.id"
			   " AND o.channel OPERATOR(pg_catalog.=) t.channel) AS told"
			   " FROM (SELECT DISTINCT u.app_id, u.channel FROM ROWS FROM (pg_catalog.unnest($1),"
			   " pg_catalog.unnest($2)) AS u (app_id, channel)) AS t"
			   " JOIN presence.pusher_webhook AS w ON w.app_id OPERATOR(pg_catalog.=) t.app_id"
			   " AND w.enabled AND w.events OPERATOR(pg_catalog.&&) " OCCUPANCY "),"
			   " came AS (INSERT INTO presence.webhook_channel AS o (webhook, channel, room)"
			   " SELECT s.id, s.channel, false FROM s WHERE s.here AND NOT s.told),"
			   " went AS (DELETE FROM presence.webhook_channel AS o USING s"
			   " WHERE s.told AND NOT s.here AND o.webhook OPERATOR(pg_catalog.=) s.id"
			   " AND o.channel OPERATOR(pg_catalog.=) s.channel)"
			   " INSERT INTO presence.webhook_event AS q (webhook, name, channel, event)"
			   " SELECT s.id, e.name, s.channel, pg_catalog.json_build_object('name', e.name,"
			   " 'channel', s.channel)::pg_catalog.text FROM s CROSS JOIN LATERAL"
			   " (SELECT CASE WHEN s.here THEN 'channel_occupied' ELSE 'channel_vacated' END)"
			   " AS e (name) WHERE (s.here AND NOT s.told OR s.told AND NOT s.here)"
			   " AND e.name OPERATOR(pg_catalog.=) ANY (s.events)",
		.args = "TT",
		.columns = ""};

	store_execute(&tell, values, NULL);
}

/* That the number is another one now; of a large channel in 5 seconds. Which, is counted then. */
static void
tell_counts(Datum *values)
{
	static Statement tell = {
		.sql = "INSERT INTO presence.webhook_event AS q (webhook, name, channel, event, due)"
			   " SELECT w.id, 'subscription_count', t.channel, '', pg_catalog.now()"
			   " OPERATOR(pg_catalog.+) CASE WHEN t.n OPERATOR(pg_catalog.>) 100"
			   " THEN interval '5 s' ELSE interval '0' END"
			   " FROM (SELECT u.app_id, u.channel, (SELECT pg_catalog.sum(c.subscriptions)"
			   " FROM presence.gateway_channel AS c WHERE c.app_id OPERATOR(pg_catalog.=) u.app_id"
			   " AND c.channel OPERATOR(pg_catalog.=) u.channel) AS n"
			   " FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2)) AS u"
			   " (app_id, channel)) AS t"
			   " JOIN presence.pusher_webhook AS w ON w.app_id OPERATOR(pg_catalog.=) t.app_id"
			   " AND w.enabled AND 'subscription_count' OPERATOR(pg_catalog.=) ANY (w.events)"
			   " ON CONFLICT (webhook, channel)"
			   " WHERE name OPERATOR(pg_catalog.=) 'subscription_count' DO NOTHING",
		.args = "TT",
		.columns = ""};

	store_execute(&tell, values, NULL);
}

void
outbox_tell_channels(Datum app_ids, Datum channels)
{
	Datum values[] = {app_ids, channels};

	if (!is_wanted())
		return;
	tell_occupancy(values);
	tell_counts(values);
}

/*
 * What only gateways know of
 */

/* webhook_emit(app_ids, names, channels, events) */
Datum
presence_webhook_emit(PG_FUNCTION_ARGS)
{
	static Statement emit = {
		.sql = "INSERT INTO presence.webhook_event AS q (webhook, name, channel, event)"
			   " SELECT w.id, t.name, t.channel, t.event FROM ROWS FROM (pg_catalog.unnest($1),"
			   " pg_catalog.unnest($2), pg_catalog.unnest($3), pg_catalog.unnest($4))"
			   " WITH ORDINALITY AS t (app_id, name, channel, event, n)"
			   " JOIN presence.pusher_webhook AS w ON w.app_id OPERATOR(pg_catalog.=) t.app_id"
			   " AND w.enabled AND t.name OPERATOR(pg_catalog.=) ANY (w.events)"
			   " ORDER BY t.n, w.id",
		.args = "TTTT",
		.columns = ""};
	static const char *const names[] = {"app_ids", "names", "channels", "events"};
	Datum values[4];
	int n = -1;
	uint64 nrows;
	Store store;

	for (int i = 0; i < 4; i++)
		values[i] = arg_array(fcinfo, i, names[i], &n);
	store_open(&store, STORE_WRITE, "presence.webhook_emit()");
	nrows = store_execute(&emit, values, NULL);
	store_close(&store);
	PG_RETURN_INT32((int32) nrows);
}

/*
 * Triggers on presence.pusher_webhook
 */

static bool
is_event_name(text *name)
{
	static const char *const names[] = {"channel_occupied",  "channel_vacated", "member_added",
										"member_removed",    "client_event",    "cache_miss",
										"subscription_count"};
	const char *value = text_to_cstring(name);

	for (size_t i = 0; i < lengthof(names); i++)
		if (strcmp(value, names[i]) == 0)
			return true;
	return false;
}

pg_noreturn static void
refuse_url(const char *why)
{
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("url of a webhook %s", why)));
}

/* No value is in an error: an url may hold a secret. */
static void
check_url(const char *url)
{
	const char *host = strncmp(url, "https://", 8) == 0  ? url + 8
					   : strncmp(url, "http://", 7) == 0 ? url + 7
														 : NULL;
	size_t host_len = host ? strcspn(host, "/?#") : 0;

	if (host == NULL)
		refuse_url("must begin with http:// or https://");
	if (strlen(url) > MAX_URL)
		refuse_url("must not have more than 2048 bytes");
	if (host_len == 0 || *host == ':')
		refuse_url("must have a host");
	if (memchr(host, '@', host_len) != NULL)
		refuse_url("must not have a user");
	for (const char *s = url; *s != '\0'; s++)
		if (*s <= ' ' || *s >= 0x7f)
			refuse_url("must be of printable ASCII characters");
}

static void
check_events(ArrayType *events)
{
	Datum *values;
	bool *nulls;
	int n;

	deconstruct_array(events, TEXTOID, -1, false, TYPALIGN_INT, &values, &nulls, &n);
	for (int i = 0; i < n; i++)
	{
		if (nulls[i])
			null_argument("events");
		if (!is_event_name(DatumGetTextPP(values[i])))
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("there is no event \"%s\" for webhooks",
								   text_to_cstring(DatumGetTextPP(values[i])))));
	}
}

/* A column of that type; NULL: it is null. */
static Datum
column_of(Relation relation, HeapTuple row, const char *name, Oid type)
{
	int column = SPI_fnumber(relation->rd_att, name);
	bool isnull;
	Datum value;

	if (column <= 0 || TupleDescAttr(relation->rd_att, column - 1)->atttypid != type)
		ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
						errmsg("pusher_webhook_check is for a table with %s", name)));
	value = SPI_getbinval(row, relation->rd_att, column, &isnull);
	if (isnull)
		null_argument(name);
	return value;
}

Datum
presence_pusher_webhook_check(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	Relation relation;
	HeapTuple row;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_BEFORE(trigger->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigger->tg_event) || TRIGGER_FIRED_BY_DELETE(trigger->tg_event))
		ereport(
			ERROR,
			(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
			 errmsg("pusher_webhook_check must be fired before insert or update for each row")));
	relation = trigger->tg_relation;
	row = TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ? trigger->tg_newtuple : trigger->tg_trigtuple;
	check_url(text_to_cstring(DatumGetTextPP(column_of(relation, row, "url", TEXTOID))));
	check_events(DatumGetArrayTypeP(column_of(relation, row, "events", TEXTARRAYOID)));
	return PointerGetDatum(row);
}

void
outbox_forget_gone(void)
{
	static Statement events = {.sql = "DELETE FROM presence.webhook_event AS q"
									  " WHERE NOT EXISTS (SELECT FROM presence.pusher_webhook AS w"
									  " WHERE w.id OPERATOR(pg_catalog.=) q.webhook)",
							   .args = "",
							   .columns = ""};
	static Statement channels = {.sql =
									 "DELETE FROM presence.webhook_channel AS o"
									 " WHERE NOT EXISTS (SELECT FROM presence.pusher_webhook AS w"
									 " WHERE w.id OPERATOR(pg_catalog.=) o.webhook)",
								 .args = "",
								 .columns = ""};

	store_execute(&events, NULL, NULL);
	store_execute(&channels, NULL, NULL);
}

/* After each statement: sessions look again, and gateways. */
Datum
presence_pusher_webhook_changed(PG_FUNCTION_ARGS)
{
	const TriggerData *trigger;
	Store store;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
						errmsg("pusher_webhook_changed must be called as a trigger")));
	trigger = (TriggerData *) fcinfo->context;
	CacheInvalidateRelcache(trigger->tg_relation);
	store_open(&store, STORE_WRITE, "presence.pusher_webhook_changed()");
	if (TRIGGER_FIRED_BY_DELETE(trigger->tg_event) || TRIGGER_FIRED_BY_TRUNCATE(trigger->tg_event))
		outbox_forget_gone();
	store_close(&store);
	event_apps();
	return PointerGetDatum(NULL);
}

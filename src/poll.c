/*
 * poll.c
 *	  The SQL functions of clients that poll: heartbeat, and the list or what has changed in it.
 *
 * Both are writes by what they refuse (25006), since they are heartbeats, and read the latest
 * list whatever the isolation level. Memory counts a room's versions: the version is read before
 * the list, so that what is told is at least as new, and what is newer is told again. Without
 * memory, and in a transaction that changes the room itself, the version is a hash of the list.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "funcapi.h"
#include "utils/builtins.h"

#include "connections.h"
#include "json.h"
#include "limits.h"
#include "presences.h"
#include "result.h"
#include "store.h"

PG_FUNCTION_INFO_V1(presence_poll_room);
PG_FUNCTION_INFO_V1(presence_poll_room_changes);

/* What a client is told; NULL: nothing new, or in another way. */
typedef struct Poll
{
	int64 version;
	Jsonb *members;
	Jsonb *added;
	Jsonb *removed;
} Poll;

/*
 * A member as a client shows him: what a heartbeat changes is not in it, nor the session's time
 * zone, so that the hash of a list is a version.
 */
static void
append_member(StringInfo out, const Presence *presence)
{
	if (out->len > 1)
		appendStringInfoChar(out, ',');
	appendStringInfoString(out, "{\"user_id\":");
	json_append_text(out, presence->member.user_id);
	appendStringInfoString(out, ",\"user_info\":");
	if (presence->user_info == NULL)
		appendStringInfoString(out, "null");
	else
		json_append_jsonb(out, presence->user_info);
	appendStringInfo(out,
					 ",\"is_author\":%s,\"joined_at\":", presence->is_author ? "true" : "false");
	json_append_timestamp(out, presence->joined_at);
	appendStringInfoChar(out, '}');
}

/* Whose lease has ended is not there any more, and has no id from here on. */
static void
leave_out_hidden(text *book_id, Presences *presences)
{
	RoomView *view = connections_view_room(book_id);

	for (int i = 0; i < presences->n; i++)
	{
		Presence *presence = &presences->list[i];
		Liveness liveness = connections_in_view(view, presence->member.user_id, presence->id);

		if (liveness_hides(&liveness))
			presence->id = 0;
	}
}

static void
append_members(StringInfo out, const Presences *presences)
{
	appendStringInfoChar(out, '[');
	for (int i = 0; i < presences->n; i++)
		if (presences->list[i].id != 0)
			append_member(out, &presences->list[i]);
	appendStringInfoChar(out, ']');
}

/* The user_ids of those who are not there. */
static void
append_absent(StringInfo out, const Presences *presences)
{
	appendStringInfoChar(out, '[');
	for (int i = 0; i < presences->n; i++)
	{
		if (presences->list[i].id != 0)
			continue;
		if (out->len > 1)
			appendStringInfoChar(out, ',');
		json_append_text(out, presences->list[i].member.user_id);
	}
	appendStringInfoChar(out, ']');
}

static int
compare_age(const void *a, const void *b)
{
	const Presence *x = a;
	const Presence *y = b;

	if (x->joined_at != y->joined_at)
		return x->joined_at < y->joined_at ? -1 : 1;
	return x->id < y->id ? -1 : x->id > y->id;
}

static Jsonb *
jsonb_of(StringInfo text)
{
	return DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(text->data)));
}

/* The whole list, unless its version is known; counted: the version is. */
static void
tell_list(text *book_id, const int64 *known, bool counted, Poll *poll)
{
	StringInfoData list;
	Presences presences;
	Store store;

	initStringInfo(&list);
	store_open(&store, STORE_WRITE, "presence.poll_room()");
	presences = presences_of_room(book_id, true);
	leave_out_hidden(book_id, &presences);
	append_members(&list, &presences);
	store_close(&store);
	if (!counted)
		poll->version =
			(int64) DatumGetUInt64(hash_any_extended((unsigned char *) list.data, list.len, 0));
	if (known == NULL || *known != poll->version)
		poll->members = jsonb_of(&list);
}

static void
tell_changes(text *book_id, const RoomChanges *changes, Poll *poll)
{
	StringInfoData added;
	StringInfoData removed;
	Presences presences;
	Store store;

	initStringInfo(&added);
	initStringInfo(&removed);
	store_open(&store, STORE_WRITE, "presence.poll_room_changes()");
	presences = presences_of_members(book_id, changes->user_ids, changes->n);
	leave_out_hidden(book_id, &presences);
	append_absent(&removed, &presences);
	qsort(presences.list, presences.n, sizeof(Presence), compare_age);
	append_members(&added, &presences);
	store_close(&store);
	poll->added = jsonb_of(&added);
	poll->removed = jsonb_of(&removed);
}

/* The argument known: NULL if it is. */
static const int64 *
arg_known(FunctionCallInfo fcinfo, int64 *known)
{
	if (PG_ARGISNULL(3))
		return NULL;
	*known = PG_GETARG_INT64(3);
	return known;
}

static void
set_jsonb(Jsonb *jsonb, Datum *value, bool *isnull)
{
	*value = JsonbPGetDatum(jsonb);
	*isnull = jsonb == NULL;
}

static Datum
poll_row(FunctionCallInfo fcinfo, bool joined, const Poll *poll)
{
	TupleDesc type = result_type(fcinfo);
	Datum values[5] = {Int64GetDatum(poll->version), BoolGetDatum(joined)};
	bool nulls[5] = {false};

	set_jsonb(poll->members, &values[2], &nulls[2]);
	set_jsonb(poll->added, &values[3], &nulls[3]);
	set_jsonb(poll->removed, &values[4], &nulls[4]);
	return HeapTupleGetDatum(heap_form_tuple(type, values, nulls));
}

/* poll_room(user_id, book_id, connection_id, known) */
Datum
presence_poll_room(PG_FUNCTION_ARGS)
{
	MemberKey member = arg_member(fcinfo);
	text *connection_id = arg_connection_id(fcinfo, 2);
	int64 value;
	const int64 *known = arg_known(fcinfo, &value);
	Poll poll = {0};
	bool joined;
	bool counted;

	store_require_write("presence.poll_room()");
	joined = connections_touch(member, connection_id);
	counted = connections_room_version(member.book_id, &poll.version);
	if (!counted || known == NULL || *known != poll.version)
		tell_list(member.book_id, known, counted, &poll);
	PG_RETURN_DATUM(poll_row(fcinfo, joined, &poll));
}

/* poll_room_changes(user_id, book_id, connection_id, known) */
Datum
presence_poll_room_changes(PG_FUNCTION_ARGS)
{
	MemberKey member = arg_member(fcinfo);
	text *connection_id = arg_connection_id(fcinfo, 2);
	int64 value;
	const int64 *known = arg_known(fcinfo, &value);
	RoomChanges changes;
	Poll poll = {0};
	bool joined;
	bool counted;

	store_require_write("presence.poll_room_changes()");
	joined = connections_touch(member, connection_id);
	counted = connections_room_changes(member.book_id, known, &changes);
	poll.version = changes.version;
	if (!counted || known == NULL || (*known != poll.version && !changes.known))
		tell_list(member.book_id, known, counted, &poll);
	else if (*known != poll.version)
		tell_changes(member.book_id, &changes, &poll);
	PG_RETURN_DATUM(poll_row(fcinfo, joined, &poll));
}

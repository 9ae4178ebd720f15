/*
 * limits.c
 *	  What a valid argument is, and the error for one that is not.
 *
 * Called by the SQL-callable files before they touch anything. No state, no
 * lock. The limits are Pusher's where Pusher has one (channel names, socket
 * ids, the size of user_info), since every value may travel through it.
 */
#include "postgres.h"

#include "limits.h"

#include "catalog/pg_type.h"
#include "common/int.h"
#include "mb/pg_wchar.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "bytes.h"
#include "json.h"
#include "settings.h"
#include "shards.h"

#define MAX_CHANNEL_NAME_CHARS 164
#define MAX_ROOM_PREFIX_CHARS  64
#define MAX_SHOWN_BYTES        64 /* of a wrong value, in an error */

void
null_argument(const char *name)
{
	ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("%s must not be null", name)));
}

/* A wrong value as an error shows it: whole characters, not too many. */
static char *
shown(text *value)
{
	int len = VARSIZE_ANY_EXHDR(value);
	int clipped = pg_mbcliplen(VARDATA_ANY(value), len, MAX_SHOWN_BYTES);
	char *s = pnstrdup(VARDATA_ANY(value), clipped);

	return clipped < len ? psprintf("%s...", s) : s;
}

static int
length(text *value)
{
	return pg_mbstrlen_with_len(VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value));
}

static void
check_length(text *value, const char *name, int min, int max)
{
	int chars = length(value);

	if (chars < min || chars > max)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("invalid %s: \"%s\"", name, shown(value)),
						errdetail("The %s has %d characters; the limit is %d to %d.", name, chars,
								  min, max)));
}

/* The value itself is not shown: who reads the error may not be able to get it either. */
static void
check_utf8(const char *s, int len, const char *name)
{
	if (!has_utf8(s, len))
		ereport(ERROR, (errcode(ERRCODE_CHARACTER_NOT_IN_REPERTOIRE),
						errmsg("invalid %s: it has bytes that are not UTF-8", name),
						errdetail("Events are UTF-8, whatever the database's encoding.")));
}

static void
check_channel_chars(text *value, const char *name)
{
	if (!channel_chars_only(VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value)))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("invalid %s: \"%s\"", name, shown(value)),
						errdetail("The characters allowed are A-Z a-z 0-9 _ - = @ , . ;")));
}

void
check_user_id(text *user_id)
{
	check_length(user_id, "user_id", 1, MAX_USER_ID_CHARS);
	check_utf8(VARDATA_ANY(user_id), VARSIZE_ANY_EXHDR(user_id), "user_id");
}

bool
is_user_id(text *user_id)
{
	int chars = length(user_id);

	return chars >= 1 && chars <= MAX_USER_ID_CHARS &&
		   has_utf8(VARDATA_ANY(user_id), VARSIZE_ANY_EXHDR(user_id));
}

bool
is_book_id(text *book_id)
{
	size_t bytes = VARSIZE_ANY_EXHDR(book_id);

	return bytes >= 1 && bytes <= MAX_BOOK_ID_CHARS &&
		   channel_chars_only(VARDATA_ANY(book_id), bytes);
}

void
check_book_id(text *book_id)
{
	check_length(book_id, "book_id", 1, MAX_BOOK_ID_CHARS);
	check_channel_chars(book_id, "book_id");
	shards_require_here(book_id);
}

void
check_past_book_id(text *book_id)
{
	check_length(book_id, "book_id", 1, MAX_BOOK_ID_CHARS);
	check_channel_chars(book_id, "book_id");
	if (!presence_moved_rooms)
		shards_require_here(book_id);
}

void
check_connection_id(text *connection_id)
{
	check_length(connection_id, "connection_id", 0, MAX_CONNECTION_ID_CHARS);
}

/* What a book_id may begin with. */
void
check_room_prefix_value(text *room_prefix)
{
	check_length(room_prefix, "room_prefix", 0, MAX_ROOM_PREFIX_CHARS);
	check_channel_chars(room_prefix, "room_prefix");
}

void
check_channel_name(text *channel_name)
{
	check_length(channel_name, "channel_name", 1, MAX_CHANNEL_NAME_CHARS);
	check_channel_chars(channel_name, "channel_name");
}

/*
 * A socket id is two numbers with a dot between. A colon in it would let the
 * signature of one string be that of another: "1:private-a" with channel "b"
 * signs as "1" with "private-a:b".
 */
void
check_socket_id(text *socket_id)
{
	const char *s = VARDATA_ANY(socket_id);
	size_t len = VARSIZE_ANY_EXHDR(socket_id);
	size_t whole = 0;
	size_t fraction = 0;

	while (whole < len && s[whole] >= '0' && s[whole] <= '9')
		whole++;
	if (whole > 0 && whole < len && s[whole] == '.')
		while (whole + 1 + fraction < len && s[whole + 1 + fraction] >= '0' &&
			   s[whole + 1 + fraction] <= '9')
			fraction++;
	if (fraction == 0 || whole + 1 + fraction != len)
		ereport(
			ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid socket_id: \"%s\"", shown(socket_id)),
			 errdetail("A socket_id is two numbers with a dot between, such as \"1234.5678\".")));
}

bool
is_channel_room(text *book_id)
{
	const char *s = VARDATA_ANY(book_id);
	size_t len = VARSIZE_ANY_EXHDR(book_id);

	return len > 0 && s[0] == '@' && memchr(s, ';', len) != NULL;
}

void
check_user_info(Jsonb *user_info)
{
	StringInfoData compact;

	if (!JB_ROOT_IS_OBJECT(user_info))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid user_info: %s", shown(cstring_to_text(JsonbToCString(
													 NULL, &user_info->root, VARSIZE(user_info))))),
				 errdetail("The user_info must be a JSON object.")));

	initStringInfo(&compact);
	json_append_jsonb(&compact, user_info);
	if (compact.len > MAX_USER_INFO_BYTES)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("invalid user_info: %s", shown(cstring_to_text(compact.data))),
						errdetail("The user_info has %d bytes in compact form; the limit is %d.",
								  compact.len, MAX_USER_INFO_BYTES)));
	check_utf8(compact.data, compact.len, "user_info");
	pfree(compact.data);
}

text *
arg_text(FunctionCallInfo fcinfo, int argno, const char *name)
{
	if (PG_ARGISNULL(argno))
		null_argument(name);
	return PG_GETARG_TEXT_PP(argno);
}

text *
arg_user_id(FunctionCallInfo fcinfo, int argno)
{
	text *user_id = arg_text(fcinfo, argno, "user_id");

	check_user_id(user_id);
	return user_id;
}

text *
arg_book_id(FunctionCallInfo fcinfo, int argno)
{
	text *book_id = arg_text(fcinfo, argno, "book_id");

	check_book_id(book_id);
	return book_id;
}

text *
arg_past_book_id(FunctionCallInfo fcinfo, int argno)
{
	text *book_id = arg_text(fcinfo, argno, "book_id");

	check_past_book_id(book_id);
	return book_id;
}

MemberKey
arg_member(FunctionCallInfo fcinfo)
{
	text *user_id = arg_user_id(fcinfo, 0);

	return (MemberKey){.user_id = user_id, .book_id = arg_book_id(fcinfo, 1)};
}

text *
arg_connection_id(FunctionCallInfo fcinfo, int argno)
{
	text *connection_id = arg_text(fcinfo, argno, "connection_id");

	check_connection_id(connection_id);
	return connection_id;
}

Jsonb *
arg_user_info(FunctionCallInfo fcinfo, int argno)
{
	Jsonb *user_info;

	if (PG_ARGISNULL(argno))
		return NULL;
	user_info = PG_GETARG_JSONB_P(argno);
	check_user_info(user_info);
	return user_info;
}

int64
arg_ttl(FunctionCallInfo fcinfo, int argno)
{
	Interval *ttl;
	int64 usec = 0;
	bool overflow;

	if (PG_ARGISNULL(argno))
		return (int64) presence_timeout * 1000;

	ttl = PG_GETARG_INTERVAL_P(argno);
	overflow = ttl->month != 0 || pg_mul_s64_overflow(ttl->day, USECS_PER_DAY, &usec) ||
			   pg_add_s64_overflow(usec, ttl->time, &usec);
	if (overflow || usec < MIN_TTL || usec > MAX_TTL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid ttl: \"%s\"",
						DatumGetCString(DirectFunctionCall1(interval_out, IntervalPGetDatum(ttl)))),
				 errdetail("The limit is 1 second to 1 day.")));
	return usec;
}

static int32
arg_positive(FunctionCallInfo fcinfo, int argno, const char *name)
{
	if (PG_GETARG_INT32(argno) < 1)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("invalid %s: %d", name, PG_GETARG_INT32(argno)),
						errdetail("The limit is 1 or more.")));
	return PG_GETARG_INT32(argno);
}

int32
arg_capacity(FunctionCallInfo fcinfo, int argno)
{
	return PG_ARGISNULL(argno) ? 0 : arg_positive(fcinfo, argno, "capacity");
}

int32
arg_max(FunctionCallInfo fcinfo, int argno)
{
	if (PG_ARGISNULL(argno))
		null_argument("max");
	return arg_positive(fcinfo, argno, "max");
}

TimestampTz
arg_timestamptz(FunctionCallInfo fcinfo, int argno, const char *name)
{
	if (PG_ARGISNULL(argno))
		null_argument(name);
	return PG_GETARG_TIMESTAMPTZ(argno);
}

void
arg_range(FunctionCallInfo fcinfo, int argno, TimestampTz *since, TimestampTz *until)
{
	*since = arg_timestamptz(fcinfo, argno, "since");
	*until = Min(arg_timestamptz(fcinfo, argno + 1, "until"), presence_now());
	if (TIMESTAMP_NOT_FINITE(*since) ||
		(*since<*until && * until - *since> MAX_RANGE_DAYS * USECS_PER_DAY))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("invalid since: \"%s\"", timestamptz_to_str(*since)),
						errdetail("The limit is %d days before until.", MAX_RANGE_DAYS)));
}

Datum
arg_array(FunctionCallInfo fcinfo, int argno, const char *name, int *n)
{
	ArrayType *array;
	int found;

	if (PG_ARGISNULL(argno))
		null_argument(name);
	array = PG_GETARG_ARRAYTYPE_P(argno);
	found = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
	if (ARR_NDIM(array) > 1 || (*n >= 0 && found != *n))
		ereport(
			ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s must be an array of one dimension, as long as the ones before it", name)));
	if (array_contains_nulls(array))
		null_argument(name);
	*n = found;
	return PointerGetDatum(array);
}

ArrayType *
arg_handles(FunctionCallInfo fcinfo, int argno, const char *name)
{
	ArrayType *handles;

	if (PG_ARGISNULL(argno))
		null_argument(name);
	handles = PG_GETARG_ARRAYTYPE_P(argno);
	if (array_contains_nulls(handles))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("%s must not contain null values", name)));
	return handles;
}

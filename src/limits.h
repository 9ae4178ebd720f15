/*
 * limits.h
 *	  What a valid argument is, and the error for one that is not.
 *
 * Every function here raises 22004 (null_value_not_allowed) for a NULL that
 * is not allowed and 22023 (invalid_parameter_value) for a value out of its
 * limits; both name the argument, and the second the value and the limit.
 */
#ifndef PRESENCE_LIMITS_H
#define PRESENCE_LIMITS_H

#include "fmgr.h"
#include "lib/stringinfo.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

#include "chars.h"
#include "compat.h"
#include "member_key.h"

#define MAX_USER_ID_CHARS       128
#define MAX_BOOK_ID_CHARS       150
#define MAX_CONNECTION_ID_CHARS 128
#define MAX_USER_INFO_BYTES     1024 /* compact JSON; Pusher's limit is the same */
#define MIN_TTL                 (1 * USECS_PER_SEC)
#define MAX_TTL                 (1 * USECS_PER_DAY)
#define MAX_RANGE_DAYS          3660 /* of what is told by hours or days */

/* The argument's value, checked; text is detoasted. */
extern text *arg_text(FunctionCallInfo fcinfo, int argno, const char *name);
extern text *arg_user_id(FunctionCallInfo fcinfo, int argno);
extern text *arg_book_id(FunctionCallInfo fcinfo, int argno);
extern text *arg_past_book_id(FunctionCallInfo fcinfo, int argno);
extern text *arg_connection_id(FunctionCallInfo fcinfo, int argno);
extern MemberKey arg_member(FunctionCallInfo fcinfo); /* user_id and book_id, the first two */
extern Jsonb *arg_user_info(FunctionCallInfo fcinfo, int argno); /* NULL allowed */
extern int64 arg_ttl(FunctionCallInfo fcinfo, int argno);        /* NULL: presence.timeout; µs */
extern int32 arg_capacity(FunctionCallInfo fcinfo, int argno);   /* NULL: 0, no limit */
extern TimestampTz arg_timestamptz(FunctionCallInfo fcinfo, int argno, const char *name);
extern int32 arg_max(FunctionCallInfo fcinfo, int argno);

/* since and until, two arguments: a range that is finite, and not of the future. */
extern void arg_range(FunctionCallInfo fcinfo, int argno, TimestampTz *since, TimestampTz *until);

/*
 * An array of any type, of one dimension, without NULLs; of *n elements, unless that is negative,
 * and then it is how many there are.
 */
extern Datum arg_array(FunctionCallInfo fcinfo, int argno, const char *name, int *n);

/* A bigint[] of handles without NULLs, as the array it is. */
extern ArrayType *arg_handles(FunctionCallInfo fcinfo, int argno, const char *name);

/*
 * The same checks for a value that is at hand. A book_id is refused as well if its room is on
 * another node (PR001, shards.h); whose past is asked for only while presence.moved_rooms is off.
 */
extern void check_user_id(text *user_id);
extern void check_book_id(text *book_id);
extern void check_past_book_id(text *book_id);
extern void check_connection_id(text *connection_id);
extern void check_user_info(Jsonb *user_info);
extern void check_socket_id(text *socket_id);
extern void check_room_prefix_value(text *room_prefix);
extern void check_channel_name(text *channel_name);

/* Whether it could be a member's, or a room's. */
extern bool is_user_id(text *user_id);
extern bool is_book_id(text *book_id);

/*
 * Whether it names the room of a Pusher channel that is no book's (@app;name): a room without a
 * history, into which no channel of a book leads.
 */
extern bool is_channel_room(text *book_id);

pg_noreturn extern void null_argument(const char *name);

#endif /* PRESENCE_LIMITS_H */

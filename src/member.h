/*
 * member.h
 *	  One user in one room: joining and leaving.
 *
 * All functions are called with the store open.
 */
#ifndef PRESENCE_MEMBER_H
#define PRESENCE_MEMBER_H

#include "utils/jsonb.h"
#include "utils/timestamp.h"

#include "events.h"

/* An open presence. */
typedef struct Member
{
	int64 id;
	text *user_id;
	text *book_id;
	TimestampTz joined_at;
	TimestampTz last_active_at;
	bool is_author;
	Jsonb *user_info; /* NULL: none */
} Member;

typedef struct JoinRequest
{
	text *user_id;
	text *book_id;
	text *connection_id;
	Jsonb *user_info; /* NULL: as it is */
	bool *is_author;  /* NULL: as it is */
	int64 ttl;        /* µs */
} JoinRequest;

typedef struct Joined
{
	Member member;
	int64 connection; /* the handle */
	bool added;
} Joined;

/* Makes the user a member, or adds a connection to the one there is. */
extern Joined member_join(const JoinRequest *join, TimestampTz now);

/* The same for whom only Pusher has seen; true if it made the user a member. */
extern bool member_join_unheard(text *user_id, text *book_id, Jsonb *user_info, TimestampTz now);

/* Ends one connection, or all (NULL); true if the user was a member and no longer is. */
extern bool member_leave(text *user_id, text *book_id, text *connection_id, TimestampTz now);

/* Whether that is the member's user_info already. */
extern bool member_has_user_info(const Member *member, Jsonb *user_info);

/* Tells of a change of the member. */
extern void member_tell(EventKind kind, const Member *member, const char *reason, TimestampTz at);

#endif /* PRESENCE_MEMBER_H */

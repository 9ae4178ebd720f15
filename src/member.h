/*
 * member.h
 *	  What a join and a leave do to one member.
 *
 * All functions are called with the store open. They lock the members they change.
 */
#ifndef PRESENCE_MEMBER_H
#define PRESENCE_MEMBER_H

#include "presences.h"

typedef struct JoinRequest
{
	MemberKey member;
	text *connection_id;
	Jsonb *user_info; /* NULL: as it is */
	bool *is_author;  /* NULL: as it is */
	int64 ttl;        /* microseconds */
	int32 capacity;   /* members at most; 0: no limit */
	bool keep_info;   /* user_info and is_author count only for who becomes a member */
} JoinRequest;

typedef struct Joined
{
	Presence presence;
	int64 connection; /* the handle */
	bool added;
	bool busy; /* another transaction is changing him: nothing was done */
} Joined;

/* The presence that a join would insert. */
extern Presence member_new_presence(const JoinRequest *join);

/* Makes the user a member, or adds a connection to the one there is; 53400 if the room is full. */
extern Joined member_join(const JoinRequest *join);

/* The same for whom only Pusher has seen; true if it made the user a member. */
extern bool member_join_unheard(MemberKey member, Jsonb *user_info);

/* Ends one connection, or all (NULL); true if the user was a member and no longer is. */
extern bool member_leave(MemberKey member, text *connection_id);

#endif /* PRESENCE_MEMBER_H */

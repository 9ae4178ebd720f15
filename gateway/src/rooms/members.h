/*
 * members.h
 *	  The members of a room, and the list of them as clients get it.
 *
 * The list is kept in blocks of some members each, encoded once: who comes or goes has one
 * block encoded anew. A client is sent the blocks themselves; nobody has a copy.
 */
#ifndef GATEWAY_MEMBERS_H
#define GATEWAY_MEMBERS_H

#include <uthash.h>

#include "transport/frame.h"

struct Channel;
struct Block;

typedef struct Member
{
	int64_t presence_id;
	char *user_info; /* compact JSON, or NULL */
	bool is_author;
	unsigned seen; /* the read that had it last */
	struct Block *block;
	struct Member *prev, *next; /* of the block */
	UT_hash_handle hh;
	char user_id[];
} Member;

/* A member as the database tells of one. */
typedef struct MemberRow
{
	int64_t presence_id;
	const char *user_id;
	const char *user_info; /* JSON, or NULL */
	bool is_author;
} MemberRow;

typedef struct Members
{
	Member *by_id;
	struct Block *blocks;  /* those with room for more come first */
	Frame *small;          /* the list, if it is that and nothing changed; */
	const char *small_for; /* of that channel */
	Frame *page;           /* the newest, the same way (page.c); */
	const char *page_for;  /* of that channel, */
	unsigned page_max;     /* so many */
	bool unsorted;         /* a read put them in another order than they came */
} Members;

extern Member *member_find(const Members *members, const char *user_id);

/* The user must not be in. What no browser could read of user_info is NULL. */
extern Member *member_insert(Members *members, const MemberRow *row);

/* True if it is another one now. */
extern bool member_set_info(Members *members, Member *member, const char *user_info);

extern void member_delete(Members *members, Member *member);
extern void members_free(Members *members);

/* A channel that the list was encoded for goes. */
extern void members_forget_frames(Members *members);

/* Appends him to both parts of a list: "a","b" and "a":{...},"b":null. */
extern void member_encode(Buf *ids, Buf *hash, const Member *member);

static inline unsigned
members_count(const Members *members)
{
	return HASH_COUNT(members->by_id);
}

/*
 * The frames that make up pusher_internal:subscription_succeeded of that channel, one after the
 * other. The first is the caller's; the others are the blocks', until the list changes.
 */
typedef struct MemberList
{
	Frame **frames;
	int nframes;
	size_t bytes;
} MemberList;

extern MemberList members_list(Members *members, Bytes channel);
extern void members_list_free(MemberList *list);

#endif /* GATEWAY_MEMBERS_H */

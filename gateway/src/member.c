/*
 * member.c
 *	  The members of a room: changes of the list, each told to the subscribers.
 */
#include "member.h"

#include <stdlib.h>

#include "json.h"
#include "room_tell.h"

static void
forget_list(Room *room)
{
	frame_unref(room->list);
	room->list = NULL;
}

static void
free_member(Room *room, Member *member)
{
	/* The analyzer takes the links of the table for members. NOLINTNEXTLINE */
	HASH_DEL(room->members, member);
	free(member->user_info);
	free(member);
}

/* JSON as the database has it, in compact form; NULL for null, and for what no browser could read.
 */
static char *
compact(const char *text)
{
	json_t *value = text ? json_parse(bytes_of(text)) : NULL;
	Buf out = {0};

	if (json_is_object(value))
		json_add(&out, value);
	json_decref(value);
	return out.data;
}

Member *
member_find(const Room *room, const char *user_id)
{
	Member *member;

	HASH_FIND_STR(room->members, user_id, member);
	return member;
}

void
member_remove(Room *room, Member *member)
{
	forget_list(room);
	room_tell_removed(room, member);
	free_member(room, member);
}

void
member_add(Room *room, const MemberRow *row)
{
	size_t len = strlen(row->user_id);
	Member *member = xcalloc(1, sizeof(Member) + len + 1);

	memcpy(member->user_id, row->user_id, len);
	member->presence_id = row->presence_id;
	member->user_info = compact(row->user_info);
	member->is_author = row->is_author;
	member->seen = true;
	HASH_ADD(hh, room->members, user_id, len, member);
	forget_list(room);
	room_tell_added(room, member);
}

void
member_update(Room *room, Member *member, const MemberRow *row)
{
	char *user_info = compact(row->user_info);
	bool became_author = row->is_author && !member->is_author;

	member->is_author = row->is_author;
	if (json_same(user_info, member->user_info))
		free(user_info);
	else
	{
		free(member->user_info);
		member->user_info = user_info;
		forget_list(room);
		room_tell_updated(room, member);
	}
	if (became_author)
		room_tell_author(room, member);
}

void
member_put(Room *room, const MemberRow *row)
{
	Member *member = member_find(room, row->user_id);

	if (member && member->presence_id == row->presence_id)
	{
		member_update(room, member, row);
		member->seen = true;
		return;
	}
	if (member)
		member_remove(room, member);
	member_add(room, row);
}

void
members_begin_read(Room *room)
{
	for (Member *member = room->members; member; member = member->hh.next)
		member->seen = false;
}

void
members_end_read(Room *room)
{
	Member *next;

	for (Member *member = room->members; member; member = next)
	{
		next = member->hh.next;
		if (!member->seen)
			member_remove(room, member);
	}
}

void
members_free(Room *room)
{
	Member *next;

	for (Member *member = room->members; member; member = next)
	{
		next = member->hh.next;
		free_member(room, member);
	}
	forget_list(room);
}

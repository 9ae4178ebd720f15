/*
 * changes.c
 *	  Changes of a room's members, each told to its subscribers.
 */
#include "rooms/changes.h"

#include "rooms/list.h"
#include "rooms/tell.h"

static void
remove_member(Members *members, Channel *channels, Member *member)
{
	tell_removed(channels, member);
	member_delete(members, member);
}

void
change_removed(Members *members, Channel *channels, Member *member)
{
	remove_member(members, channels, member);
	lists_consider(channels, members);
}

void
change_added(Members *members, Channel *channels, const MemberRow *row)
{
	const Member *member = member_insert(members, row);

	lists_consider(channels, members);
	tell_added(channels, member);
}

void
change_updated(Members *members, Channel *channels, Member *member, const MemberRow *row)
{
	bool became_author = row->is_author && !member->is_author;

	if (member->is_author != row->is_author)
	{
		member->is_author = row->is_author;
		tell_seats(channels, member);
	}
	if (member_set_info(members, member, row->user_info))
		tell_updated(channels, member);
	if (became_author)
		tell_author(channels, member);
}

void
change_read(Members *members, Channel *channels, const MemberRow *row, unsigned number)
{
	Member *member = member_find(members, row->user_id);

	if (member && member->presence_id == row->presence_id)
		change_updated(members, channels, member, row);
	else
	{
		if (member)
			change_removed(members, channels, member);
		change_added(members, channels, row);
		member = member_find(members, row->user_id);
	}
	member->seen = number;
}

void
changes_end_read(Members *members, Channel *channels, unsigned number)
{
	Member *next;

	for (Member *member = members->by_id; member; member = next)
	{
		next = member->hh.next;
		if (member->seen != number)
			remove_member(members, channels, member);
	}
	members->unsorted = true;
	lists_consider(channels, members);
}

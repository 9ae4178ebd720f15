/*
 * page.c
 *	  The newest members of a room, for clients that are not given all of them.
 *
 * The table of members is in the order in which they came, but that a read puts some of them behind
 * who came while it was under way: it is sorted after.
 */
#include "rooms/page.h"

#include "rooms/words.h"

/* The ids of a room's presences grow with time. */
static int
by_age(const Member *a, const Member *b)
{
	return (a->presence_id > b->presence_id) - (a->presence_id < b->presence_id);
}

/* NULL: there is none. The one before is hh.prev. */
static const Member *
newest(Members *members)
{
	if (!members->by_id)
		return NULL;
	if (members->unsorted)
		HASH_SRT(hh, members->by_id, by_age);
	members->unsorted = false;
	return ELMT_FROM_HH(members->by_id->hh.tbl, members->by_id->hh.tbl->tail);
}

static bool
is_among(Members *members, unsigned max, const Member *self)
{
	const Member *member = newest(members);

	for (unsigned n = 0; member && n < max; n++, member = member->hh.prev)
		if (member == self)
			return true;
	return false;
}

void
page_add(Buf *out, Members *members, unsigned max, const Member *self)
{
	const Member *member = newest(members);
	Buf ids = {0};
	Buf hash = {0};

	for (unsigned n = 0; member && n < max; n++, member = member->hh.prev)
	{
		member_encode(&ids, &hash, member);
		if (member == self)
			self = NULL;
	}
	if (self)
		member_encode(&ids, &hash, self);
	buf_adds(out, "\"ids\":[");
	buf_add(out, ids.data, ids.len);
	buf_adds(out, "],\"hash\":{");
	buf_add(out, hash.data, hash.len);
	buf_addc(out, '}');
	buf_free(&ids);
	buf_free(&hash);
}

/* Whoever is among the newest gets the same frame. */
Frame *
page_frame(Members *members, Bytes channel, unsigned max, const Member *self)
{
	bool shared = !self || is_among(members, max, self);
	Buf data = {0};
	Frame *frame;

	if (shared && members->page && members->page_for == channel.data && members->page_max == max)
		return frame_ref(members->page);
	buf_addf(&data, "{\"presence\":{\"count\":%u,", members_count(members));
	page_add(&data, members, max, self);
	buf_adds(&data, "}}");
	frame = frame_event(BYTES("pusher_internal:subscription_succeeded"), channel, buf_bytes(&data));
	buf_free(&data);
	if (!shared)
		return frame;
	frame_unref(members->page);
	members->page = frame_ref(frame);
	members->page_for = channel.data;
	members->page_max = max;
	return frame;
}

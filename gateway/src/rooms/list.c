/*
 * list.c
 *	  The list of a room's members that a client is given: all of them, or a page.
 */
#include "rooms/list.h"

#include <stdlib.h>
#include <utlist.h>

#include "rooms/page.h"
#include "rooms/words.h"

#define TELL_MS 5000 /* between two counts */

/* Of a channel that is paged. */
typedef struct Paging
{
	Channel *channel;
	Members *members;
	unsigned count; /* that all were told, and the page */
	Buf page;
	int64_t told_at; /* ms */
	bool changed;    /* since */
	bool mixed;      /* somebody who came since was given something else */
	struct Paging *prev, *next;
} Paging;

static Paging *pagings;

static unsigned
page_size(const Channel *channel)
{
	return (unsigned) channel->app->max_listed_members;
}

/*
 * Paged or not
 */

/* One who comes and goes at the limit has nobody given the list each time. */
static bool
has_too_many(const Channel *channel, const Members *members)
{
	int max = channel->app->max_listed_members;

	if (max < 0)
		return false;
	return members_count(members) > (unsigned) (channel->paging ? max - max / 4 : max);
}

static void
begin(Channel *channel, Members *members)
{
	Paging *paging = xcalloc(1, sizeof(Paging));

	paging->channel = channel;
	paging->members = members;
	paging->count = members_count(members);
	page_add(&paging->page, members, page_size(channel), NULL);
	paging->told_at = now_ms();
	channel->paging = paging;
	DL_APPEND(pagings, paging);
}

void
list_forget(Channel *channel)
{
	Paging *paging = channel->paging;

	if (!paging)
		return;
	DL_DELETE(pagings, paging);
	channel->paging = NULL;
	buf_free(&paging->page);
	free(paging);
}

/*
 * The list
 */

static void
send_page(const Subscription *subscription, Members *members)
{
	const Channel *channel = subscription->channel;
	const Seat *seat = subscription->seat;
	const Member *self = seat ? member_find(members, seat->user_id) : NULL;
	Frame *frame = page_frame(members, channel_name(channel), page_size(channel), self);

	conn_send_list(subscription->socket->conn, &frame, 1, frame->len);
	frame_unref(frame);
	channel->paging->mixed |= channel->paging->changed;
}

void
list_send(const Subscription *subscription, Members *members)
{
	Channel *channel = subscription->channel;
	MemberList list;

	if (subscription->socket->closing)
		return;
	if (!channel->paging && has_too_many(channel, members)) /* its first one */
		begin(channel, members);
	if (channel->paging)
	{
		send_page(subscription, members);
		return;
	}
	list = members_list(members, channel_name(channel));
	conn_send_list(subscription->socket->conn, list.frames, list.nframes, list.bytes);
	members_list_free(&list);
}

void
lists_consider(Channel *channels, Members *members)
{
	Channel *channel;
	const Subscription *subscription;

	DL_FOREACH2(channels, channel, room_next)
	{
		bool paged = has_too_many(channel, members);

		if (paged == (channel->paging != NULL))
			continue;
		if (paged)
			begin(channel, members);
		else
			list_forget(channel);
		DL_FOREACH(channel->subscriptions, subscription)
		{
			if (subscription->active)
				list_send(subscription, members);
		}
	}
}

/*
 * Counts
 */

void
list_changed(const Channel *channel)
{
	if (channel->paging)
		channel->paging->changed = true;
}

/* The page is left out if all have it. */
static void
tell(Paging *paging, Bytes page, bool all_have_it)
{
	Buf data = {0};
	Frame *frame;

	buf_addf(&data, "{\"subscription_count\":%u", paging->count);
	if (!all_have_it)
	{
		buf_addf(&data, ",\"presence\":{\"count\":%u,", paging->count);
		buf_add(&data, page.data, page.len);
		buf_addc(&data, '}');
	}
	buf_addc(&data, '}');
	frame = frame_event(BYTES("pusher_internal:subscription_count"), channel_name(paging->channel),
						buf_bytes(&data));
	channel_send(paging->channel, frame, (Bytes){0});
	frame_unref(frame);
	buf_free(&data);
	paging->told_at = now_ms();
}

static void
consider_telling(Paging *paging)
{
	unsigned count = members_count(paging->members);
	Buf page = {0};
	bool same;

	page_add(&page, paging->members, page_size(paging->channel), NULL);
	same = !paging->mixed && bytes_equal(buf_bytes(&page), buf_bytes(&paging->page));
	if (!same || count != paging->count)
	{
		paging->count = count;
		tell(paging, buf_bytes(&page), same);
	}
	buf_free(&paging->page);
	paging->page = page;
	paging->changed = paging->mixed = false;
}

void
lists_tick(void)
{
	Paging *paging;

	DL_FOREACH(pagings, paging)
	{
		if (paging->changed && paging->told_at + TELL_MS <= now_ms())
			consider_telling(paging);
	}
}

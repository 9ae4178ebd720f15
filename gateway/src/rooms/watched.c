/*
 * watched.c
 *	  What clients are told of the users on their watchlists.
 */
#include "rooms/watched.h"

#include <utlist.h>

#include "base/json.h"

static void
add_users(Buf *data, const char *name, const Watcher *watcher, bool online)
{
	const char *comma = "";

	buf_addf(data, "%s{\"name\":\"%s\",\"user_ids\":[", data->data[data->len - 1] == '[' ? "" : ",",
			 name);
	for (int i = 0; i < watcher->n; i++)
	{
		if (watcher->watches[i].user->online != online)
			continue;
		buf_adds(data, comma);
		json_add_string(data, bytes_of(watcher->watches[i].user->user_id));
		comma = ",";
	}
	buf_adds(data, "]}");
}

static Frame *
frame_of_data(Buf *data)
{
	Frame *frame =
		frame_event(BYTES("pusher_internal:watchlist_events"), (Bytes){0}, buf_bytes(data));

	buf_free(data);
	return frame;
}

static int
count_online(const Watcher *watcher)
{
	int n = 0;

	for (int i = 0; i < watcher->n; i++)
		n += watcher->watches[i].user->online;
	return n;
}

void
watched_tell_list(const Watcher *watcher)
{
	Buf data = {0};
	int online = count_online(watcher);

	buf_adds(&data, "{\"events\":[");
	if (online > 0)
		add_users(&data, "online", watcher, true);
	if (online < watcher->n)
		add_users(&data, "offline", watcher, false);
	buf_adds(&data, "]}");
	socket_send_own(watcher->socket, frame_of_data(&data));
}

void
watched_tell_change(const Watched *user)
{
	const Watch *watch;
	Buf data = {0};
	Frame *frame;

	buf_addf(&data, "{\"events\":[{\"name\":\"%s\",\"user_ids\":[",
			 user->online ? "online" : "offline");
	json_add_string(&data, bytes_of(user->user_id));
	buf_adds(&data, "]}]}");
	frame = frame_of_data(&data);
	DL_FOREACH(user->watches, watch)
	{
		if (watch->watcher->told)
			socket_send(watch->watcher->socket, frame);
	}
	frame_unref(frame);
}

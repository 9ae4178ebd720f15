/*
 * watchlist.c
 *	  Watchlists: who has signed in is told when users of his list come online and go offline.
 *
 * A user who is watched is kept once, however many watch him, with what is known of him. Who comes
 * into a room is online; who leaves one may be in another one, so the database is asked, one call
 * at a time for all that was gathered. An event that comes while it is asked is newer than
 * its answer, which then does not count for that user.
 *
 * What a client is told first is its whole list, when all of it is known; then what changes.
 */
#include "rooms/watchlist.h"

#include <stdlib.h>
#include <utlist.h>

#include "base/log.h"
#include "base/metrics.h"
#include "base/names.h"
#include "database/everywhere.h"
#include "rooms/watched.h"

#define MAX_A_CALL 500
#define RETRY_MS   500

/* What was asked: users of one app. */
typedef struct Question
{
	App *app;
	int n;
	char *user_ids[MAX_A_CALL];
} Question;

static Watched *wanted;
static Watcher *untold;
static bool asking;
static int64_t ask_at; /* ms; not before */

static bool
is_known(const Watcher *watcher)
{
	for (int i = 0; i < watcher->n; i++)
		if (!watcher->watches[i].user->known)
			return false;
	return true;
}

static void
tell_list(Watcher *watcher)
{
	DL_DELETE(untold, watcher);
	watcher->told = true;
	watched_tell_list(watcher);
}

static void
tell_lists(void)
{
	Watcher *watcher;
	Watcher *next;

	DL_FOREACH_SAFE(untold, watcher, next)
	{
		if (is_known(watcher))
			tell_list(watcher);
	}
}

/*
 * What is known
 */

static Watched *
find(const App *app, Bytes user_id)
{
	Watched *user;

	HASH_FIND(hh, app->watched, user_id.data, user_id.len, user);
	return user;
}

static void
want(Watched *user)
{
	user->asked = false;
	if (user->wanted)
		return;
	user->wanted = true;
	DL_APPEND(wanted, user);
}

static void
unwant(Watched *user)
{
	if (user->wanted)
		DL_DELETE(wanted, user);
	user->wanted = false;
}

static void
set_online(Watched *user, bool online)
{
	bool changed = user->known && user->online != online;

	user->online = online;
	user->known = true;
	if (changed)
		watched_tell_change(user);
}

/*
 * Lists
 */

static void
add_watch(Watcher *watcher, Bytes user_id)
{
	App *app = socket_app(watcher->socket);
	Watched *user = find(app, user_id);
	Watch *watch = &watcher->watches[watcher->n];

	if (!user)
	{
		user = xcalloc(1, sizeof(Watched) + user_id.len + 1);
		user->app = app;
		memcpy(user->user_id, user_id.data, user_id.len);
		HASH_ADD(hh, app->watched, user_id, user_id.len, user);
		metrics.watched++;
		want(user);
	}
	for (int i = 0; i < watcher->n; i++)
		if (watcher->watches[i].user == user) /* named twice */
			return;
	*watch = (Watch){.user = user, .watcher = watcher};
	DL_APPEND(user->watches, watch);
	watcher->n++;
}

void
watchlist_begin(Socket *socket, const json_t *user_ids)
{
	Watcher *watcher;
	size_t i;
	const json_t *id;

	if (!database_knows(HOME, STATEMENT_ONLINE) || json_array_size(user_ids) == 0)
		return;
	watcher = xcalloc(1, sizeof(Watcher) + sizeof(Watch) * json_array_size(user_ids));
	watcher->socket = socket;
	socket->watcher = watcher;
	DL_APPEND(untold, watcher);
	json_array_foreach(user_ids, i, id)
	{
		Bytes user_id = json_bytes(id);

		if (json_is_string(id) && is_user_id(user_id))
			add_watch(watcher, user_id);
	}
	if (watcher->n == 0)
		watchlist_end(socket);
	else if (is_known(watcher))
		tell_list(watcher);
}

void
watchlist_end(Socket *socket)
{
	Watcher *watcher = socket->watcher;

	if (!watcher)
		return;
	socket->watcher = NULL;
	for (int i = 0; i < watcher->n; i++)
	{
		Watched *user = watcher->watches[i].user;

		DL_DELETE(user->watches, &watcher->watches[i]);
		if (user->watches)
			continue;
		unwant(user);
		HASH_DEL(user->app->watched, user);
		metrics.watched--;
		free(user);
	}
	if (!watcher->told)
		DL_DELETE(untold, watcher); /* its links confuse the analyzer: NOLINT */
	free(watcher);
}

/*
 * Events
 */

/* The user as that app knows him, if somebody watches and the room is the app's. */
static Watched *
concerned(const App *app, Bytes user_id, Bytes book_id)
{
	return app->watched && bytes_start_with(book_id, bytes_of(app->room_prefix))
			   ? find(app, user_id)
			   : NULL;
}

bool
watchlist_concerns(Bytes user_id, Bytes book_id)
{
	if (metrics.watched == 0)
		return false;
	for (const App *app = apps_first(); app; app = app->next)
		if (concerned(app, user_id, book_id))
			return true;
	return false;
}

void
watchlist_event(const json_t *event)
{
	const char *name = json_string_value(json_object_get(event, "event"));
	Bytes user_id;
	Bytes book_id;

	if (metrics.watched == 0 || !json_get_bytes(event, "user_id", &user_id) ||
		!json_get_bytes(event, "book_id", &book_id))
		return;
	for (const App *app = apps_first(); app; app = app->next)
	{
		Watched *user = concerned(app, user_id, book_id);

		if (!user || strcmp(name, "member_updated") == 0)
			continue;
		if (strcmp(name, "member_added") == 0 && user->known)
		{
			user->asked = false;
			unwant(user);
			set_online(user, true);
		}
		else
			want(user);
	}
}

void
watchlist_unsure(void)
{
	for (const App *app = apps_first(); app; app = app->next)
		for (Watched *user = app->watched; user; user = user->hh.next)
			want(user);
}

/*
 * Asking
 */

static void
free_question(Question *question)
{
	for (int i = 0; i < question->n; i++)
		free(question->user_ids[i]);
	free(question);
}

static Watched *
still_asked(const Question *question, const char *user_id)
{
	Watched *user = find(question->app, bytes_of(user_id));

	return user && user->asked ? user : NULL;
}

/* Once more, later. */
static void
want_again(Question *question)
{
	ask_at = now_ms() + RETRY_MS;
	for (int i = 0; i < question->n; i++)
	{
		Watched *user = still_asked(question, question->user_ids[i]);

		if (user)
			want(user);
	}
}

static void
find_in(const Question *question, const PGresult *result)
{
	for (int i = 0; i < PQntuples(result); i++)
	{
		Watched *user = still_asked(question, PQgetvalue(result, i, 0));

		if (user)
			user->found = true;
	}
}

static void
settle(const Question *question)
{
	for (int i = 0; i < question->n; i++)
	{
		Watched *user = still_asked(question, question->user_ids[i]);

		if (!user)
			continue;
		set_online(user, user->found);
		user->found = user->asked = false;
	}
	tell_lists();
}

static void
answered(const Answers *answers, void *arg)
{
	Question *question = arg;

	asking = false;
	if (answers->problem)
	{
		log_line(LOG_ERROR, "who is online can't be asked: %s", answers->problem);
		want_again(question);
	}
	else
	{
		for (int i = 0; i < answers->n; i++)
			find_in(question, answers->results[i]);
		settle(question);
	}
	free_question(question);
}

static void
ask(void)
{
	Question *question = xcalloc(1, sizeof(Question));
	Buf user_ids = {0};
	Watched *user;
	Watched *next;

	question->app = wanted->app;
	buf_addc(&user_ids, '{');
	DL_FOREACH_SAFE(wanted, user, next)
	{
		if (user->app != question->app)
			continue;
		unwant(user);
		user->asked = true;
		question->user_ids[question->n++] = xstrdup(user->user_id);
		buf_add_element(&user_ids, bytes_of(user->user_id));
		if (question->n == MAX_A_CALL)
			break;
	}
	buf_addc(&user_ids, '}');
	asking = true;
	everywhere_ask(STATEMENT_ONLINE,
				   (const char *const[]){user_ids.data, question->app->room_prefix}, answered,
				   question);
	buf_free(&user_ids);
}

void
watchlist_flush(void)
{
	if (!wanted || asking || !everywhere_connected())
		return;
	if (ask_at > now_ms())
		database_wake_in((int) (ask_at - now_ms()));
	else
		ask();
}

/*
 * databases.c
 *	  All databases: which there are, and what is done with each of them.
 */
#include "database/database.h"

#include "base/log.h"
#include "base/options.h"

#define REFRESH_LEAST_MS 250

Database databases[MAX_DATABASES];

static int known; /* that were there ever */
static uv_loop_t *loop;
static uv_timer_t wake;
static bool refresh_wanted;

Database *
database_next(const Database *database)
{
	for (int i = database->number + 1; i < known; i++)
		if (databases[i].conninfo)
			return &databases[i];
	return NULL;
}

bool
databases_several(void)
{
	return database_next(HOME) != NULL;
}

Database *
database_of_node(const char *node)
{
	for (Database *database = HOME; database; database = database_next(database))
		if (*database->learn.node && strcmp(database->learn.node, node) == 0)
			return database;
	return NULL;
}

const char *
databases_problem(void)
{
	for (Database *database = HOME; database; database = database_next(database))
	{
		const char *problem = database_problem(database);

		if (problem)
			return problem;
	}
	return NULL;
}

/* What the cluster calls it, or else where it was looked for; fit for a label. */
static void
add_label(Buf *out, const Database *database)
{
	const char *name = *database->learn.node ? database->learn.node : database->hosts.name;

	for (; *name; name++)
		buf_addc(out, *name == '"' || *name == '\\' || *name == '\n' ? '_' : *name);
}

void
databases_add_metrics(Buf *out)
{
	if (!databases_several())
		return;
	buf_adds(out, "# HELP presence_gateway_node_up 1 if joins and heartbeats get through there.\n"
				  "# TYPE presence_gateway_node_up gauge\n");
	for (Database *database = HOME; database; database = database_next(database))
	{
		buf_adds(out, "presence_gateway_node_up{node=\"");
		add_label(out, database);
		buf_addf(out, "\"} %d\n", database_problem(database) == NULL);
	}
}

void
databases_refresh(void)
{
	refresh_wanted = true;
	database_wake_in(REFRESH_LEAST_MS);
}

void
databases_tick(void)
{
	int64_t now = now_ms();

	for (Database *database = HOME; database; database = database_next(database))
		database_tick(database, now);
}

/* Whether all that are there have been refreshed lately enough. */
static void
refresh_all(int64_t now)
{
	for (Database *database = HOME; database; database = database_next(database))
		if (database->announced && database->learn.at + REFRESH_LEAST_MS > now)
			return;
	refresh_wanted = false;
	for (Database *database = HOME; database; database = database_next(database))
		if (database->announced)
			learn_refresh(&database->learn);
}

void
databases_flush(void)
{
	if (refresh_wanted && HOME->announced)
		refresh_all(now_ms());
	for (Database *database = HOME; database; database = database_next(database))
		lines_flush(&database->lines);
}

static void
do_nothing(uv_timer_t *timer)
{
	(void) timer;
}

void
database_wake_in(int ms)
{
	if (ms < 1)
		ms = 1;
	if (!uv_is_active((uv_handle_t *) &wake) || uv_timer_get_due_in(&wake) > (uint64_t) ms)
		uv_timer_start(&wake, do_nothing, (uint64_t) ms, 0);
}

/*
 * Beginning and ending
 */

/* How many there are, each a line of --database. */
static int
split(const char *conninfos[MAX_DATABASES])
{
	int n = options_list(options.database, conninfos, MAX_DATABASES);

	if (n > MAX_DATABASES)
		log_line(LOG_ERROR, "--database: there are %d, at most %d are possible", n, MAX_DATABASES);
	if (n == 0)
		conninfos[n++] = ""; /* what libpq finds by itself */
	return n;
}

static bool
connect_all(const char *const *conninfos, int n)
{
	bool ok = true;

	for (int i = 0; i < n; i++)
	{
		if (i == known)
			database_init(&databases[known++], i, loop);
		ok = database_connect(&databases[i], conninfos[i]) && ok;
	}
	return ok;
}

bool
databases_start(uv_loop_t *loop_, const DatabaseEvents *events)
{
	const char *conninfos[MAX_DATABASES];
	int n = split(conninfos);

	loop = loop_;
	database_events = events;
	uv_timer_init(loop, &wake);
	return n <= MAX_DATABASES && connect_all(conninfos, n);
}

void
databases_reload(void)
{
	const char *conninfos[MAX_DATABASES];
	bool were_several = databases_several();
	int n = split(conninfos);

	if (n > MAX_DATABASES)
		return;
	connect_all(conninfos, n);
	for (int i = n; i < known; i++)
	{
		if (databases[i].conninfo)
			log_line(LOG_INFO, "--database has changed: %s is left", databases[i].hosts.name);
		database_leave(&databases[i]);
	}
	if (were_several || databases_several())
		database_events->moved();
}

void
databases_stop(void)
{
	for (int i = 0; i < known; i++)
		database_end(&databases[i]);
	uv_close((uv_handle_t *) &wake, NULL);
}

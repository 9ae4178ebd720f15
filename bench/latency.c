/*
 * latency.c
 *	  latency CHANNEL RATE SECONDS STATEMENT: how long events take to a listener.
 *
 * Executes STATEMENT, a join of the user "latency-$1", at a steady rate on 16
 * connections, and listens on another one; leaves and other users are not its own. An event's
 * latency is the time from the return of its commit to its arrival, 0 if it was there first.
 * Prints the 50th and 99th percentile and the greatest, in ms, and joins a second. One
 * process, one loop; $1 is a number, and arrays go by it.
 */
#define _GNU_SOURCE
#include <libpq-fe.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CONNECTIONS 16
#define GRACE       10 /* seconds for the last events */
#define USER_PREFIX "latency-"

static PGconn *conns[CONNECTIONS];
static int user_of[CONNECTIONS]; /* -1: idle */
static PGconn *listener;
static double *committed;
static double *notified;
static int users;
static int ncommitted;
static int nnotified;

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double) t.tv_sec + (double) t.tv_nsec / 1e9;
}

static void
fail(const char *what)
{
	fprintf(stderr, "latency: %s\n", what);
	exit(1);
}

static void
check(PGconn *conn, PGresult *result)
{
	if (PQresultStatus(result) != PGRES_COMMAND_OK && PQresultStatus(result) != PGRES_TUPLES_OK)
		fail(PQerrorMessage(conn));
	PQclear(result);
}

static PGconn *
open_connection(const char *first, bool prepare)
{
	PGconn *conn = PQconnectdb("");

	if (PQstatus(conn) != CONNECTION_OK)
		fail(PQerrorMessage(conn));
	check(conn, prepare ? PQprepare(conn, "join", first, 0, NULL) : PQexec(conn, first));
	return conn;
}

static void
start_join(int i, int user)
{
	char number[20];
	const char *value = number;

	snprintf(number, sizeof(number), "%d", user);
	if (!PQsendQueryPrepared(conns[i], "join", 1, &value, NULL, NULL, 0))
		fail(PQerrorMessage(conns[i]));
	user_of[i] = user;
}

static void
read_result(int i, double at)
{
	PGresult *result;

	if (!PQconsumeInput(conns[i]))
		fail(PQerrorMessage(conns[i]));
	if (PQisBusy(conns[i]))
		return;
	while ((result = PQgetResult(conns[i])) != NULL)
		check(conns[i], result);
	if (user_of[i] >= 0)
	{
		committed[user_of[i]] = at;
		ncommitted++;
	}
	user_of[i] = -1;
}

static void
read_events(double at)
{
	PGnotify *notify;

	if (!PQconsumeInput(listener))
		fail(PQerrorMessage(listener));
	while ((notify = PQnotifies(listener)) != NULL)
	{
		const char *name = strstr(notify->extra, "\"" USER_PREFIX);

		if (name && strstr(notify->extra, "\"member_added\""))
		{
			int user = atoi(name + strlen("\"" USER_PREFIX));

			if (user < 0 || user >= users || notified[user] != 0)
				fail(notify->extra);
			notified[user] = at;
			nnotified++;
		}
		PQfreemem(notify);
	}
}

/* Waits until a time for whatever comes, and handles it. */
static void
serve(double until)
{
	struct pollfd fds[CONNECTIONS + 1];
	double left = until - now();
	struct timespec timeout = {0};
	double at;

	for (int i = 0; i <= CONNECTIONS; i++)
		fds[i] = (struct pollfd){.fd = PQsocket(i < CONNECTIONS ? conns[i] : listener),
								 .events = POLLIN};
	if (left > 0)
	{
		timeout.tv_sec = (time_t) left;
		timeout.tv_nsec = (long) ((left - (double) timeout.tv_sec) * 1e9);
	}
	if (ppoll(fds, CONNECTIONS + 1, &timeout, NULL) <= 0)
		return;
	at = now();
	for (int i = 0; i < CONNECTIONS; i++)
		if (fds[i].revents)
			read_result(i, at);
	if (fds[CONNECTIONS].revents)
		read_events(at);
}

static int
idle_connection(void)
{
	for (int i = 0; i < CONNECTIONS; i++)
		if (user_of[i] < 0)
			return i;
	return -1;
}

static int
compare(const void *a, const void *b)
{
	double x = *(const double *) a;
	double y = *(const double *) b;

	return (x > y) - (x < y);
}

int
main(int argc, char **argv)
{
	double rate = argc == 5 ? atof(argv[2]) : 0;
	double *latency;
	char listen[100];
	double start;
	double took;

	users = argc == 5 ? (int) (rate * atof(argv[3])) : 0;
	if (users <= 0)
		fail("usage: latency CHANNEL RATE SECONDS STATEMENT");
	committed = calloc((size_t) users, sizeof(double));
	notified = calloc((size_t) users, sizeof(double));
	latency = calloc((size_t) users, sizeof(double));

	snprintf(listen, sizeof(listen), "LISTEN %s", argv[1]);
	listener = open_connection(listen, false);
	for (int i = 0; i < CONNECTIONS; i++)
	{
		conns[i] = open_connection(argv[4], true);
		user_of[i] = -1;
	}

	start = now();
	for (int user = 0; user < users; user++)
	{
		double due = start + user / rate;

		while (now() < due || idle_connection() < 0)
			serve(idle_connection() < 0 ? now() + 1 : due);
		start_join(idle_connection(), user);
	}
	while (ncommitted < users)
		serve(now() + 1);
	took = now() - start;
	while (nnotified < users && now() < start + took + GRACE)
		serve(now() + 1);
	if (nnotified < users)
		fail("events are missing");

	for (int user = 0; user < users; user++)
		latency[user] =
			notified[user] > committed[user] ? (notified[user] - committed[user]) * 1000 : 0;
	qsort(latency, (size_t) users, sizeof(double), compare);
	printf("%.2f %.2f %.2f %.0f\n", latency[users / 2], latency[(long) users * 99 / 100],
		   latency[users - 1], users / took);
	return 0;
}

/*
 * listen.c
 *	  listen CHANNEL...: reads notifications and counts those of the first channel.
 *
 * Prints "listening", and after the payload "end" the number of events and
 * of resyncs that came. The connection is that of the PG* variables.
 */
#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void
fail(PGconn *conn)
{
	fprintf(stderr, "listen: %s", PQerrorMessage(conn));
	exit(1);
}

int
main(int argc, char **argv)
{
	PGconn *conn = PQconnectdb("");
	long events = 0;
	long resyncs = 0;

	if (PQstatus(conn) != CONNECTION_OK)
		fail(conn);
	for (int i = 1; i < argc; i++)
	{
		char command[100];
		PGresult *result;

		snprintf(command, sizeof(command), "LISTEN %s", argv[i]);
		result = PQexec(conn, command);
		if (PQresultStatus(result) != PGRES_COMMAND_OK)
			fail(conn);
		PQclear(result);
	}
	puts("listening");
	fflush(stdout);

	for (;;)
	{
		struct pollfd fd = {.fd = PQsocket(conn), .events = POLLIN};
		PGnotify *notify;

		poll(&fd, 1, -1);
		if (!PQconsumeInput(conn))
			fail(conn);
		while ((notify = PQnotifies(conn)) != NULL)
		{
			if (strcmp(notify->extra, "end") == 0)
			{
				printf("%ld %ld\n", events, resyncs);
				return 0;
			}
			if (strstr(notify->extra, "\"resync\""))
				resyncs++;
			else if (strcmp(notify->relname, argv[1]) == 0)
				events++;
			PQfreemem(notify);
		}
	}
}

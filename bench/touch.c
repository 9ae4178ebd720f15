/*
 * touch.c
 *	  touch CONNECTIONS SECONDS: heartbeats as a gateway sends them, 1,000 a call.
 *
 * The handles are read from standard input, one a line, and go out in binary. Each
 * connection is a process and has its share of them. Prints heartbeats a second, counted
 * after one call each. The database is that of the PG* variables.
 */
#include <arpa/inet.h>
#include <libpq-fe.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BATCH       1000
#define MAX_HANDLES 1000000
#define INT8_OID    20
#define ARRAY_OID   1016
#define EMPTY_ARRAY 12 /* bytes: no dimensions, no nulls, the element's type */

static int64_t handles[MAX_HANDLES];

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double) t.tv_sec + (double) t.tv_nsec / 1e9;
}

static char *
put(char *at, uint32_t value)
{
	value = htonl(value);
	memcpy(at, &value, sizeof(value));
	return at + sizeof(value);
}

/* An array of BATCH elements in PostgreSQL's binary format; returns its length. */
static int
bigint_array(char *buffer, const int64_t *values)
{
	char *at = buffer;

	at = put(at, 1); /* dimensions */
	at = put(at, 0); /* nulls */
	at = put(at, INT8_OID);
	at = put(at, BATCH);
	at = put(at, 1); /* lower bound */
	for (int i = 0; i < BATCH; i++)
	{
		at = put(at, 8);
		at = put(at, (uint32_t) ((uint64_t) values[i] >> 32));
		at = put(at, (uint32_t) values[i]);
	}
	return (int) (at - buffer);
}

static void
touch(PGconn *conn, const int64_t *batch)
{
	static char buffer[20 + 12 * BATCH];
	const char *value = buffer;
	int length = bigint_array(buffer, batch);
	int format = 1;
	PGresult *result = PQexecPrepared(conn, "touch", 1, &value, &length, &format, 1);

	if (PQresultStatus(result) != PGRES_TUPLES_OK || PQgetlength(result, 0, 0) != EMPTY_ARRAY)
	{
		fprintf(stderr, "touch: %s\n",
				PQresultStatus(result) == PGRES_TUPLES_OK ? "a connection is unknown"
														  : PQerrorMessage(conn));
		exit(1);
	}
	PQclear(result);
}

/* One connection; its rate goes to the pipe. */
static void
run(const int64_t *own, int batches, double seconds, int out)
{
	const Oid type = ARRAY_OID;
	PGconn *conn = PQconnectdb("");
	long calls = 0;
	double start;
	double rate;

	PQclear(PQprepare(conn, "touch", "SELECT presence.touch($1)", 1, &type));
	touch(conn, own);
	start = now();
	while (now() < start + seconds)
		touch(conn, own + calls++ % batches * BATCH);
	rate = (double) calls * BATCH / (now() - start);
	if (write(out, &rate, sizeof(rate)) != sizeof(rate))
		exit(1);
	PQfinish(conn);
	exit(0);
}

int
main(int argc, char **argv)
{
	int connections = argc == 3 ? atoi(argv[1]) : 0;
	double seconds = argc == 3 ? atof(argv[2]) : 0;
	double total = 0;
	double rate;
	int batches;
	int n = 0;
	int out[2];

	while (n < MAX_HANDLES && scanf("%ld", &handles[n]) == 1)
		n++;
	batches = connections > 0 ? n / BATCH / connections : 0;
	if (batches == 0 || pipe(out) != 0)
	{
		fputs("usage: touch CONNECTIONS SECONDS <handles, 1,000 a connection or more\n", stderr);
		return 1;
	}
	for (int i = 0; i < connections; i++)
		if (fork() == 0)
			run(handles + (ptrdiff_t) i * batches * BATCH, batches, seconds, out[1]);
	close(out[1]);
	for (int i = 0; i < connections; i++)
	{
		if (read(out[0], &rate, sizeof(rate)) != sizeof(rate))
			return 1;
		total += rate;
	}
	while (wait(NULL) > 0)
		;
	printf("%.0f\n", total);
	return 0;
}

/*
 * heartbeat.c
 *	  heartbeat CONNECTIONS SECONDS [SOCKET]: heartbeats as a gateway sends them.
 *
 * Without SOCKET to presence.touch(), 1,000 a call, the handles in binary; the
 * database is that of the PG* variables. With it to the Redis there, as ZADD of the
 * time in ms, 100 a pipeline. The handles are read from standard input, one a line. Each
 * connection is a process and has its share of them. Prints heartbeats a second,
 * counted after one batch each.
 */
#include <arpa/inet.h>
#include <libpq-fe.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BATCH       1000
#define PIPELINE    100
#define MAX_COMMAND 120
#define REPLY       4 /* bytes: ":0\r\n", a member that is there already */
#define MAX_HANDLES 1000000
#define INT8_OID    20
#define ARRAY_OID   1016
#define EMPTY_ARRAY 12 /* bytes: no dimensions, no nulls, the element's type */

static int64_t handles[MAX_HANDLES];

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (double) t.tv_sec + (double) t.tv_nsec / 1e9;
}

static void
fail(const char *what)
{
	fprintf(stderr, "heartbeat: %s\n", what);
	exit(1);
}

static PGconn *
connect_postgres(void)
{
	const Oid type = ARRAY_OID;
	PGconn *conn = PQconnectdb("");

	PQclear(PQprepare(conn, "touch", "SELECT presence.touch($1)", 1, &type));
	return conn;
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
touch_postgres(PGconn *conn, const int64_t *batch)
{
	static char buffer[20 + 12 * BATCH];
	const char *value = buffer;
	int length = bigint_array(buffer, batch);
	int format = 1;
	PGresult *result = PQexecPrepared(conn, "touch", 1, &value, &length, &format, 1);

	if (PQresultStatus(result) != PGRES_TUPLES_OK)
		fail(PQerrorMessage(conn));
	if (PQgetlength(result, 0, 0) != EMPTY_ARRAY)
		fail("a connection is unknown");
	PQclear(result);
}

static int
connect_redis(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (connect(fd, (struct sockaddr *) &address, sizeof(address)) != 0)
		fail("no Redis");
	return fd;
}

/*
 * Redis' members are numbers of twelve digits, not the handles, which are longer. The first
 * time the members are added, which has another reply of the same length.
 */
static void
touch_redis(int fd, const int64_t *batch)
{
	static char buffer[PIPELINE * MAX_COMMAND];
	long long score = (long long) (now() * 1000);

	for (int i = 0; i < BATCH; i += PIPELINE)
	{
		int length = 0;
		int left = PIPELINE * REPLY;

		for (int j = i; j < i + PIPELINE; j++)
			length += snprintf(buffer + length, MAX_COMMAND,
							   "*4\r\n$4\r\nZADD\r\n$10\r\nheartbeats\r\n$13\r\n%013lld\r\n"
							   "$12\r\n%012lld\r\n",
							   score, (long long) (batch + j - handles));
		for (int sent = 0; sent < length;)
		{
			ssize_t n = write(fd, buffer + sent, (size_t) (length - sent));

			if (n <= 0)
				fail("Redis has gone");
			sent += (int) n;
		}
		while (left > 0)
		{
			ssize_t n = read(fd, buffer, (size_t) left);

			if (n <= 0 || memchr(buffer, '-', (size_t) n))
				fail("Redis refuses");
			left -= (int) n;
		}
	}
}

/* One connection; its rate goes to the pipe. */
static void
run(const int64_t *own, int batches, double seconds, const char *redis_path, int out)
{
	PGconn *postgres = redis_path ? NULL : connect_postgres();
	int redis = redis_path ? connect_redis(redis_path) : -1;
	double start = 0;
	double rate;
	long calls = 0;

	do
	{
		const int64_t *batch = own + calls % batches * BATCH;

		if (redis_path)
			touch_redis(redis, batch);
		else
			touch_postgres(postgres, batch);
		if (calls++ == 0)
			start = now();
	} while (now() < start + seconds);
	rate = (double) (calls - 1) * BATCH / (now() - start);
	if (write(out, &rate, sizeof(rate)) != sizeof(rate))
		exit(1);
	exit(0);
}

int
main(int argc, char **argv)
{
	int connections = argc >= 3 ? atoi(argv[1]) : 0;
	double seconds = argc >= 3 ? atof(argv[2]) : 0;
	double total = 0;
	double rate;
	int batches;
	int n = 0;
	int out[2];

	while (n < MAX_HANDLES && scanf("%ld", &handles[n]) == 1)
		n++;
	batches = connections > 0 ? n / BATCH / connections : 0;
	if (batches == 0 || pipe(out) != 0)
		fail("usage: heartbeat CONNECTIONS SECONDS [SOCKET] <handles, 1,000 a connection or more");
	for (int i = 0; i < connections; i++)
		if (fork() == 0)
			run(handles + (ptrdiff_t) i * batches * BATCH, batches, seconds,
				argc > 3 ? argv[3] : NULL, out[1]);
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

/*
 * views.c
 *	  The set-returning functions that the views for psql stand on: one pass each.
 *
 * Errors: none of their own. On a standby no connection is known.
 */
#include "postgres.h"

#include "access/xlog.h"
#include "funcapi.h"
#include "utils/builtins.h"

#include "connections.h"
#include "store.h"

PG_FUNCTION_INFO_V1(presence_connection_list);
PG_FUNCTION_INFO_V1(presence_liveness_list);

static void
put_connection(ReturnSetInfo *rsinfo, const Connection *connection)
{
	Datum values[] = {PointerGetDatum(connection->member.book_id),
					  PointerGetDatum(connection->member.user_id),
					  PointerGetDatum(connection->connection_id),
					  Int64GetDatum(connection->handle),
					  Int64GetDatum(connection->presence.id),
					  store_interval(connection->ttl),
					  TimestampTzGetDatum(connection->last_active),
					  TimestampTzGetDatum(connection->lease_end),
					  0};
	bool nulls[lengthof(values)] = {false};

	nulls[8] = connection->stand_in == NO_STAND_IN;
	if (!nulls[8])
		values[8] = CStringGetTextDatum(connection->stand_in == STAND_IN_LEFT ? "left" : "timeout");
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/* connection_list(): the view presence.connections */
Datum
presence_connection_list(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Connection *connections;
	int64 n;
	Store store;

	InitMaterializedSRF(fcinfo, 0);
	store_open(&store, STORE_READ, "presence.connections");
	connections = connections_all(&n);
	for (int64 i = 0; i < n; i++)
		put_connection(rsinfo, &connections[i]);
	store_close(&store);
	return (Datum) 0;
}

static void
put_sum(ReturnSetInfo *rsinfo, const Liveness *sum)
{
	Datum values[] = {Int64GetDatum(sum->presence.id), Int32GetDatum(sum->live),
					  TimestampTzGetDatum(sum->last_active), BoolGetDatum(sum->alive)};
	bool nulls[lengthof(values)] = {false};

	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/* liveness_list(): for each presence that something holds, what the view presence.online shows */
Datum
presence_liveness_list(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Liveness *sums;
	int64 n;
	Store store;

	InitMaterializedSRF(fcinfo, 0);
	store_open(&store, STORE_READ, "presence.online");
	sums = connections_sums(moment_now(), &n);
	for (int64 i = 0; i < n; i++)
		put_sum(rsinfo, &sums[i]);
	store_close(&store);
	return (Datum) 0;
}

/*
 * access.c
 *	  The SQL functions that give a role what its task needs.
 *
 * A new installation gives PUBLIC nothing. Roles get functions and, to monitor,
 * views; never a table. The GRANTs run as the caller, who must own the extension.
 */
#include "postgres.h"

#include "commands/extension.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "tcop/utility.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(presence_grant_app);
PG_FUNCTION_INFO_V1(presence_grant_gateway);
PG_FUNCTION_INFO_V1(presence_grant_monitor);
PG_FUNCTION_INFO_V1(presence_grant_for_good);

/* An application server: rooms of its users, its Pusher endpoints, deleting its users and books. */
static const char app_functions[] = "presence.join_room, presence.leave_room, "
									"presence.touch_room, presence.poll_room, "
									"presence.poll_room_changes, "
									"presence.pusher_auth_signature, "
									"presence.pusher_authorize_channel, "
									"presence.pusher_authenticate_user, "
									"presence.pusher_shared_secret, "
									"presence.pusher_sign_request, "
									"presence.pusher_verify_webhook, "
									"presence.pusher_apply_webhook, "
									"presence.forget_user, presence.forget_book, "
									"presence.on_delete_forget";

static const char read_functions[] = "presence.room_members, presence.member_count, "
									 "presence.user_rooms, presence.members_at, "
									 "presence.peak_members, presence.time_in_room, "
									 "presence.online_users, presence.last_seen, "
									 "presence.largest_rooms, presence.busiest_hours, "
									 "presence.average_stay, presence.peak_members_by_day, "
									 "presence.room_node, presence.on_all_nodes, "
									 "presence.is_sharded, presence.shards, presence.query_as_json";

/* Many connections at once, and the secrets to verify signatures with. */
static const char gateway_functions[] = "presence.join_rooms, presence.drop_connections, "
										"presence.touch, presence.sweep, presence.pusher_apps, "
										"presence.event_key, presence.cache_events, "
										"presence.cached_events, presence.purge_cache, "
										"presence.report_channels, "
										"presence.channel_counts, presence.occupied_channels, "
										"presence.webhook_emit, presence.webhook_take, "
										"presence.webhook_done, presence.webhook_tidy";

/* Its list of a room's members has their presence ids. */
static const char gateway_views[] = "presence.online";

static const char monitor_functions[] = "presence.liveness, presence.statistics, presence.memory, "
										"presence.liveness_list, presence.connection_list, "
										"presence.check";
static const char monitor_views[] = "presence.online, presence.rooms, presence.connections, "
									"presence.stats";

static void
spi_connect(void)
{
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
}

static void
spi_execute(const char *command)
{
	if (SPI_execute(command, false, 0) != SPI_OK_UTILITY)
		elog(ERROR, "could not execute \"%s\"", command);
}

static void
spi_finish(void)
{
	if (SPI_finish() != SPI_OK_FINISH)
		elog(ERROR, "SPI_finish failed");
}

static void
grant(const char *privilege, const char *kind, const char *objects, const char *role)
{
	spi_execute(psprintf("GRANT %s ON %s %s TO %s", privilege, kind, objects, role));
}

/* Starts the grants; returns the quoted name of the role. */
static const char *
begin_grants(FunctionCallInfo fcinfo, const char *function)
{
	const char *role = quote_identifier(GetUserNameFromId(PG_GETARG_OID(0), false));

	PreventCommandDuringRecovery(function);
	PreventCommandIfReadOnly(function);
	spi_connect();
	grant("USAGE", "SCHEMA", "presence", role);
	return role;
}

/* grant_app(role) */
Datum
presence_grant_app(PG_FUNCTION_ARGS)
{
	const char *role = begin_grants(fcinfo, "presence.grant_app()");

	grant("EXECUTE", "FUNCTION", app_functions, role);
	grant("EXECUTE", "FUNCTION", read_functions, role);
	spi_finish();
	PG_RETURN_VOID();
}

/* grant_gateway(role) */
Datum
presence_grant_gateway(PG_FUNCTION_ARGS)
{
	const char *role = begin_grants(fcinfo, "presence.grant_gateway()");

	grant("EXECUTE", "FUNCTION", app_functions, role);
	grant("EXECUTE", "FUNCTION", read_functions, role);
	grant("EXECUTE", "FUNCTION", gateway_functions, role);
	grant("EXECUTE", "FUNCTION", "presence.liveness, presence.liveness_list", role);
	grant("SELECT", "TABLE", gateway_views, role);
	spi_finish();
	PG_RETURN_VOID();
}

/* grant_monitor(role) */
Datum
presence_grant_monitor(PG_FUNCTION_ARGS)
{
	const char *role = begin_grants(fcinfo, "presence.grant_monitor()");

	grant("EXECUTE", "FUNCTION", read_functions, role);
	grant("EXECUTE", "FUNCTION", monitor_functions, role);
	grant("SELECT", "TABLE", monitor_views, role);
	spi_finish();
	PG_RETURN_VOID();
}

/*
 * grant_for_good(statement): for the extension's scripts. What a script grants is taken for a part
 * of the extension, which pg_dump leaves out; a GRANT that a script carries over is none.
 */
Datum
presence_grant_for_good(PG_FUNCTION_ARGS)
{
	char *statement = text_to_cstring(PG_GETARG_TEXT_PP(0));

	if (!creating_extension)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("grant_for_good() is for the scripts of the extension")));
	spi_connect();
	creating_extension = false;
	PG_TRY();
	{
		spi_execute(statement);
	}
	PG_FINALLY();
	{
		creating_extension = true;
	}
	PG_END_TRY();
	spi_finish();
	PG_RETURN_VOID();
}

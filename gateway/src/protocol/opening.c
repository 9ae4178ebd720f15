/*
 * opening.c
 *	  Who wants to connect: let in, or refused in the words of the protocol.
 */
#include "protocol/opening.h"

#include "base/metrics.h"
#include "base/options.h"
#include "rooms/socket.h"

static bool draining;

void
opening_drain(void)
{
	draining = true;
}

int
opening_upgrades(Conn *conn, Request *request, const char **why)
{
	(void) request;
	*why = draining ? "this server is going away" : "there is nothing here";
	return draining ? 503 : conn->admin ? 404 : 0;
}

/* "7", or another digit that is a version of old */
static int
refuse_version(Bytes version, const char **reason)
{
	*reason = version.len == 0 ? "No protocol version supplied"
			  : version.len != 1 || *version.data < '0' || *version.data > '9'
				  ? "Invalid version string format"
				  : "Unsupported protocol version";
	if (version.len == 0)
		return CLOSE_NO_VERSION;
	if (version.len != 1 || *version.data < '0' || *version.data > '9')
		return CLOSE_BAD_VERSION;
	return *version.data < '5' || *version.data > '7' ? CLOSE_UNSUPPORTED : 0;
}

/* "https", or the last of a list that proxies made. */
static bool
says_tls(Bytes proto)
{
	const char *comma = proto.len ? memrchr(proto.data, ',', proto.len) : NULL;
	Bytes last = comma ? (Bytes){comma + 1, proto.len - (size_t) (comma + 1 - proto.data)} : proto;

	while (last.len && *last.data == ' ')
		last = (Bytes){last.data + 1, last.len - 1};
	return bytes_equal(last, BYTES("https")) || bytes_equal(last, BYTES("wss"));
}

/* By our own TLS, or that of a proxy who tells. */
static bool
came_by_tls(const Request *request)
{
	const Conn *conn = request->conn;

	return conn->tls || (conn->proxied && says_tls(request->head.forwarded_proto));
}

static int
refuse_key(const AppKey *key, const Request *request, const char **reason)
{
	if (!apps_known())
	{
		*reason = "This server is not ready";
		return CLOSE_OVER_CAPACITY;
	}
	if (!key)
	{
		*reason = "Application key does not exist";
		return CLOSE_UNKNOWN_APP;
	}
	if (!key->enabled)
	{
		*reason = "Application disabled";
		return CLOSE_APP_DISABLED;
	}
	if (key->require_tls && !came_by_tls(request))
	{
		*reason = "Application only accepts SSL connections, reconnect using wss://";
		return CLOSE_TLS_ONLY;
	}
	if (!app_key_allows(key, request->head.origin))
	{
		*reason = "Origin not allowed";
		return CLOSE_UNAUTHORIZED;
	}
	if (key->max_connections > 0 && key->connections >= (unsigned) key->max_connections)
	{
		*reason = "Application is over connection quota";
		return CLOSE_APP_QUOTA;
	}
	*reason = "Too many connections";
	return metrics.sockets >= (uint64_t) options.max_sockets ? CLOSE_OVER_CAPACITY : 0;
}

static int
refusal(const Request *request, AppKey **key, const char **reason)
{
	Bytes path = bytes_of(request->path);
	Bytes prefix = BYTES("/app/");
	int code;

	if (!bytes_start_with(path, prefix) || path.len == prefix.len)
	{
		*reason = "Path not found";
		return CLOSE_PATH_NOT_FOUND;
	}
	code = refuse_version(web_arg(request, "protocol"), reason);
	if (code)
		return code;
	*key = app_key_find((Bytes){path.data + prefix.len, path.len - prefix.len});
	return refuse_key(*key, request, reason);
}

void
opening_opened(Conn *conn, Request *request)
{
	const char *reason = NULL;
	AppKey *key = NULL;
	int code = refusal(request, &key, &reason);
	Socket *socket = socket_open(conn, code ? NULL : key);
	Buf data = {0};

	if (code)
	{
		metrics.refused++;
		socket_close(socket, code, reason);
		return;
	}
	metrics.opened++;
	buf_addf(&data, "{\"socket_id\":\"%s\",\"activity_timeout\":%d}", socket->id,
			 socket_activity_timeout());
	socket_send_own(
		socket, frame_event(BYTES("pusher:connection_established"), (Bytes){0}, buf_bytes(&data)));
	buf_free(&data);
}

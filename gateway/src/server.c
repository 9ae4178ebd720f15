/*
 * server.c
 *	  libwebsockets: what it calls, and what is called of it.
 */
#include "server.h"

#include <libwebsockets.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "api.h"
#include "http.h"
#include "log.h"
#include "options.h"
#include "protocol.h"
#include "socket.h"

#define HEADER_SECONDS 10
#define IDLE_SECONDS   30 /* of a connection between requests */
#define OTHER_FDS      256

/* What libwebsockets keeps for a connection: one of the two. */
typedef struct Peer
{
	Socket *socket;
	Request *request;
} Peer;

static struct lws_context *context;
static bool draining;

static Bytes
copy_header(struct lws *wsi, enum lws_token_indexes token, char *buf, int size)
{
	int len = lws_hdr_copy(wsi, buf, size, token);

	return (Bytes){buf, len > 0 ? (size_t) len : 0};
}

static int
opened(struct lws *wsi, Peer *peer)
{
	char path[256];
	char version[16];
	const char *value;

	/* A stream of HTTP/2 would need its frames wrapped; nobody is offered one. */
	if (lws_get_network_wsi(wsi) != wsi)
		return -1;
	value = lws_get_urlarg_by_name(wsi, "protocol=", version, sizeof(version));
	peer->socket = protocol_open(wsi, copy_header(wsi, WSI_TOKEN_GET_URI, path, sizeof(path)),
								 value ? bytes_of(value) : (Bytes){0}, draining);
	return 0;
}

/* A message comes in parts, as it is cut by the peer and by our buffer. */
static int
received(struct lws *wsi, Socket *socket, const char *data, size_t len)
{
	bool last = lws_is_final_fragment(wsi) && lws_remaining_packet_payload(wsi) == 0;

	if (socket->closing)
		return 0;
	if (socket->in.len + len > (size_t) options.max_message)
		socket_close(socket, CLOSE_TOO_LARGE, "The message is too large");
	else if (last && socket->in.len == 0)
		protocol_message(socket, (Bytes){data, len});
	else
	{
		buf_add(&socket->in, data, len);
		if (last)
		{
			Buf whole = socket->in;

			socket->in = (Buf){0};
			protocol_message(socket, buf_bytes(&whole));
			buf_free(&whole);
		}
	}
	return 0;
}

/*
 * An answer waits for the whole body, whatever the method: libwebsockets 4.1 turns for ever if a
 * request is completed while a part of its body is still to come.
 */
static int
requested(struct lws *wsi, Peer *peer, const char *path)
{
	bool post = lws_hdr_total_length(wsi, WSI_TOKEN_POST_URI) > 0;
	char length[24] = "";

	if (!post && lws_hdr_total_length(wsi, WSI_TOKEN_GET_URI) == 0)
	{
		lws_return_http_status(wsi, HTTP_STATUS_METHOD_NOT_ALLOWED, NULL);
		return -1;
	}
	peer->request = http_begin(wsi, path, post);
	if (!peer->request)
		return -1;
	copy_header(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH, length, sizeof(length));
	if (strtoll(length, NULL, 10) == 0)
		http_complete(peer->request);
	return 0;
}

static int
callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
	Peer *peer = user;

	switch (reason)
	{
		case LWS_CALLBACK_ESTABLISHED:
			return opened(wsi, peer);
		case LWS_CALLBACK_RECEIVE:
			return peer->socket ? received(wsi, peer->socket, in, len) : -1;
		case LWS_CALLBACK_SERVER_WRITEABLE:
			return peer->socket ? socket_writable(peer->socket) : -1;
		case LWS_CALLBACK_CLOSED:
			if (peer->socket)
				socket_closed(peer->socket);
			peer->socket = NULL;
			return 0;

		case LWS_CALLBACK_HTTP:
			return requested(wsi, peer, in);
		case LWS_CALLBACK_HTTP_BODY:
			if (peer->request)
				http_body(peer->request, in, len);
			return 0;
		case LWS_CALLBACK_HTTP_BODY_COMPLETION:
			if (peer->request)
				http_complete(peer->request);
			return 0;
		case LWS_CALLBACK_HTTP_WRITEABLE:
			return peer->request ? http_writable(&peer->request) : 0;
		case LWS_CALLBACK_CLOSED_HTTP:
		case LWS_CALLBACK_HTTP_DROP_PROTOCOL:
			if (peer && peer->request)
			{
				http_closed(peer->request);
				peer->request = NULL;
			}
			return 0;
		default:
			return lws_callback_http_dummy(wsi, reason, user, in, len);
	}
}

static void
emit(int level, const char *line)
{
	size_t len = strlen(line);

	log_line(level == LLL_ERR ? LOG_ERROR : LOG_DEBUG, "libwebsockets: %.*s",
			 (int) (len > 0 && line[len - 1] == '\n' ? len - 1 : len), line);
}

/* A socket is a file descriptor. libwebsockets sizes its tables by the limit, so not more than
 * needed. */
static void
limit_files(void)
{
	struct rlimit limit;
	rlim_t wanted = (rlim_t) options.max_sockets + OTHER_FDS;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	if (limit.rlim_max != RLIM_INFINITY && wanted > limit.rlim_max)
	{
		log_line(LOG_WARNING, "the system allows %llu files, too few for %d clients",
				 (unsigned long long) limit.rlim_max, options.max_sockets);
		wanted = limit.rlim_max;
	}
	limit.rlim_cur = wanted;
	setrlimit(RLIMIT_NOFILE, &limit);
}

bool
server_start(uv_loop_t *loop)
{
	/* Small to read into, so that a client costs little; large to write from. */
	static const struct lws_protocols protocols[] = {{.name = "pusher",
													  .callback = callback,
													  .per_session_data_size = sizeof(Peer),
													  .rx_buffer_size = 1024,
													  .tx_packet_size = 128 * 1024},
													 {0}};
	void *loops[] = {loop};
	struct lws_context_creation_info info = {
		.port = options.listen_port,
		.iface = options.listen_host,
		.protocols = protocols,
		.foreign_loops = loops,
		.options = LWS_SERVER_OPTION_LIBUV |
				   LWS_SERVER_OPTION_HTTP_HEADERS_SECURITY_BEST_PRACTICES_ENFORCE,
		.timeout_secs = HEADER_SECONDS,
		.keepalive_timeout = IDLE_SECONDS,
		.server_string = "presence-gateway",
		.alpn = "http/1.1",
		.gid = (gid_t) -1,
		.uid = (uid_t) -1,
	};
	struct lws_vhost *vhost;

	limit_files();
	lws_set_log_level(LLL_ERR | LLL_WARN, emit);
	if (options.tls_cert)
	{
		info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
		info.ssl_cert_filepath = options.tls_cert;
		info.ssl_private_key_filepath = options.tls_key;
	}
	context = lws_create_context(&info);
	vhost = context ? lws_get_vhost_by_name(context, "default") : NULL;
	if (!vhost || lws_get_vhost_listen_port(vhost) <= 0)
	{
		log_line(LOG_ERROR, "can't listen on %s:%d",
				 options.listen_host ? options.listen_host : "*", options.listen_port);
		return false;
	}
	log_line(LOG_INFO, "listening on %s:%d%s", options.listen_host ? options.listen_host : "*",
			 lws_get_vhost_listen_port(vhost), options.tls_cert ? " (TLS)" : "");
	return true;
}

static void
send_elsewhere(Socket *socket, void *arg)
{
	(void) arg;
	socket_close(socket, CLOSE_RECONNECT, "This server is going away");
}

void
server_drain(void)
{
	draining = true;
	api_drain();
	sockets_each(send_elsewhere, NULL);
}

void
server_stop(void)
{
	lws_context_destroy(context);
}

/*
 * libwebsockets' own timer keeps the loop alive for a second or two after all is closed; we
 * give what closes a few turns instead, then have it freed.
 */
bool
server_closing(void)
{
	static int turns = 10;

	if (--turns == 0)
		lws_context_destroy(context);
	return turns > 0;
}

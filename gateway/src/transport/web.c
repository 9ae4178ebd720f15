/*
 * web.c
 *	  HTTP requests and their answers, and how one becomes a WebSocket.
 */
#include "transport/web.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/metrics.h"
#include "base/options.h"
#include "transport/listener.h"

#define FINAL_LEN 1000 /* of the text that says why */

#define CORS "Access-Control-Allow-Origin: *\r\n"

const WebHandler *web_handler;

static const ConnHandler websocket;

/*
 * Answers
 */

/* Takes the buffer. */
static void
send_part(Conn *conn, Buf *part)
{
	Frame *frame = frame_take(part);

	conn_send_last(conn, frame);
	frame_unref(frame);
}

/* more: bytes that follow the text. */
static void
send_answer(Conn *conn, int status, const char *content_type, Bytes text, const char *headers,
			bool head_only, bool keep_alive, size_t more)
{
	Buf out = {0};

	buf_addf(&out, "HTTP/1.1 %d %s\r\n", status, http_reason(status));
	if (content_type)
		buf_addf(&out, "Content-Type: %s\r\n", content_type);
	if (status != 204)
		buf_addf(&out, "Content-Length: %zu\r\n", text.len + more);
	buf_addf(&out, "%s" CORS "Connection: %s\r\n\r\n", headers ? headers : "",
			 keep_alive ? "keep-alive" : "close");
	if (!head_only && status != 204)
		buf_add(&out, text.data, text.len);
	send_part(conn, &out);
}

/* False: nobody waits for it any more. */
static bool
begin_answer(Request *request)
{
	Conn *conn = request->conn;

	if (!conn)
	{
		request_free(request);
		return false;
	}
	request->answered = true;
	conn->owner = NULL;
	return true;
}

/* A request that is not read to its end leaves the connection at no known place: it ends. */
static void
end_answer(Request *request, bool keep)
{
	Conn *conn = request->conn;

	request_free(request);
	if (!keep)
	{
		conn_end(conn);
		return;
	}
	conn_wait(conn, WAIT_IDLE);
	conn_resume(conn);
}

static bool
stays(const Request *request)
{
	return request->read && request->head.keep_alive;
}

static bool
wants_head(const Request *request)
{
	return bytes_equal(request->head.method, BYTES("HEAD"));
}

void
web_answer(Request *request, int status, const char *content_type, Bytes text, const char *headers)
{
	if (!begin_answer(request))
		return;
	send_answer(request->conn, status, content_type, text, headers, wants_head(request),
				stays(request), 0);
	end_answer(request, stays(request));
}

void
web_answer_parts(Request *request, const char *content_type, Buf *parts, int n)
{
	bool there = begin_answer(request);
	bool all = there && !wants_head(request);
	size_t len = 0;

	for (int i = 0; i < n; i++)
		len += parts[i].len;
	if (there)
		send_answer(request->conn, 200, content_type, (Bytes){0}, NULL, false, stays(request), len);
	for (int i = 0; i < n; i++)
		if (all && parts[i].len > 0)
			send_part(request->conn, &parts[i]);
		else
			buf_free(&parts[i]);
	if (there)
		end_answer(request, stays(request));
}

static void
refuse(Request *request, int status, const char *why)
{
	char text[FINAL_LEN];

	metrics.http_refused++;
	snprintf(text, sizeof(text), "%s\n", why ? why : http_reason(status));
	web_answer(request, status, "text/plain", bytes_of(text),
			   status == 405   ? "Allow: GET, HEAD, POST, OPTIONS\r\n"
			   : status == 426 ? "Sec-WebSocket-Version: 13\r\n"
			   : status == 503 ? "Retry-After: 1\r\n"
							   : NULL);
}

static void
answer_options(Request *request)
{
	Buf headers = {0};

	buf_adds(&headers, "Allow: GET, HEAD, POST, OPTIONS\r\n"
					   "Access-Control-Allow-Methods: GET, HEAD, POST, OPTIONS\r\n"
					   "Access-Control-Max-Age: 600\r\n");
	if (request->head.request_headers.len)
		buf_addf(&headers, "Access-Control-Allow-Headers: %.*s\r\n",
				 (int) request->head.request_headers.len, request->head.request_headers.data);
	web_answer(request, 204, NULL, (Bytes){0}, headers.data);
	buf_free(&headers);
}

/*
 * Who asks: the last address of X-Forwarded-For that is no proxy of ours.
 */

static void
learn_address(Conn *conn, Bytes list)
{
	Ip ip;

	while (list.len > 0)
	{
		const char *comma = memrchr(list.data, ',', list.len);
		Bytes last = comma ? (Bytes){comma + 1, list.len - (size_t) (comma - list.data) - 1} : list;

		while (last.len > 0 && *last.data == ' ')
			last = (Bytes){last.data + 1, last.len - 1};
		while (last.len > 0 && last.data[last.len - 1] == ' ')
			last.len--;
		if (!ip_parse(last, &ip))
			return;
		conn->ip = ip;
		if (!ip_in(&ip, options.proxies))
			return;
		list.len = comma ? (size_t) (comma - list.data) : 0;
	}
}

/*
 * Upgrade
 */

/* Who comes through a proxy counts for his own address, if that is told. */
static bool
count_for_address(Conn *conn)
{
	if (!conn->proxied || ip_in(&conn->ip, options.proxies))
		return true;
	conn->holder = holder_take(&conn->ip, listener_per_address(&conn->ip));
	metrics.refused_address += conn->holder == NULL;
	return conn->holder != NULL;
}

/* 0, with what answers its key; or the status to refuse with. */
static int
upgrade_refusal(const Request *request, char accept[29])
{
	const HttpHead *head = &request->head;

	if (!web_is(request, "GET") || head->content_length > 0 || head->chunked)
		return 400;
	if (!bytes_equal(head->ws_version, BYTES("13")))
		return 426;
	return ws_accept(head->ws_key, accept) ? 0 : 400;
}

static void
upgrade(Conn *conn, Request *request)
{
	char accept[29];
	const char *why = NULL;
	Buf out = {0};
	Frame *frame;
	int status = upgrade_refusal(request, accept);

	if (!status && !count_for_address(conn))
		status = 429;
	if (!status)
		status = web_handler->upgrades(conn, request, &why);
	if (status)
	{
		refuse(request, status, why);
		return;
	}
	buf_addf(&out,
			 "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
			 "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
			 accept);
	frame = frame_of(buf_bytes(&out));
	conn_send(conn, frame);
	frame_unref(frame);
	buf_free(&out);
	conn->handler = &websocket;
	conn->owner = NULL;
	conn_wait(conn, WAIT_NONE);
	web_handler->opened(conn, request);
	request_free(request);
}

/*
 * Heads and bodies
 */

static void
complete(Request *request)
{
	request->read = true;
	conn_wait(request->conn, WAIT_ANSWER);
	conn_pause(request->conn);
	web_handler->complete(request);
}

static void
send_continue(Conn *conn)
{
	Frame *frame = frame_of(BYTES("HTTP/1.1 100 Continue\r\n\r\n"));

	conn_send(conn, frame);
	frame_unref(frame);
}

static void
begin(Conn *conn, Request *request)
{
	const char *why = NULL;
	int status;

	request->read = request->head.content_length <= 0 && !request->head.chunked;
	if (conn->proxied)
		learn_address(conn, request->head.forwarded_for);
	if (!request_parse_path(request) || !request_parse_query(request))
		status = 400;
	else if (request->head.upgrade)
	{
		upgrade(conn, request);
		return;
	}
	else if (bytes_equal(request->head.method, BYTES("OPTIONS")) && request->read)
	{
		answer_options(request);
		return;
	}
	else if (!web_is(request, "GET") && !web_is(request, "POST"))
		status = 405;
	else
		status = web_handler->begins(request, &why);
	if (!status && request->head.content_length > WEB_MAX_BODY)
		status = 413;
	if (status)
		refuse(request, status, why);
	else if (request->read)
		complete(request);
	else
	{
		conn_wait(conn, WAIT_BODY);
		if (request->head.expects_continue)
			send_continue(conn);
	}
}

static size_t
take_head(Conn *conn, char *data, size_t len)
{
	HttpHead head;
	int n = http_parse((Bytes){data, len}, &head);

	if (conn->wait == WAIT_IDLE)
		conn_wait(conn, WAIT_HEAD);
	if (n == 0)
		return 0;
	metrics.http_requests++;
	if (n < 0)
	{
		char text[64];

		metrics.http_refused++;
		snprintf(text, sizeof(text), "%s\n", http_reason(-n));
		send_answer(conn, -n, "text/plain", bytes_of(text), NULL, false, false, 0);
		conn_end(conn);
		return len;
	}
	begin(conn, request_new(conn, data, (size_t) n));
	return (size_t) n;
}

static size_t
take_chunks(Request *request, char *data, size_t len)
{
	size_t taken = 0;
	bool done;
	int status = request_count_body(request, len);

	if (!status &&
		!http_chunks(&request->chunks, (Bytes){data, len}, &taken, &request->body, &done))
		status = 400;
	if (status)
	{
		refuse(request, status, NULL);
		return len;
	}
	if (done)
		complete(request);
	return taken;
}

static size_t
take_body(Request *request, char *data, size_t len)
{
	size_t left;
	int status;

	if (request->head.chunked)
		return take_chunks(request, data, len);
	left = (size_t) request->head.content_length - request->body.len;
	if (len > left)
		len = left;
	status = request_count_body(request, len);
	if (status)
	{
		refuse(request, status, NULL);
		return len;
	}
	buf_add(&request->body, data, len);
	if (len == left)
		complete(request);
	return len;
}

static size_t
web_received(Conn *conn, char *data, size_t len)
{
	return conn->owner ? take_body(conn->owner, data, len) : take_head(conn, data, len);
}

static void
web_closed(Conn *conn)
{
	Request *request = conn->owner;

	if (!request)
		return;
	request->conn = NULL;
	if (!request->waiting)
		request_free(request);
}

const ConnHandler web_connection = {web_received, web_closed};

/*
 * WebSockets
 */

static void
send_control(Conn *conn, int opcode, Bytes payload)
{
	Buf out = {0};
	Frame *frame;

	frame_encode(&out, opcode, payload);
	frame = frame_of(buf_bytes(&out));
	conn_send(conn, frame);
	frame_unref(frame);
	buf_free(&out);
}

static void
send_goodbye(Conn *conn, int code)
{
	const char bytes[] = {(char) (code >> 8), (char) code};

	send_control(conn, WS_CLOSE, (Bytes){bytes, 2});
	conn_end(conn);
}

/* The peer's own code comes back, if it is one that may be sent. */
static void
answer_close(Conn *conn, Bytes payload)
{
	unsigned code = 1000;

	if (payload.len >= 2)
		code = (unsigned) (unsigned char) payload.data[0] << 8 | (unsigned char) payload.data[1];
	if (payload.len == 1 || code < 1000 || code >= 5000 || (code >= 1004 && code <= 1006) ||
		(code >= 1015 && code < 3000))
		code = 1002;
	send_goodbye(conn, (int) code);
}

static size_t
websocket_received(Conn *conn, char *data, size_t len)
{
	WsEvent event;
	size_t n = ws_next(&conn->ws, data, len, (size_t) options.max_message, &event);

	if (event.kind == WS_BROKEN)
	{
		metrics.broken_frames++;
		send_goodbye(conn, event.code);
		return len;
	}
	if (event.kind == WS_MORE)
		return n;
	if (!web_handler->heard(conn, n))
		return len;
	switch (event.kind)
	{
		case WS_MESSAGE:
			web_handler->message(conn, event.payload);
			break;
		case WS_TOO_LARGE:
			web_handler->too_large(conn, event.size);
			break;
		case WS_IS_PING:
			send_control(conn, WS_PONG, event.payload);
			break;
		case WS_IS_CLOSE:
			answer_close(conn, event.payload);
			break;
		default:
			break;
	}
	return n;
}

static void
websocket_closed(Conn *conn)
{
	web_handler->closed(conn);
}

static const ConnHandler websocket = {websocket_received, websocket_closed};

/*
 * http.c
 *	  HTTP/1.1 as it comes in: the head of a request, and a body in chunks (RFC 9112).
 */
#include "transport/http.h"

#include <strings.h>

#define MAX_CHUNK_LINES 4096 /* sizes, extensions and trailers of one body */

static bool
is_token(Bytes text)
{
	for (size_t i = 0; i < text.len; i++)
	{
		unsigned char c = (unsigned char) text.data[i];

		if (c <= ' ' || c >= 0x7f || strchr("\"(),/:;<=>?@[\\]{}", c))
			return false;
	}
	return text.len > 0;
}

static bool
is_visible(Bytes text)
{
	for (size_t i = 0; i < text.len; i++)
		if ((unsigned char) text.data[i] <= ' ' || text.data[i] == 0x7f)
			return false;
	return true;
}

static Bytes
trimmed(Bytes text)
{
	while (text.len > 0 && (*text.data == ' ' || *text.data == '\t'))
		text = (Bytes){text.data + 1, text.len - 1};
	while (text.len > 0 && (text.data[text.len - 1] == ' ' || text.data[text.len - 1] == '\t'))
		text.len--;
	return text;
}

static bool
is_word(Bytes text, const char *word)
{
	return text.len == strlen(word) && strncasecmp(text.data, word, text.len) == 0;
}

/* Whether a word is in a list with commas. */
static bool
has_word(Bytes list, const char *word)
{
	while (list.len > 0)
	{
		const char *comma = memchr(list.data, ',', list.len);
		size_t len = comma ? (size_t) (comma - list.data) : list.len;

		if (is_word(trimmed((Bytes){list.data, len}), word))
			return true;
		len += comma != NULL;
		list = (Bytes){list.data + len, list.len - len};
	}
	return false;
}

/*
 * GET /path?query HTTP/1.1
 */

/* As some proxies pass it on, http://host/path: the path. Whose it is nobody asks, as with Host. */
static Bytes
without_authority(Bytes target)
{
	bool https = bytes_start_with(target, BYTES("https://"));
	size_t len = strlen(https ? "https://" : "http://");
	const char *path;

	if (!https && !bytes_start_with(target, BYTES("http://")))
		return target;
	path = memchr(target.data + len, '/', target.len - len);
	if (!path || path == target.data + len ||
		memchr(target.data, '?', (size_t) (path - target.data)))
		return target;
	return (Bytes){path, (size_t) (target.data + target.len - path)};
}

static int
parse_target(Bytes target, HttpHead *head)
{
	const char *mark;

	if (target.len == 0 || !is_visible(target))
		return -400;
	target = without_authority(target);
	if (*target.data != '/' && !bytes_equal(target, BYTES("*")))
		return -400;
	mark = memchr(target.data, '?', target.len);
	head->path = (Bytes){target.data, mark ? (size_t) (mark - target.data) : target.len};
	if (mark)
		head->query = (Bytes){mark + 1, target.len - head->path.len - 1};
	return 0;
}

static int
parse_request_line(Bytes line, HttpHead *head)
{
	const char *first = memchr(line.data, ' ', line.len);
	const char *last = memrchr(line.data, ' ', line.len);
	Bytes version;

	if (!first || first == last)
		return -400;
	head->method = (Bytes){line.data, (size_t) (first - line.data)};
	version = (Bytes){last + 1, (size_t) (line.data + line.len - last - 1)};
	if (!is_token(head->method) || !bytes_start_with(version, BYTES("HTTP/")))
		return -400;
	if (!bytes_equal(version, BYTES("HTTP/1.1")) && !bytes_equal(version, BYTES("HTTP/1.0")))
		return -505;
	head->keep_alive = version.data[version.len - 1] == '1';
	return parse_target((Bytes){first + 1, (size_t) (last - first - 1)}, head);
}

/*
 * Name: value
 */

static int
take_length(HttpHead *head, Bytes value)
{
	int64_t length = 0;

	if (value.len == 0 || value.len > 15 || head->content_length >= 0)
		return -400;
	for (size_t i = 0; i < value.len; i++)
	{
		if (value.data[i] < '0' || value.data[i] > '9')
			return -400;
		length = length * 10 + (value.data[i] - '0');
	}
	head->content_length = length;
	return 0;
}

static int
take_encoding(HttpHead *head, Bytes value)
{
	if (head->chunked)
		return -400;
	if (!is_word(value, "chunked"))
		return -501;
	head->chunked = true;
	return 0;
}

static void
take_connection(HttpHead *head, Bytes value)
{
	if (has_word(value, "close"))
		head->keep_alive = false;
	if (has_word(value, "keep-alive"))
		head->keep_alive = true;
	if (has_word(value, "upgrade"))
		head->upgrade = true;
}

static int
take_header(HttpHead *head, Bytes name, Bytes value, bool *websocket)
{
	const struct
	{
		const char *name;
		Bytes *where;
	} kept[] = {{"host", &head->host},
				{"origin", &head->origin},
				{"x-forwarded-for", &head->forwarded_for},
				{"x-forwarded-proto", &head->forwarded_proto},
				{"sec-websocket-version", &head->ws_version},
				{"sec-websocket-key", &head->ws_key},
				{"access-control-request-headers", &head->request_headers}};

	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		if (is_word(name, kept[i].name))
		{
			if (kept[i].where->data && kept[i].where != &head->forwarded_for &&
				kept[i].where != &head->forwarded_proto)
				return -400;
			*kept[i].where = value;
			return 0;
		}
	if (is_word(name, "content-length"))
		return take_length(head, value);
	if (is_word(name, "transfer-encoding"))
		return take_encoding(head, value);
	if (is_word(name, "connection"))
		take_connection(head, value);
	else if (is_word(name, "upgrade"))
		*websocket |= has_word(value, "websocket");
	else if (is_word(name, "expect"))
		head->expects_continue = is_word(value, "100-continue");
	else if (is_word(name, "access-control-request-method"))
		head->asks_cors = true;
	return 0;
}

static int
parse_header(HttpHead *head, Bytes line, bool *websocket)
{
	const char *colon = memchr(line.data, ':', line.len);
	Bytes name;
	Bytes value;

	if (!colon)
		return -400;
	name = (Bytes){line.data, (size_t) (colon - line.data)};
	value = trimmed((Bytes){colon + 1, line.len - name.len - 1});
	if (!is_token(name)) /* a folded line too: it begins with a space */
		return -400;
	for (size_t i = 0; i < value.len; i++)
		if (((unsigned char) value.data[i] < ' ' && value.data[i] != '\t') || value.data[i] == 0x7f)
			return -400;
	return take_header(head, name, value, websocket);
}

/* A line without its end; false: it has none yet. A lone LF ends one too, as servers have it. */
static bool
next_line(Bytes *rest, Bytes *line)
{
	const char *end = memchr(rest->data, '\n', rest->len);
	size_t len;

	if (!end)
		return false;
	len = (size_t) (end - rest->data);
	*line = (Bytes){rest->data, len > 0 && end[-1] == '\r' ? len - 1 : len};
	*rest = (Bytes){end + 1, rest->len - len - 1};
	return true;
}

static int
parse_lines(Bytes text, HttpHead *head)
{
	Bytes rest = text;
	Bytes line;
	bool websocket = false;
	int lines = 0;
	int status;

	while (next_line(&rest, &line))
	{
		if (lines == 0 && line.len == 0 && rest.len < text.len && text.len - rest.len <= 2)
			continue; /* an empty line before a request */
		if (line.len == 0 && lines == 0)
			return -400;
		if (line.len == 0)
		{
			head->upgrade = head->upgrade && websocket;
			return (int) (rest.data - text.data);
		}
		status = lines == 0 ? parse_request_line(line, head) : parse_header(head, line, &websocket);
		if (status < 0)
			return status;
		if (++lines > HTTP_MAX_HEADERS)
			return -431;
	}
	return 0;
}

int
http_parse(Bytes text, HttpHead *head)
{
	Bytes part = {text.data, text.len < HTTP_MAX_HEAD ? text.len : HTTP_MAX_HEAD};
	int len;

	*head = (HttpHead){.content_length = -1};
	if (part.len > 0 && *part.data != '\r' && *part.data != '\n' &&
		!is_token((Bytes){part.data, 1}))
		return -400; /* TLS, say: no need to wait for a line */
	len = parse_lines(part, head);
	if (len == 0 && text.len >= HTTP_MAX_HEAD)
		return -431;
	if (len > 0 && head->chunked && head->content_length >= 0)
		return -400;
	return len;
}

/*
 * Chunks: SIZE[;EXTENSION] CRLF DATA CRLF ... 0 CRLF [TRAILER CRLF]... CRLF
 */

enum
{
	SIZE_FIRST, /* at least one digit */
	SIZE,
	EXTENSION,
	DATA,
	DATA_CR,
	DATA_LF,
	TRAILER_BEGIN,
	TRAILER,
	TRAILER_LF
};

static int
digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char) (c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool
size_char(HttpChunks *chunks, char c)
{
	int value = digit(c);

	if (value >= 0)
	{
		if (chunks->left >> 40)
			return false;
		chunks->left = chunks->left << 4 | (unsigned) value;
		chunks->state = SIZE;
		return true;
	}
	if (chunks->state == SIZE_FIRST)
		return false;
	if (c == '\n')
		chunks->state = chunks->left ? DATA : TRAILER_BEGIN;
	else if (c == ';' || c == ' ' || c == '\t')
		chunks->state = EXTENSION;
	else if (c != '\r')
		return false;
	return true;
}

/* One byte that is no data. */
static bool
chunk_char(HttpChunks *chunks, char c, bool *done)
{
	if (++chunks->lines > MAX_CHUNK_LINES && chunks->state != DATA_CR && chunks->state != DATA_LF)
		return false;
	switch (chunks->state)
	{
		case SIZE_FIRST:
		case SIZE:
			return size_char(chunks, c);
		case EXTENSION:
			if (c == '\n')
				chunks->state = chunks->left ? DATA : TRAILER_BEGIN;
			return true;
		case DATA_CR:
			chunks->state = c == '\r' ? DATA_LF : SIZE_FIRST;
			return c == '\r' || c == '\n';
		case DATA_LF:
			chunks->state = SIZE_FIRST;
			return c == '\n';
		case TRAILER_BEGIN:
			*done = c == '\n';
			chunks->state = c == '\r' ? TRAILER_LF : TRAILER;
			return true;
		case TRAILER_LF:
			*done = true;
			return c == '\n';
		default:
			if (c == '\n')
				chunks->state = TRAILER_BEGIN;
			return true;
	}
}

bool
http_chunks(HttpChunks *chunks, Bytes data, size_t *taken, Buf *out, bool *done)
{
	size_t at = 0;

	*done = false;
	while (at < data.len && !*done)
	{
		if (chunks->state == DATA)
		{
			size_t n = data.len - at < chunks->left ? data.len - at : (size_t) chunks->left;

			buf_add(out, data.data + at, n);
			at += n;
			chunks->left -= n;
			if (chunks->left == 0)
				chunks->state = DATA_CR;
		}
		else if (!chunk_char(chunks, data.data[at++], done))
			return false;
	}
	*taken = at;
	return true;
}

bool
http_decode(Bytes text, bool plus, Buf *out)
{
	for (size_t i = 0; i < text.len; i++)
	{
		char c = text.data[i];

		if (c == '%')
		{
			int high = text.len - i > 2 ? digit(text.data[i + 1]) : -1;
			int low = text.len - i > 2 ? digit(text.data[i + 2]) : -1;

			if (high < 0 || low < 0 || (high | low) == 0)
				return false;
			c = (char) (high << 4 | low);
			i += 2;
		}
		else if (c == '+' && plus)
			c = ' ';
		buf_addc(out, c);
	}
	return true;
}

const char *
http_reason(int status)
{
	static const struct
	{
		int status;
		const char *reason;
	} reasons[] = {{101, "Switching Protocols"},
				   {200, "OK"},
				   {204, "No Content"},
				   {400, "Bad Request"},
				   {401, "Unauthorized"},
				   {403, "Forbidden"},
				   {404, "Not Found"},
				   {405, "Method Not Allowed"},
				   {408, "Request Timeout"},
				   {413, "Content Too Large"},
				   {426, "Upgrade Required"},
				   {429, "Too Many Requests"},
				   {431, "Request Header Fields Too Large"},
				   {501, "Not Implemented"},
				   {503, "Service Unavailable"},
				   {505, "HTTP Version Not Supported"}};

	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (reasons[i].status == status)
			return reasons[i].reason;
	return "Error";
}

/*
 * json.c
 *	  Jansson, with what it lacks here: bytes in, bytes out.
 */
#include "base/json.h"

json_t *
json_parse(Bytes text)
{
	size_t flags = JSON_DECODE_ANY | JSON_ALLOW_NUL;
	json_t *value = json_loadb(text.data, text.len, flags, NULL);

	return value ? value : json_loadb(text.data, text.len, flags | JSON_DECODE_INT_AS_REAL, NULL);
}

/* The number in \uXXXX; -1: it is none. */
static int
escape_at(Bytes text, size_t i)
{
	int value = 0;

	if (i + 6 > text.len || text.data[i] != '\\' || text.data[i + 1] != 'u')
		return -1;
	for (size_t n = i + 2; n < i + 6; n++)
	{
		char c = (char) (text.data[n] | 0x20);
		int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;

		if (digit < 0)
			return -1;
		value = value << 4 | digit;
	}
	return value;
}

static bool
is_half(int value, int begin)
{
	return value >= begin && value < begin + 0x400;
}

static void
replace_halves(Bytes text, Buf *out)
{
	for (size_t i = 0; i < text.len;)
	{
		int value = escape_at(text, i);
		size_t len = value >= 0 ? 6 : text.data[i] == '\\' && i + 1 < text.len ? 2 : 1;
		bool alone = is_half(value, 0xdc00);

		if (is_half(value, 0xd800) && is_half(escape_at(text, i + 6), 0xdc00))
			len = 12;
		else if (is_half(value, 0xd800))
			alone = true;
		if (alone)
			buf_adds(out, "\\ufffd");
		else
			buf_add(out, text.data + i, len);
		i += len;
	}
}

json_t *
json_parse_leniently(Bytes text)
{
	json_t *value = json_parse(text);
	Buf whole = {0};

	if (value || !memmem(text.data, text.len, "\\u", 2))
		return value;
	replace_halves(text, &whole);
	value = json_parse(buf_bytes(&whole));
	buf_free(&whole);
	return value;
}

static int
add_chunk(const char *chunk, size_t len, void *buf)
{
	buf_add(buf, chunk, len);
	return 0;
}

void
json_add(Buf *buf, const json_t *value)
{
	json_dump_callback(value, add_chunk, buf, JSON_COMPACT | JSON_ENCODE_ANY);
}

void
json_add_string(Buf *buf, Bytes value)
{
	buf_addc(buf, '"');
	json_add_escaped(buf, value);
	buf_addc(buf, '"');
}

void
json_add_escaped(Buf *buf, Bytes value)
{
	size_t plain = 0; /* begin of what needs no escape */

	for (size_t i = 0; i < value.len; i++)
	{
		unsigned char c = (unsigned char) value.data[i];

		if (c >= ' ' && c != '"' && c != '\\')
			continue;
		buf_add(buf, value.data + plain, i - plain);
		plain = i + 1;
		if (c >= ' ')
			buf_add(buf, (char[]){'\\', (char) c}, 2);
		else if (c == '\n')
			buf_add(buf, "\\n", 2);
		else
			buf_addf(buf, "\\u%04x", c);
	}
	buf_add(buf, value.data + plain, value.len - plain);
}

Bytes
json_bytes(const json_t *string)
{
	return (Bytes){json_string_value(string), json_string_length(string)};
}

bool
json_get_bytes(const json_t *object, const char *key, Bytes *value)
{
	const json_t *member = json_object_get(object, key);

	if (!json_is_string(member))
		return false;
	*value = json_bytes(member);
	return true;
}

bool
json_same(const char *a, const char *b)
{
	json_t *values[2];
	bool same;

	if (!a || !b)
		return a == b;
	if (strcmp(a, b) == 0)
		return true;
	values[0] = json_parse(bytes_of(a));
	values[1] = json_parse(bytes_of(b));
	same = values[0] && values[1] && json_equal(values[0], values[1]);
	json_decref(values[0]);
	json_decref(values[1]);
	return same;
}

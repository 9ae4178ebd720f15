/*
 * json.c
 *	  Jansson, with what it lacks here: bytes in, bytes out.
 */
#include "json.h"

json_t *
json_parse(Bytes text)
{
	size_t flags = JSON_DECODE_ANY | JSON_ALLOW_NUL;
	json_t *value = json_loadb(text.data, text.len, flags, NULL);

	return value ? value : json_loadb(text.data, text.len, flags | JSON_DECODE_INT_AS_REAL, NULL);
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
	size_t plain = 0; /* begin of what needs no escape */

	buf_addc(buf, '"');
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
	buf_addc(buf, '"');
}

bool
json_get_bytes(const json_t *object, const char *key, Bytes *value)
{
	const json_t *member = json_object_get(object, key);

	if (!json_is_string(member))
		return false;
	*value = (Bytes){json_string_value(member), json_string_length(member)};
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

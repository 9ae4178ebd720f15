/*
 * names.c
 *	  What may be a channel, a user, a room, a socket: the limits of the extension.
 */
#include "base/names.h"

#define MAX_CHANNEL_NAME  164
#define MAX_USER_ID_CHARS 128
#define MAX_BOOK_ID       150

/* Characters of UTF-8, which Jansson has checked. */
static size_t
characters(Bytes text)
{
	size_t n = 0;

	for (size_t i = 0; i < text.len; i++)
		n += ((unsigned char) text.data[i] & 0xc0) != 0x80;
	return n;
}

bool
is_user_id(Bytes user_id)
{
	return user_id.len > 0 && characters(user_id) <= MAX_USER_ID_CHARS &&
		   !memchr(user_id.data, '\0', user_id.len);
}

static bool
channel_chars_only(Bytes name)
{
	for (size_t i = 0; i < name.len; i++)
	{
		char c = name.data[i];

		if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
			  (c != '\0' && strchr("_-=@,.;", c))))
			return false;
	}
	return true;
}

bool
is_book_id(Bytes book_id)
{
	return book_id.len >= 1 && book_id.len <= MAX_BOOK_ID && channel_chars_only(book_id);
}

bool
is_channel_name(Bytes name)
{
	Bytes rest = name;

	if (bytes_start_with(name, BYTES("#server-to-user-")))
	{
		rest.data += strlen("#server-to-user-");
		rest.len -= strlen("#server-to-user-");
		return is_user_id(rest);
	}
	return name.len >= 1 && name.len <= MAX_CHANNEL_NAME && channel_chars_only(name);
}

bool
is_socket_id(Bytes socket_id)
{
	size_t dots = 0;

	for (size_t i = 0; i < socket_id.len; i++)
	{
		char c = socket_id.data[i];

		if (c == '.' && i > 0 && i + 1 < socket_id.len)
			dots++;
		else if (c < '0' || c > '9')
			return false;
	}
	return dots == 1;
}

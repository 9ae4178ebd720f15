/*
 * bytes.c
 *	  Text as it is signed.
 */
#include "postgres.h"

#include "bytes.h"

#include "fmgr.h"
#include "mb/pg_wchar.h"

Bytes
utf8_bytes(const char *s, int len)
{
	char *utf8 = pg_server_to_any(s, len, PG_UTF8);

	return (Bytes){utf8, utf8 == s ? (size_t) len : strlen(utf8)};
}

Bytes
text_bytes(text *value)
{
	return utf8_bytes(VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value));
}

/*
 * bytes.c
 *	  Text as it is signed.
 */
#include "postgres.h"

#include "bytes.h"

#include "catalog/namespace.h"
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

static bool
is_ascii(const char *s, int len)
{
	for (int i = 0; i < len; i++)
		if (IS_HIGHBIT_SET(s[i]))
			return false;
	return true;
}

bool
has_utf8(const char *s, int len)
{
	int encoding = GetDatabaseEncoding();
	unsigned char *utf8;
	int converted;

	if (encoding == PG_UTF8 || is_ascii(s, len))
		return true;
	if (encoding == PG_SQL_ASCII)
		return pg_verify_mbstr(PG_UTF8, s, len, true);
	utf8 = palloc((Size) len * MAX_CONVERSION_GROWTH + 1);
	converted = pg_do_encoding_conversion_buf(
		FindDefaultConversionProc(encoding, PG_UTF8), encoding, PG_UTF8,
		(unsigned char *) unconstify(char *, s), len, utf8, len * MAX_CONVERSION_GROWTH + 1, true);
	pfree(utf8);
	return converted == len;
}

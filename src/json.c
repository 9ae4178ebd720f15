/*
 * json.c
 *	  Compact JSON: no space that is not inside a string.
 *
 * Signatures cover the bytes of a JSON text, and Pusher's limits count them,
 * so the form is fixed here: jsonb's own order of keys, PostgreSQL's own
 * escapes (escape_json), no white space. No state, no lock.
 */
#include "postgres.h"

#include "json.h"

#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/json.h"
#include "utils/numeric.h"

static bool
needs_escape(const char *s, int len)
{
	for (int i = 0; i < len; i++)
		if ((unsigned char) s[i] < ' ' || s[i] == '"' || s[i] == '\\')
			return true;
	return false;
}

/* Most strings are copied: escape_json, which looks at each byte, takes five times as long. */
static void
append_string(StringInfo out, const char *s, int len)
{
	char *terminated;

	if (!needs_escape(s, len))
	{
		appendStringInfoChar(out, '"');
		appendBinaryStringInfo(out, s, len);
		appendStringInfoChar(out, '"');
		return;
	}
	terminated = pnstrdup(s, len);
	escape_json(out, terminated);
	pfree(terminated);
}

static void
append_scalar(StringInfo out, JsonbValue *value)
{
	switch (value->type)
	{
		case jbvNull:
			appendStringInfoString(out, "null");
			break;
		case jbvBool:
			appendStringInfoString(out, value->val.boolean ? "true" : "false");
			break;
		case jbvNumeric:
			appendStringInfoString(out, DatumGetCString(DirectFunctionCall1(
											numeric_out, NumericGetDatum(value->val.numeric))));
			break;
		case jbvString:
			append_string(out, value->val.string.val, value->val.string.len);
			break;
		default:
			elog(ERROR, "unexpected jsonb scalar type %d", (int) value->type);
	}
}

void
json_append_jsonb(StringInfo out, Jsonb *jsonb)
{
	JsonbIterator *it = JsonbIteratorInit(&jsonb->root);
	JsonbIteratorToken token;
	JsonbValue value;
	bool raw_scalar = false;
	bool first = true; /* nothing before it in its container */

	while ((token = JsonbIteratorNext(&it, &value, false)) != WJB_DONE)
	{
		bool opens = token == WJB_BEGIN_ARRAY || token == WJB_BEGIN_OBJECT;

		/* a value comes after its key; all else that is not first needs a comma */
		if ((opens || token == WJB_KEY || token == WJB_ELEM) && !first)
			appendStringInfoChar(out, ',');
		first = false;

		switch (token)
		{
			case WJB_BEGIN_ARRAY:
				raw_scalar = value.val.array.rawScalar;
				if (!raw_scalar)
					appendStringInfoChar(out, '[');
				first = true;
				break;
			case WJB_END_ARRAY:
				if (!raw_scalar)
					appendStringInfoChar(out, ']');
				break;
			case WJB_BEGIN_OBJECT:
				appendStringInfoChar(out, '{');
				first = true;
				break;
			case WJB_END_OBJECT:
				appendStringInfoChar(out, '}');
				break;
			case WJB_KEY:
				append_string(out, value.val.string.val, value.val.string.len);
				appendStringInfoChar(out, ':');
				first = true; /* the value follows the colon, without a comma */
				break;
			default: /* WJB_VALUE, WJB_ELEM */
				append_scalar(out, &value);
		}
	}
}

void
json_append_text(StringInfo out, text *value)
{
	append_string(out, VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value));
}

/* Many events a second have their time written: snprintf takes ten times as long. */
static char *
append_digits(char *to, char separator, int value, int width)
{
	*to = separator;
	return pg_ultostr_zeropad(to + 1, (uint32) value, width);
}

void
json_append_timestamp(StringInfo out, TimestampTz at)
{
	char text[64];
	char *end;
	struct pg_tm tm;
	fsec_t usec;

	/* of a row written by hand; an event tells of it all the same */
	if (TIMESTAMP_NOT_FINITE(at) || timestamp2tm(at, NULL, &tm, &usec, NULL, NULL) != 0 ||
		tm.tm_year < 1)
	{
		appendStringInfoString(out, "null");
		return;
	}
	end = append_digits(text, '"', tm.tm_year, 4);
	end = append_digits(end, '-', tm.tm_mon, 2);
	end = append_digits(end, '-', tm.tm_mday, 2);
	end = append_digits(end, 'T', tm.tm_hour, 2);
	end = append_digits(end, ':', tm.tm_min, 2);
	end = append_digits(end, ':', tm.tm_sec, 2);
	end = append_digits(end, '.', usec, 6);
	appendBinaryStringInfo(out, text, (int) (end - text));
	appendStringInfoString(out, "Z\"");
}

void
json_append_number(StringInfo out, int64 value)
{
	char digits[MAXINT8LEN + 1];

	appendBinaryStringInfo(out, digits, pg_lltoa(value, digits));
}

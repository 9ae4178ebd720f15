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

static void
append_string(StringInfo out, const char *s, int len)
{
	char *terminated = pnstrdup(s, len);

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

void
json_append_timestamp(StringInfo out, TimestampTz at)
{
	struct pg_tm tm;
	fsec_t usec;

	if (TIMESTAMP_NOT_FINITE(at) || timestamp2tm(at, NULL, &tm, &usec, NULL, NULL) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE), errmsg("timestamp out of range")));
	appendStringInfo(out, "\"%04d-%02d-%02dT%02d:%02d:%02d.%06dZ\"", tm.tm_year, tm.tm_mon,
					 tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int) usec);
}

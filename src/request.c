/*
 * request.c
 *	  presence.pusher_sign_request: the signed query string of a call of Pusher's HTTP API.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "limits.h"
#include "settings.h"
#include "pusher.h"
#include "store.h"

PG_FUNCTION_INFO_V1(presence_pusher_sign_request);

typedef struct QueryParam
{
	char *key;
	char *value;
} QueryParam;

typedef struct QueryParams
{
	int n;
	QueryParam *list;
} QueryParams;

static void
add_param(QueryParams *params, const char *key, char *value)
{
	params->list = params->list ? repalloc(params->list, sizeof(QueryParam) * (params->n + 1))
								: palloc(sizeof(QueryParam));
	params->list[params->n++] = (QueryParam){pstrdup(key), value};
}

static int
compare_params(const void *a, const void *b)
{
	return strcmp(((const QueryParam *) a)->key, ((const QueryParam *) b)->key);
}

static bool
is_reserved(const char *key)
{
	return strcmp(key, "auth_key") == 0 || strcmp(key, "auth_timestamp") == 0 ||
		   strcmp(key, "auth_version") == 0 || strcmp(key, "auth_signature") == 0 ||
		   strcmp(key, "body_md5") == 0;
}

static char *
param_value(const char *key, JsonbValue *value)
{
	if (value->type == jbvString)
		return pnstrdup(value->val.string.val, value->val.string.len);
	if (value->type == jbvNumeric)
		return DatumGetCString(
			DirectFunctionCall1(numeric_out, NumericGetDatum(value->val.numeric)));
	if (value->type == jbvBool)
		return pstrdup(value->val.boolean ? "true" : "false");
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("invalid params"),
			 errdetail("The value of \"%s\" must be a string, a number or a boolean.", key)));
}

static void
add_given_params(QueryParams *params, Jsonb *given)
{
	JsonbIterator *it = JsonbIteratorInit(&given->root);
	JsonbIteratorToken token;
	JsonbValue value;
	char *key = NULL;

	if (!JB_ROOT_IS_OBJECT(given))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("invalid params"),
						errdetail("The params must be a JSON object.")));
	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			key = pnstrdup(value.val.string.val, value.val.string.len);
		else if (token == WJB_VALUE && key != NULL)
		{
			if (is_reserved(key))
				ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("invalid params"),
								errdetail("The parameter \"%s\" is set by the signature.", key)));
			add_param(params, key, param_value(key, &value));
		}
	}
}

/* As RFC 3986 has it, with the comma that Pusher's lists of attributes use. */
static void
append_encoded(StringInfo out, const char *s)
{
	for (; *s; s++)
	{
		if ((*s >= 'A' && *s <= 'Z') || (*s >= 'a' && *s <= 'z') || (*s >= '0' && *s <= '9') ||
			strchr("-._~,", *s))
			appendStringInfoChar(out, *s);
		else
			appendStringInfo(out, "%%%02X", (unsigned char) *s);
	}
}

static char *
query_string(const QueryParams *params, bool encoded)
{
	StringInfoData out;

	initStringInfo(&out);
	for (int i = 0; i < params->n; i++)
	{
		appendStringInfo(&out, "%s", i == 0 ? "" : "&");
		if (encoded)
		{
			append_encoded(&out, params->list[i].key);
			appendStringInfoChar(&out, '=');
			append_encoded(&out, params->list[i].value);
		}
		else
			appendStringInfo(&out, "%s=%s", params->list[i].key, params->list[i].value);
	}
	return out.data;
}

static char *
arg_method(FunctionCallInfo fcinfo, int argno)
{
	char *method = text_to_cstring(arg_text(fcinfo, argno, "method"));

	for (char *c = method; *c; c++)
		*c = pg_ascii_toupper((unsigned char) *c);
	if (*method == '\0' || strspn(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != strlen(method))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("invalid method: \"%s\"", method)));
	return method;
}

static char *
arg_path(FunctionCallInfo fcinfo, int argno)
{
	char *path = text_to_cstring(arg_text(fcinfo, argno, "path"));

	if (*path != '/' || strpbrk(path, "?#\n\r ") != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("invalid path: \"%s\"", path),
				 errdetail("A path starts with \"/\" and has no query string.")));
	return path;
}

/*
 * pusher_sign_request(method, path, body, params, at, app_key)
 *
 * What is signed is method, path and the sorted parameters as they are; what
 * is returned has them percent-encoded, as they go into a URL.
 */
Datum
presence_pusher_sign_request(PG_FUNCTION_ARGS)
{
	char *method = arg_method(fcinfo, 0);
	char *path = arg_path(fcinfo, 1);
	TimestampTz at = arg_timestamptz(fcinfo, 4, "at");
	QueryParams params = {0, NULL};
	char hex[SIGNATURE_HEX_LEN + 1];
	char md5[SIGNATURE_MD5_HEX_LEN + 1];
	char *signed_string;
	Bytes signed_bytes;
	PusherApp app;
	text *result;
	MemoryContext old;
	Store store;

	if (TIMESTAMP_NOT_FINITE(at))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("at must be finite")));
	store_open(&store, STORE_READ, "presence.pusher_sign_request()");
	app = pusher_app(PG_ARGISNULL(5) ? NULL : PG_GETARG_TEXT_PP(5));
	if (!PG_ARGISNULL(3))
		add_given_params(&params, PG_GETARG_JSONB_P(3));
	add_param(&params, "auth_key", text_to_cstring(app.key));
	add_param(&params, "auth_timestamp", psprintf(INT64_FORMAT, (int64) timestamptz_to_time_t(at)));
	add_param(&params, "auth_version", "1.0");
	if (!PG_ARGISNULL(2) && VARSIZE_ANY_EXHDR(PG_GETARG_TEXT_PP(2)) > 0)
	{
		if (!signature_md5(text_bytes(PG_GETARG_TEXT_PP(2)), md5))
			elog(ERROR, "could not compute an MD5");
		add_param(&params, "body_md5", md5);
	}
	qsort(params.list, params.n, sizeof(QueryParam), compare_params);

	signed_string = psprintf("%s\n%s\n%s", method, path, query_string(&params, false));
	signed_bytes = utf8_bytes(signed_string, (int) strlen(signed_string));
	if (!signature_hmac(text_bytes(app.secret), &signed_bytes, 1, hex))
		elog(ERROR, "could not compute an HMAC");

	old = MemoryContextSwitchTo(store.caller);
	result = cstring_to_text(psprintf("%s&auth_signature=%s", query_string(&params, true), hex));
	MemoryContextSwitchTo(old);
	store_close(&store);
	PG_RETURN_TEXT_P(result);
}

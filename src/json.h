/*
 * json.h
 *	  Compact JSON: no space that is not inside a string.
 */
#ifndef PRESENCE_JSON_H
#define PRESENCE_JSON_H

#include "lib/stringinfo.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

extern void json_append_jsonb(StringInfo out, Jsonb *jsonb);
extern void json_append_text(StringInfo out, text *value);
extern void json_append_number(StringInfo out, int64 value);

/* "2026-11-22T10:00:00.123456Z": UTC, always six digits; null for infinity, and before Christ */
extern void json_append_timestamp(StringInfo out, TimestampTz at);

#endif /* PRESENCE_JSON_H */

/*
 * json.h
 *	  Jansson, with what it lacks here: bytes in, bytes out.
 */
#ifndef GATEWAY_JSON_H
#define GATEWAY_JSON_H

#include <jansson.h>

#include "base/util.h"

/*
 * A value from text that others wrote, or NULL. Integers that fit no 64 bits
 * become reals, as they would in a browser. The caller frees it (json_decref).
 */
extern json_t *json_parse(Bytes text);

/*
 * The same, of a client: half a surrogate pair (\ud83d alone), which JavaScript can send and UTF-8
 * can't hold, becomes U+FFFD.
 */
extern json_t *json_parse_leniently(Bytes text);

/* Appends a value in compact form. */
extern void json_add(Buf *buf, const json_t *value);

/* Appends a string in quotes, escaped. It must be UTF-8. */
extern void json_add_string(Buf *buf, Bytes value);

/* The same, without the quotes. */
extern void json_add_escaped(Buf *buf, Bytes value);

/* The bytes of a string. Valid as long as it. */
extern Bytes json_bytes(const json_t *string);

/* A member of an object that is a string; false if it is none. Valid as long as the object. */
extern bool json_get_bytes(const json_t *object, const char *key, Bytes *value);

/* Whether two texts are the same value; NULL and text that is no JSON equal only themselves. */
extern bool json_same(const char *a, const char *b);

#endif /* GATEWAY_JSON_H */

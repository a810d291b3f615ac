/*
 * JSON through jansson (its json_t and json_auto_t are used directly).
 * Documents of others are parsed strictly: no duplicate keys, a cap on bytes,
 * nesting as jansson caps it. Writing is compact with the order of insertion
 * kept, slashes and non-ASCII as they are.
 */
#ifndef SHALE_BASE_JSON_H
#define SHALE_BASE_JSON_H

#include "base/buf.h"
#include "base/err.h"
#include "base/own.h"
#include <jansson.h>

/* New reference, or NULL: ERR_CORRUPT with "what: line N: ..." */
json_t *json_parse(const char *p, size_t n, const char *what, struct err *err);
void json_write(const json_t *j, struct buf *b); /* compact */
void json_write_pretty(const json_t *j, struct buf *b, int indent);

/* Borrowed members; NULL (or fallback) when absent, null or of another type. */
const char *json_get_str(const json_t *obj, const char *key);
json_int_t json_get_int(const json_t *obj, const char *key, json_int_t fallback);
json_t *json_get_obj(const json_t *obj, const char *key);
json_t *json_get_arr(const json_t *obj, const char *key);
bool json_get_bool(const json_t *obj, const char *key, bool fallback);
/* An array of strings into a list (cleared first); another type inside is ERR_CORRUPT. */
int json_get_strv(const json_t *obj, const char *key, struct strv *ret, struct err *err);
/* New reference. Bytes that are not UTF-8 become U+FFFD one by one, as Go writes them. Use it for
 * text of others. */
json_t *json_from_str(const char *s);
json_t *json_from_strv(const struct strv *s); /* new reference */

#endif

#include "base/json.h"
#include "base/mem_internal.h"
#include "base/utf8_internal.h"

#include <string.h>

json_t *json_parse(const char *p, size_t n, const char *what, struct err *err)
{
    json_error_t why;
    json_t *j = json_loadb(n ? p : "", n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &why);

    if (j == NULL)
        err_set(err, ERR_CORRUPT, "%s: line %d: %s", what, why.line > 0 ? why.line : 1, why.text);
    return j;
}

static int add_text(const char *p, size_t n, void *b)
{
    buf_add(b, p, n);
    return 0;
}

/* Fails only for a document that holds text that is not UTF-8, or NULL: our bug. */
static void dump(const json_t *j, struct buf *b, size_t flags)
{
    if (json_dump_callback(j, add_text, b, flags | JSON_ENCODE_ANY) < 0)
        die("a JSON document cannot be written");
}

void json_write(const json_t *j, struct buf *b)
{
    dump(j, b, JSON_COMPACT);
}

void json_write_pretty(const json_t *j, struct buf *b, int indent)
{
    dump(j, b, JSON_INDENT(indent));
}

const char *json_get_str(const json_t *obj, const char *key)
{
    return json_string_value(json_object_get(obj, key));
}

json_int_t json_get_int(const json_t *obj, const char *key, json_int_t fallback)
{
    const json_t *v = json_object_get(obj, key);

    return json_is_integer(v) ? json_integer_value(v) : fallback;
}

json_t *json_get_obj(const json_t *obj, const char *key)
{
    json_t *v = json_object_get(obj, key);

    return json_is_object(v) ? v : NULL;
}

json_t *json_get_arr(const json_t *obj, const char *key)
{
    json_t *v = json_object_get(obj, key);

    return json_is_array(v) ? v : NULL;
}

bool json_get_bool(const json_t *obj, const char *key, bool fallback)
{
    const json_t *v = json_object_get(obj, key);

    return json_is_boolean(v) ? json_is_true(v) : fallback;
}

int json_get_strv(const json_t *obj, const char *key, struct strv *ret, struct err *err)
{
    const json_t *v = json_object_get(obj, key);
    AUTO(strv_release) struct strv got = STRV_INIT;

    if (v != NULL && !json_is_null(v) && !json_is_array(v))
        return err_set(err, ERR_CORRUPT, "'%s' is not a list", key);
    for (size_t i = 0; i < json_array_size(v); i++) {
        const char *s = json_string_value(json_array_get(v, i));
        if (s == NULL)
            return err_set(err, ERR_CORRUPT, "'%s' holds something that is not a string", key);
        strv_add(&got, s);
    }
    strv_release(ret);
    *ret = got;
    got = (struct strv)STRV_INIT;
    return 0;
}

json_t *json_from_str(const char *s)
{
    json_t *j = json_string(s);

    if (j != NULL)
        return j;
    AUTO(buf_release) struct buf b = BUF_INIT;
    for (size_t n = strlen(s), len; n > 0; s += len, n -= len) {
        len = utf8_len(s, n);
        if (len > 0)
            buf_add(&b, s, len);
        else
            buf_adds(&b, "\xef\xbf\xbd");
        len = len ? len : 1;
    }
    return json_string(buf_str(&b));
}

json_t *json_from_strv(const struct strv *s)
{
    json_t *list = json_array();

    for (size_t i = 0; i < s->n; i++)
        json_array_append_new(list, json_from_str(s->v[i]));
    return list;
}

#include "base/buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void strv_release(struct strv *s)
{
    strv_clear(s);
    mem_free(s->v);
    *s = (struct strv)STRV_INIT;
}

void strv_clear(struct strv *s)
{
    for (size_t i = 0; i < s->n; i++)
        mem_free(s->v[i]);
    s->n = 0;
    if (s->v != NULL)
        s->v[0] = NULL;
}

void strv_take(struct strv *s, char *str)
{
    MEM_ROOM(s->v, s->n + 1, s->cap); /* one more for the NULL at the end */
    s->v[s->n++] = str;
    s->v[s->n] = NULL;
}

void strv_add(struct strv *s, const char *str)
{
    strv_take(s, str_dup(str));
}

void strv_addn(struct strv *s, const char *str, size_t n)
{
    strv_take(s, str_ndup(str, n));
}

void strv_addf(struct strv *s, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    strv_take(s, str_vprintf(fmt, ap));
    va_end(ap);
}

void strv_append(struct strv *dst, const struct strv *src)
{
    size_t n = src->n; /* dst may be src */

    for (size_t i = 0; i < n; i++)
        strv_add(dst, src->v[i]);
}

void strv_copy(struct strv *dst, const struct strv *src)
{
    if (dst == src)
        return;
    strv_clear(dst);
    strv_append(dst, src);
}

void strv_remove(struct strv *s, size_t i)
{
    assert(i < s->n);
    mem_free(s->v[i]);
    memmove(s->v + i, s->v + i + 1, (s->n - i) * sizeof(*s->v)); /* with the NULL */
    s->n--;
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void strv_sort(struct strv *s)
{
    if (s->n > 1)
        qsort(s->v, s->n, sizeof(*s->v), compare);
}

bool strv_has(const struct strv *s, const char *str)
{
    for (size_t i = 0; i < s->n; i++)
        if (strcmp(s->v[i], str) == 0)
            return true;
    return false;
}

void strv_split(struct strv *s, const char *str, char sep)
{
    if (*str == '\0')
        return;
    for (const char *end; (end = strchr(str, sep)) != NULL; str = end + 1)
        strv_addn(s, str, (size_t)(end - str));
    strv_add(s, str);
}

char *strv_join(const struct strv *s, const char *sep)
{
    struct buf b = BUF_INIT;

    for (size_t i = 0; i < s->n; i++) {
        if (i > 0)
            buf_adds(&b, sep);
        buf_adds(&b, s->v[i]);
    }
    return buf_take(&b);
}

/* Index of key, or n. Compared in place: there may be thousands of them, and as many questions. */
static size_t env_find(const struct strv *env, const char *key)
{
    for (size_t i = 0; i < env->n; i++) {
        const char *s = env->v[i];
        size_t k = 0;
        while (key[k] != '\0' && s[k] == key[k])
            k++;
        if (key[k] == '\0' && s[k] == '=')
            return i;
    }
    return env->n;
}

void env_set(struct strv *env, const char *key, const char *value)
{
    size_t i = env_find(env, key);
    char *entry = str_printf("%s=%s", key, value); /* before the free: value may be the old one */

    if (i < env->n) {
        mem_free(env->v[i]);
        env->v[i] = entry;
    } else {
        strv_take(env, entry);
    }
}

const char *env_get(const struct strv *env, const char *key)
{
    size_t i = env_find(env, key);

    return i < env->n ? env->v[i] + strlen(key) + 1 : NULL;
}

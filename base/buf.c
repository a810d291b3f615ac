#include "base/buf.h"
#include "base/mem_internal.h"

#include <assert.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void buf_release(struct buf *b)
{
    mem_free(b->data);
    *b = (struct buf)BUF_INIT;
}

void buf_clear(struct buf *b)
{
    buf_truncate(b, 0);
}

/* Doubles, so that adding byte by byte stays linear; one byte more is there for the NUL. */
char *buf_room(struct buf *b, size_t n)
{
    size_t need;

    if (__builtin_add_overflow(b->len, n, &need) || __builtin_add_overflow(need, 1, &need))
        die("out of memory");
    if (need > b->cap) {
        size_t cap = b->cap ? b->cap : 32;
        while (cap < need)
            cap = cap > SIZE_MAX / 2 ? need : cap * 2;
        b->data = mem_grow(b->data, cap, 1);
        b->cap = cap;
    }

    b->data[b->len] = '\0';
    return b->data + b->len;
}

/* True when p points into the memory that adding might move. */
static bool is_inside(const struct buf *b, const void *p)
{
    return b->data != NULL && (const char *)p >= b->data && (const char *)p < b->data + b->cap;
}

void buf_add(struct buf *b, const void *p, size_t n)
{
    if (is_inside(b, p)) {
        size_t at = (size_t)((const char *)p - b->data);
        buf_room(b, n);
        p = b->data + at;
    } else {
        buf_room(b, n);
    }
    if (n > 0)
        memmove(b->data + b->len, p, n);
    b->len += n;
    b->data[b->len] = '\0';
}

void buf_adds(struct buf *b, const char *s)
{
    buf_add(b, s, strlen(s));
}

void buf_addc(struct buf *b, char c)
{
    buf_add(b, &c, 1);
}

void buf_addf(struct buf *b, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    AUTO(mem_free) char *s = str_vprintf(fmt, ap);
    va_end(ap);
    buf_adds(b, s);
}

void buf_truncate(struct buf *b, size_t len)
{
    assert(len <= b->len);
    b->len = len;
    if (b->data != NULL)
        b->data[len] = '\0';
}

const char *buf_str(const struct buf *b)
{
    return b->data ? b->data : "";
}

char *buf_take(struct buf *b)
{
    char *s = b->data;

    if (s == NULL)
        s = str_dup("");
    *b = (struct buf)BUF_INIT;
    return s;
}

/*
 * struct buf: bytes that grow, always with a NUL after the last one once
 * anything was added. struct strv: a list of owned strings, argv-shaped
 * (v[n] is NULL once anything was added). Both are values: start them
 * BUF_INIT / STRV_INIT, release them in place. One thread.
 */
#ifndef SHALE_BASE_BUF_H
#define SHALE_BASE_BUF_H

#include "base/mem.h"
#include "base/own.h"
#include <stdbool.h>
#include <stddef.h>

struct buf {
    char *data; /* NULL while nothing was ever added */
    size_t len, cap;
};
#define BUF_INIT     \
    {                \
        .data = NULL \
    }

void buf_release(struct buf *b);
DEFINE_AUTO_VALUE(struct buf, buf_release);
void buf_clear(struct buf *b); /* keeps the memory */
void buf_add(struct buf *b, const void *p, size_t n);
void buf_adds(struct buf *b, const char *s);
void buf_addc(struct buf *b, char c);
void buf_addf(struct buf *b, const char *fmt, ...) PRINTF(2, 3);
/* Room for n more bytes at data + len; the caller raises len by what it wrote. */
char *buf_room(struct buf *b, size_t n);
void buf_truncate(struct buf *b, size_t len);
const char *buf_str(const struct buf *b);              /* never NULL */
char *buf_take(struct buf *b) OWNED(mem_free) NONNULL; /* never NULL; b is empty afterwards */

struct strv {
    char **v;
    size_t n, cap;
};
#define STRV_INIT \
    {             \
        .v = NULL \
    }

void strv_release(struct strv *s);
DEFINE_AUTO_VALUE(struct strv, strv_release);
void strv_clear(struct strv *s);
void strv_add(struct strv *s, const char *str);            /* copies */
void strv_addn(struct strv *s, const char *str, size_t n); /* copies */
void strv_addf(struct strv *s, const char *fmt, ...) PRINTF(2, 3);
void strv_take(struct strv *s, char *str);                /* takes over */
void strv_copy(struct strv *dst, const struct strv *src); /* dst is cleared first */
void strv_append(struct strv *dst, const struct strv *src);
void strv_remove(struct strv *s, size_t i);
void strv_sort(struct strv *s); /* bytewise */
bool strv_has(const struct strv *s, const char *str);
/* Splits at every sep; "" gives no element. */
void strv_split(struct strv *s, const char *str, char sep);
char *strv_join(const struct strv *s, const char *sep) OWNED(mem_free) NONNULL;

/* "K=V" lists, as an environment: later sets replace in place, order is kept. */
void env_set(struct strv *env, const char *key, const char *value);
const char *env_get(const struct strv *env, const char *key); /* NULL: not there; borrowed */

#endif

/*
 * The only place that calls malloc, strdup and asprintf: out of memory aborts
 * with one line on stderr, so nobody else checks. Sizes that come from outside
 * are capped by the caller first. Everything here is freed by mem_free.
 */
#ifndef SHALE_BASE_MEM_H
#define SHALE_BASE_MEM_H

#include "base/own.h"
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

void mem_free(void *p);
static inline void mem_free_at(void *pp)
{
    mem_free(*(void **)pp);
}

void *mem_alloc(size_t n) OWNED(mem_free) NONNULL;  /* not cleared; n 0 gives a valid pointer */
void *mem_zalloc(size_t n) OWNED(mem_free) NONNULL; /* cleared */
void *mem_calloc(size_t n, size_t size) OWNED(mem_free) NONNULL; /* cleared, overflow aborts */
/* Consumes p. Overflow aborts. */
void *mem_grow(void *p, size_t n, size_t size) __attribute__((warn_unused_result)) NONNULL;
void *mem_dup(const void *p, size_t n) OWNED(mem_free) NONNULL;

char *str_dup(const char *s) OWNED(mem_free);                    /* NULL gives NULL */
char *str_ndup(const char *s, size_t n) OWNED(mem_free) NONNULL; /* stops at a NUL */
char *str_printf(const char *fmt, ...) OWNED(mem_free) NONNULL PRINTF(1, 2);
char *str_vprintf(const char *fmt, va_list ap) OWNED(mem_free) NONNULL PRINTF(1, 0);

bool str_eq(const char *a, const char *b); /* NULL equals only NULL */
bool str_starts(const char *s, const char *prefix);
bool str_ends(const char *s, const char *suffix);
/* As Go's ParseBool: "1", "t", "T", "true", "True", "TRUE" and their opposites. False: none of
 * them. */
bool str_to_bool(const char *s, bool *ret);

/* Room for n + 1 elements in a growing array of cap elements; doubles. */
#define MEM_ROOM(array, n, cap)                                   \
    do {                                                          \
        if ((n) >= (cap)) {                                       \
            (cap) = (cap) ? (cap)*2 : 8;                          \
            (array) = mem_grow((array), (cap), sizeof(*(array))); \
        }                                                         \
    } while (0)

#endif

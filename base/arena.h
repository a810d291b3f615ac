/*
 * Memory for many small things that go together: handed out one behind the
 * other and given back all at once. A value: start it ARENA_INIT, release it
 * in place. What was handed out stays where it is. One thread.
 */
#ifndef SHALE_BASE_ARENA_H
#define SHALE_BASE_ARENA_H

#include "base/own.h"
#include <stddef.h>

struct arena_chunk;
struct arena {
    struct arena_chunk *chunks; /* the last one first */
    char *at;                   /* free from here */
    size_t left, next;          /* bytes; next: of the chunk to come */
};
#define ARENA_INIT      \
    {                   \
        .chunks = NULL, \
    }

void arena_release(struct arena *a);
DEFINE_AUTO_VALUE(struct arena, arena_release);

/* Aligned for any type; not cleared. */
void *arena_alloc(struct arena *a, size_t n) NONNULL;
void *arena_zalloc(struct arena *a, size_t n) NONNULL;
void *arena_dup(struct arena *a, const void *p, size_t n) NONNULL;
char *arena_strn(struct arena *a, const char *s, size_t n) NONNULL; /* n bytes and a NUL */
char *arena_str(struct arena *a, const char *s);                    /* NULL gives NULL */

#endif

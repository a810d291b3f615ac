#include "base/arena.h"
#include "base/mem.h"
#include "base/mem_internal.h"

#include <stdint.h>
#include <string.h>

#define FIRST_CHUNK 1024
#define LAST_CHUNK (256 * 1024) /* they double up to here */

struct arena_chunk {
    struct arena_chunk *before;
    max_align_t data[];
};

void arena_release(struct arena *a)
{
    while (a->chunks != NULL) {
        struct arena_chunk *before = a->chunks->before;
        mem_free(a->chunks);
        a->chunks = before;
    }
    *a = (struct arena)ARENA_INIT;
}

static void add_chunk(struct arena *a, size_t n)
{
    size_t size = a->next ? a->next : FIRST_CHUNK;
    a->next = size < LAST_CHUNK ? 2 * size : size;
    if (size < n)
        size = n;
    if (size > SIZE_MAX - sizeof(struct arena_chunk))
        die("out of memory");
    struct arena_chunk *c = mem_alloc(sizeof(*c) + size);
    c->before = a->chunks;
    a->chunks = c;
    a->at = (char *)c->data;
    a->left = size;
}

static void *take(struct arena *a, size_t n)
{
    if (n > a->left || a->at == NULL)
        add_chunk(a, n);
    char *p = a->at;
    a->at += n;
    a->left -= n;
    return p;
}

void *arena_alloc(struct arena *a, size_t n)
{
    size_t pad = -(uintptr_t)a->at & (_Alignof(max_align_t) - 1);
    if (pad <= a->left) {
        a->at += pad;
        a->left -= pad;
    } else {
        a->left = 0;
    }
    return take(a, n);
}

void *arena_zalloc(struct arena *a, size_t n)
{
    return memset(arena_alloc(a, n), 0, n);
}

void *arena_dup(struct arena *a, const void *p, size_t n)
{
    void *copy = arena_alloc(a, n);
    return n > 0 ? memcpy(copy, p, n) : copy;
}

char *arena_strn(struct arena *a, const char *s, size_t n)
{
    char *copy = take(a, n + 1);
    if (n > 0)
        memcpy(copy, s, n);
    copy[n] = '\0';
    return copy;
}

char *arena_str(struct arena *a, const char *s)
{
    return s ? arena_strn(a, s, strlen(s)) : NULL;
}

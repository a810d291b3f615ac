/* What is planned, found by path: a hash table that keeps the order, and nothing freed on the way.
 */
#include "engine/layer_plan_internal.h"

#include <string.h>
#include <sys/auxv.h>

void plan_table_init(struct plan_table *t)
{
    unsigned long random = getauxval(AT_RANDOM); /* 16 bytes, others for each process */
    TAILQ_INIT(&t->order);
    if (random != 0)
        memcpy(&t->seed, (const void *)random, sizeof(t->seed)); /* NOLINT */
}

void plan_table_release(struct plan_table *t)
{
    mem_free(t->slots);
}

/* The path's slot: it has the path, or is free. */
static struct planned **slot_of(const struct plan_table *t, const char *path, size_t n,
                                uint64_t hash)
{
    for (size_t i = hash & (t->n_slots - 1);; i = (i + 1) & (t->n_slots - 1)) {
        const struct planned *x = t->slots[i];
        if (x == NULL || (x->hash == hash && x->path_len == n && memcmp(x->e.path, path, n) == 0))
            return &t->slots[i];
    }
}

struct planned *plan_table_find(const struct plan_table *t, const char *path, size_t n)
{
    if (t->n_slots == 0)
        return NULL;
    struct planned *x = *slot_of(t, path, n, quick_hash(path, n, t->seed));
    return x != NULL && !x->gone ? x : NULL;
}

/* At most half full. */
static void make_room(struct plan_table *t)
{
    if ((t->n_used + 1) * 2 <= t->n_slots)
        return;
    struct planned **old = t->slots;
    size_t n_old = t->n_slots;
    t->n_slots = n_old ? 4 * n_old : 64;
    t->slots = mem_calloc(t->n_slots, sizeof(struct planned *));
    for (size_t i = 0; i < n_old; i++)
        if (old[i] != NULL)
            *slot_of(t, old[i]->e.path, old[i]->path_len, old[i]->hash) = old[i];
    mem_free(old);
}

struct planned *plan_table_make(struct plan_table *t, struct arena *a, const char *path,
                                bool *ret_new)
{
    size_t n = strlen(path);
    uint64_t hash = quick_hash(path, n, t->seed);
    make_room(t);
    struct planned **slot = slot_of(t, path, n, hash), *x = *slot;
    *ret_new = x == NULL || x->gone;
    if (x == NULL) {
        x = *slot = arena_zalloc(a, sizeof(*x));
        x->e.path = arena_strn(a, path, n);
        x->path_len = n;
        x->hash = hash;
        t->n_used++;
    }
    if (*ret_new) {
        TAILQ_INSERT_TAIL(&t->order, x, order);
        t->n++;
    }
    x->gone = false;
    return x;
}

void plan_table_drop(struct plan_table *t, struct planned *x)
{
    origin_release(&x->origin);
    x->gone = true;
    TAILQ_REMOVE(&t->order, x, order);
    t->n--;
}

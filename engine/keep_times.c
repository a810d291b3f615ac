#include "engine/keep_times.h"

#include "engine/build_internal.h"
#include "engine/layer_plan_internal.h"
#include <string.h>

void keep_times(const struct step *s, struct layer_plan *p)
{
    struct store *store = s->st->b->store;
    const struct step_report *r = s->report;
    struct record before;
    struct err none = ERR_INIT;
    if (stage_no_cache(s->st) || s->st->b->epoch >= 0 || !s->copies || !r->has_before ||
        s->st->b->o->trace == TRACE_OFF || record_get(store, &r->before, &before, &none) < 0 ||
        !before.has_layer)
        return;
    const struct layer *l = layer_get(store, &before.layer, &none);
    if (l != NULL)
        plan_keep_times(p, l->listing);
}

/* Those directly in dir. */
static size_t count_names(const struct listing *l, const char *dir)
{
    size_t n = 0, i, end;
    if (!listing_range(l, dir, &i, &end))
        return 0;
    for (i++; i < end; n++) { /* dir comes first */
        struct entry e;
        size_t first = i;
        listing_at(l, first, &e);
        if (e.type != ENTRY_DIR || !listing_range(l, e.path, &first, &i))
            i++;
    }
    return n;
}

static bool has_same_names(const struct listing *before, const struct planned *dir)
{
    size_t n = 0;
    for (const struct planned *c = dir->children; c != NULL; c = c->next_child) {
        struct entry e;
        if (c->gone || !c->changes)
            continue;
        if (!listing_find(before, c->e.path, &e) || e.type != c->e.type)
            return false;
        n++;
    }
    return n == count_names(before, dir->e.path);
}

/* A directory on the way to what is copied has the time that it has below. */
static bool is_repeated(const struct layer_plan *p, const struct planned *x)
{
    struct entry e;
    return !x->bare && view_find(p->below, x->e.path, &e, NULL) && e.type == ENTRY_DIR &&
           e.mtime == x->e.mtime && e.mtime_ns == x->e.mtime_ns;
}

static bool is_as_before(const struct layer_plan *p, const struct planned *x, struct entry *ret)
{
    if (x->group > 0 || !listing_find(p->before, x->e.path, ret) || ret->hardlink != NULL ||
        ret->opaque != x->e.opaque || !entry_same(&x->e, ret))
        return false;
    return x->e.type != ENTRY_DIR || (!is_repeated(p, x) && has_same_names(p->before, x));
}

static bool is_older(const struct entry *a, const struct entry *b)
{
    return a->mtime < b->mtime || (a->mtime == b->mtime && a->mtime_ns < b->mtime_ns);
}

/* The oldest of the files that are not as they were; NULL: all are. */
static const struct planned *oldest_new(const struct layer_plan *p)
{
    const struct planned *ret = NULL, *x;
    struct entry e;
    TAILQ_FOREACH(x, &p->table.order, order)
    {
        if (x->changes && x->e.type != ENTRY_DIR && !is_as_before(p, x, &e) &&
            (ret == NULL || is_older(&x->e, &ret->e)))
            ret = x;
    }
    return ret;
}

/*
 * make and its like go by which of two files is the older one: what is newer than a file that has
 * changed must not become older than that.
 */
void plan_take_times(struct layer_plan *p)
{
    struct planned *x;
    struct entry e;
    if (p->before == NULL)
        return;
    const struct planned *oldest = oldest_new(p);
    TAILQ_FOREACH(x, &p->table.order, order)
    {
        if (!x->changes || (oldest != NULL && !is_older(&x->e, &oldest->e)) ||
            !is_as_before(p, x, &e))
            continue;
        x->e.mtime = e.mtime;
        x->e.mtime_ns = e.mtime_ns;
    }
}

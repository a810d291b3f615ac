/* Notes of a dry walk: where the files of the context go. */
#include "engine/context_places_internal.h"

#include "base/fs.h"
#include "engine/contexts.h"
#include "exec/observe.h"
#include <string.h>

struct context_places *context_places_new(void)
{
    struct context_places *p = mem_zalloc(sizeof(*p));
    pthread_mutex_init(&p->lock, NULL);
    p->used = map_new(mem_free);
    p->by_path = map_new(NULL);
    return p;
}

void context_places_free(struct context_places *p)
{
    if (p == NULL)
        return;
    for (size_t i = 0; i < p->n_places; i++)
        mem_free(p->places[i]);
    for (size_t i = 0; i < p->n_runs; i++) {
        mem_free(p->runs[i]->holders);
        mem_free(p->runs[i]);
    }
    mem_free(p->places);
    mem_free(p->runs);
    map_free(p->by_path);
    map_free(p->used);
    pthread_mutex_destroy(&p->lock);
    mem_free(p);
}

/* Notes; under the lock. */

struct used *context_used(struct context_places *p, const char *path)
{
    struct used *u = map_get(p->used, path);
    if (u == NULL) {
        u = mem_zalloc(sizeof(*u));
        map_set(p->used, path, u);
    }
    return u;
}

void context_need(struct context_places *p, const char *path)
{
    for (const char *at = path; *at != '\0';) {
        at += strcspn(at + 1, "/") + 1;
        AUTO(mem_free) char *part = str_ndup(path, (size_t)(at - path));
        context_used(p, part)->needed = true;
    }
}

static char *place_name(const void *holder, const char *path)
{
    return str_printf("%p:%s", holder, path);
}

void context_place(struct context_places *p, const void *holder, const char *path,
                   struct used *used)
{
    AUTO(mem_free) char *name = place_name(holder, path);
    struct place *same = map_get(p->by_path, name);
    for (const struct place *x = same; x != NULL; x = x->next)
        if (x->used == used)
            return;
    struct place *x = mem_zalloc(sizeof(*x) + strlen(path) + 1);
    *x = (struct place){ .next = same, .holder = holder, .used = used };
    x->path = strcpy((char *)(x + 1), path);
    map_set(p->by_path, name, x);
    MEM_ROOM(p->places, p->n_places, p->cap_places);
    p->places[p->n_places++] = x;
}

static bool is_main(struct build *b, const struct context *dir)
{
    const struct build_context *c;
    struct err none = ERR_INIT;
    return dir != NULL && contexts_find(b, NULL, NULL, &c, &none) == 0 && c->dir == dir;
}

struct planned_places {
    struct build *b;
    const void *holder;
    bool is_whole;
};

/* plan_each_fn: what comes of the context, itself or by way of another layer. */
static void note_planned(void *arg, const char *path, const struct origin *o)
{
    const struct planned_places *t = arg;
    struct context_places *p = t->b->places;
    if (o->path == NULL)
        return;
    if (is_main(t->b, o->context)) {
        struct used *u = context_used(p, o->path);
        u->needed = u->needed || t->is_whole;
        context_place(p, t->holder, path, u);
        return;
    }
    AUTO(mem_free) char *name = o->layer != NULL ? place_name(o->layer, o->path) : NULL;
    const struct place *x = name != NULL ? map_get(p->by_path, name) : NULL;
    for (; x != NULL; x = x->next) {
        x->used->needed = x->used->needed || t->is_whole;
        context_place(p, t->holder, path, x->used);
    }
}

/* A path of layers, and the directories that it is in: what of the context they are. */
static void need_in_layers(struct context_places *p, const struct layer *const *layers, size_t n,
                           const char *path)
{
    AUTO(mem_free) char *part = str_dup(path);
    while (*part != '\0') {
        for (size_t i = 0; i < n; i++) {
            AUTO(mem_free) char *name = place_name(layers[i], part);
            for (struct place *x = map_get(p->by_path, name); x != NULL; x = x->next)
                x->used->needed = true;
        }
        char *slash = strrchr(part, '/');
        *(slash != NULL ? slash : part) = '\0';
    }
}

void context_places_source(struct build *b, const struct files *f, const char *path,
                           const char *real)
{
    struct context_places *p = b->places;
    if (p == NULL || (f->context != NULL && !is_main(b, f->context)))
        return;
    pthread_mutex_lock(&p->lock);
    p->follows_links = p->follows_links || !str_eq(path, real);
    if (f->context != NULL) {
        context_need(p, path);
        context_need(p, real);
    } else {
        need_in_layers(p, f->layers, f->n_layers, path);
        need_in_layers(p, f->layers, f->n_layers, real);
    }
    pthread_mutex_unlock(&p->lock);
}

void context_places_copy(struct build_stage *st, const struct layer_plan *plan, size_t n_below,
                         bool is_whole)
{
    struct context_places *p = st->b->places;
    const struct state *s = &st->state;
    if (p == NULL || s->n_layers <= n_below)
        return;
    struct planned_places t = { .b = st->b,
                                .holder = s->layers[s->n_layers - 1],
                                .is_whole = is_whole };
    pthread_mutex_lock(&p->lock);
    p->follows_links = p->follows_links || is_whole;
    plan_each(plan, note_planned, &t);
    pthread_mutex_unlock(&p->lock);
}

void context_stands_on(struct run_note *r, const struct holder *h)
{
    MEM_ROOM(r->holders, r->n, r->cap);
    r->holders[r->n++] = *h;
}

static void add_layer(struct run_note *r, const struct layer *l, bool is_copy)
{
    bool is_soft = is_copy && observe_can_serve(l->listing);
    struct holder h = { .is = l, .layer = l, .is_soft = is_soft, .is_whole = !is_soft };
    context_stands_on(r, &h);
}

/* Of layers what is shown, or what a cache begins with, is compared whole. */
static void need_shown(struct context_places *p, const struct run_mounted *x)
{
    for (size_t i = 0; i < p->n_places; i++) {
        struct place *place = p->places[i];
        bool shown = str_eq(place->path, x->source) || path_is_below(place->path, x->source);
        for (size_t k = 0; shown && k < x->files.n_layers; k++)
            if (place->holder == x->files.layers[k])
                place->used->needed = true;
    }
}

static void add_mount(struct build *b, struct run_note *r, const struct run_mounted *x)
{
    const struct files *f = &x->files;
    struct err none = ERR_INIT;
    if (f->context == NULL)
        need_shown(b->places, x);
    if (f->context == NULL || f->plan == NULL)
        return;
    AUTO(listing_free) struct listing *l = plan_listing(f->plan, &none);
    struct planned_places t = { .b = b, .holder = r };
    struct holder own = { .is = r };
    own.is_soft = x->m->type == MOUNT_BIND && l != NULL && observe_can_serve(l);
    own.is_whole = !own.is_soft;
    context_stands_on(r, &own);
    plan_each(f->plan, note_planned, &t);
}

/* What is looked for in listings, before the command runs and beside what it asks. */
static void need_places(struct context_places *p, const struct state *s, size_t n_below,
                        const struct run_mounts *mounts)
{
    static const char *const always[] = { "etc/passwd", "etc/group", "etc/hosts",
                                          "etc/resolv.conf" };
    const char *cwd = s->config.workdir;
    for (size_t i = 0; i < ARRAY_LEN(always); i++)
        need_in_layers(p, s->layers, n_below, always[i]);
    AUTO(mem_free) char *dir = path_join("/", cwd != NULL ? cwd : "");
    need_in_layers(p, s->layers, n_below, dir + 1);
    for (size_t i = 0; i < mounts->n; i++) {
        AUTO(mem_free) char *target = path_join("/", mounts->v[i].target);
        need_in_layers(p, s->layers, n_below, target + 1);
    }
}

void context_places_run(struct build_stage *st, const struct step_report *report, size_t n_below,
                        const struct run_mounts *mounts)
{
    struct context_places *p = st->b->places;
    const struct state *s = &st->state;
    if (p == NULL)
        return;
    struct run_note *r = mem_zalloc(sizeof(*r));
    r->report = report;
    pthread_mutex_lock(&p->lock);
    need_places(p, s, n_below, mounts);
    for (size_t i = 0; i < n_below; i++)
        add_layer(r, s->layers[i], s->made_by[i] != NULL && s->made_by[i]->copies);
    for (size_t i = 0; i < mounts->n; i++)
        if (mounts->v[i].has_files)
            add_mount(st->b, r, &mounts->v[i]);
    MEM_ROOM(p->runs, p->n_runs, p->cap_runs);
    p->runs[p->n_runs++] = r;
    pthread_mutex_unlock(&p->lock);
}

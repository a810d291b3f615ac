#include "engine/files.h"

#include "base/fs.h"
#include "engine/base_images.h"
#include "engine/context_internal.h"
#include "engine/contexts.h"
#include "engine/engine_internal.h"
#include <string.h>

void files_release(struct files *f)
{
    mem_free(f->layers);
    mem_free(f->shown);
    view_free(f->view);
    plan_free(f->plan);
    view_free(f->nothing);
}

static void take_layers(struct files *f, const struct layer *const *layers, size_t n)
{
    f->layers = mem_calloc(n + 1, sizeof(*f->layers));
    f->n_layers = n;
    const struct listing **listings = mem_calloc(n + 1, sizeof(*listings));
    for (size_t i = 0; i < n; i++) {
        f->layers[i] = layers[i];
        listings[i] = layers[i]->listing;
    }
    f->view = view_new(listings, n);
    mem_free(listings);
}

static int from_stage(struct build_stage *st, struct files *f, size_t index, struct err *err)
{
    if (stage_wait(st, index, err) < 0)
        return err->code;
    const struct state *s = &f->b->stages[index].state;
    if (s->undecided != NULL)
        return err_set(err, ERR_UNDECIDED, "%s", s->undecided);
    take_layers(f, s->layers, s->n_layers);
    return 0;
}

static int from_other_image(struct build_stage *st, struct files *f, const char *name,
                            struct err *err)
{
    if (str_eq(name, "scratch")) {
        take_layers(f, NULL, 0);
        return 0;
    }
    AUTO(base_image_release) struct base_image x = { .found = NULL };
    if (base_image_find(f->b, name, &st->platform, NULL, &x, err) < 0)
        return err->code;
    base_image_show(f->b, &x, &st->platform);
    take_layers(f, x.found->layers, x.found->n_layers);
    return 0;
}

static int from_context(struct build_stage *st, struct files *f, const struct build_context *c,
                        const struct strv *wants, struct err *err)
{
    if (c->kind == CONTEXT_STAGE)
        return from_stage(st, f, build_stage_index(st, c->stage), err);
    if (c->kind != CONTEXT_DIR) {
        take_layers(f, c->layers, c->n_layers);
        return 0;
    }
    f->context = c->dir;
    return files_want(f, wants, err);
}

/* A stage by number or name is the named context that has replaced it. */
static const char *context_word(const struct build_stage *st, const char *name)
{
    int ref = name != NULL ? build_stage_ref(st, name) : -1;
    return ref >= 0 && st->b->stages[ref].replaced ? st->b->stages[ref].def->name : name;
}

int files_open(struct build_stage *st, const char *from, const struct strv *wants,
               struct files *ret, struct err *err)
{
    const char *name = context_word(st, from != NULL && *from ? from : NULL);
    AUTO(files_release)
    struct files f = { .b = st->b, .shown = str_dup(name ? name : "context") };
    const struct build_context *c = NULL;
    int rc = contexts_find(st->b, name, &st->platform, &c, err);
    if (rc == 0) {
        rc = from_context(st, &f, c, wants, err);
    } else if (rc == ERR_NOT_FOUND && name != NULL) {
        err_clear(err);
        int stage = build_stage_ref(st, name);
        rc = stage >= 0 ? from_stage(st, &f, (size_t)stage, err)
                        : from_other_image(st, &f, name, err);
    }
    if (rc < 0)
        return rc;
    *ret = f;
    memset(&f, 0, sizeof(f));
    return 0;
}

int files_not_found(const char *shown, const char *path, struct err *err)
{
    return err_set(err, ERR_USAGE,
                   "failed to compute cache key: failed to calculate checksum of ref %s: "
                   "\"/%s\": not found",
                   shown, path);
}

int files_want(struct files *f, const struct strv *wants, struct err *err)
{
    const struct listing *l;
    if (f->context == NULL)
        return 0;
    if (contexts_scan(f->b, f->context, wants, &l, err) < 0)
        return err->code;
    f->listing = l;
    view_free(f->view);
    f->view = view_new(&l, 1);
    return 0;
}

static bool has_links(const struct listing *l, const char *path)
{
    size_t i, end;
    struct entry e;
    if (!listing_range(l, path, &i, &end))
        return false;
    for (; i < end; i++) {
        listing_at(l, i, &e);
        if (e.type == ENTRY_FILE && e.hardlink != NULL)
            return true;
    }
    return false;
}

bool files_have_links(const struct files *f, const char *path)
{
    if (f->context != NULL)
        return has_links(f->listing, path);
    for (size_t i = 0; i < f->n_layers; i++)
        if (has_links(f->layers[i]->listing, path))
            return true;
    return false;
}

void files_origin(const struct files *f, const struct entry *e, size_t layer, struct origin *ret)
{
    memset(ret, 0, sizeof(*ret));
    if (e->type == ENTRY_FILE)
        ret->kind = f->context != NULL ? ORIGIN_CONTEXT : ORIGIN_LAYER;
    ret->path = e->path;
    ret->context = f->context;
    ret->layer = f->context != NULL ? NULL : f->layers[layer];
}

/* view_fn: the entry at its own place */
static int plan_entry(void *arg, const struct entry *e, size_t layer, struct err *err)
{
    struct files *f = arg;
    struct origin o;
    struct entry copy = *e;
    if (*e->path == '\0')
        return 0;
    files_origin(f, e, layer, &o);
    copy.hardlink = NULL; /* a name of its own: equal in content */
    copy.opaque = false;
    return plan_put(f->plan, &copy, &o, err);
}

int files_identify(struct files *f, const char *path, struct content_id *ret, struct err *err)
{
    if (f->nothing == NULL)
        f->nothing = view_new(NULL, 0);
    plan_free(f->plan);
    f->plan = plan_new(f->b->store, f->nothing, 0, 0, 0);
    AUTO(mem_free) char *parent = path_dir(path);
    if (!str_eq(parent, ".") && *parent && plan_dir(f->plan, parent, err) < 0)
        return err->code;
    int rc = view_walk(f->view, path, plan_entry, f, err);
    return rc == 0 ? plan_content_id(f->plan, ret, err) : rc;
}

/* context_layer */
static const struct layer *make_shown(void *arg, struct err *err)
{
    struct files *f = arg;
    const struct layer *l = plan_make(f->plan, err);
    if (l == NULL)
        build_note_change(f->b, f->context, err);
    return l;
}

static struct listing *foresee_shown(void *arg, struct err *err)
{
    struct files *f = arg;
    return plan_listing(f->plan, err);
}

/* The layer that a mount shows; the next one need not make it again. */
static const struct layer *shown_layer(struct files *f, struct err *err)
{
    struct digest id;
    if (plan_whole_id(f->plan, &id, err) < 0)
        return NULL;
    AUTO(key_free) struct key *k = key_new("mount");
    AUTO(mem_free) char *shown = str_printf("files of %s for a mount", f->shown);
    struct context_layer x = {
        .shown = shown, .make = make_shown, .foresee = foresee_shown, .arg = f
    };
    key_digest(k, "listing", &id);
    const struct layer *l = context_layer_once(f->b, k, &x, err);
    f->made_s = x.made_s;
    return l;
}

int files_stack(struct files *f, const struct layer *const **ret, size_t *ret_n, struct err *err)
{
    if (f->context != NULL && f->layers == NULL) {
        const struct layer *l = shown_layer(f, err);
        if (l == NULL)
            return err->code;
        f->layers = mem_calloc(1, sizeof(*f->layers));
        f->layers[0] = l;
        f->n_layers = 1;
    }
    *ret = f->layers;
    *ret_n = f->n_layers;
    return 0;
}

#include "engine/files.h"

#include "base/fs.h"
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
    found_image_release(&f->image);
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

static int from_stage(struct files *f, size_t index, struct err *err)
{
    if (stage_wait(f->b, index, err) < 0)
        return err->code;
    const struct state *s = &f->b->stages[index].state;
    take_layers(f, s->layers, s->n_layers);
    return 0;
}

static int from_other_image(struct build_stage *st, struct files *f, const char *name,
                            struct err *err)
{
    struct build *b = f->b;
    if (str_eq(name, "scratch")) {
        take_layers(f, NULL, 0);
        return 0;
    }
    AUTO(image_name_release) struct image_name parsed = { 0 };
    if (image_name_parse(name, &parsed, err) < 0)
        return err_wrap(err, "failed to parse stage name \"%s\"", name);
    struct find_options options = { .platform = &st->platform,
                                    .pull = b->o->pull,
                                    .offline = b->o->offline };
    if (find_image(b->e, name, &options, &f->image, err) < 0)
        return err_wrap(err, "%s: failed to resolve source metadata", name);
    take_layers(f, f->image.layers, f->image.n_layers);
    return 0;
}

static int from_context(struct files *f, const struct build_context *c, const struct strv *wants,
                        struct err *err)
{
    if (c->kind == CONTEXT_STAGE)
        return from_stage(f, (size_t)c->stage, err);
    if (c->kind != CONTEXT_DIR) {
        take_layers(f, c->layers, c->n_layers);
        return 0;
    }
    f->context = c->dir;
    return files_want(f, wants, err);
}

int files_open(struct build_stage *st, const char *from, const struct strv *wants,
               struct files *ret, struct err *err)
{
    const char *name = from != NULL && *from ? from : NULL;
    AUTO(files_release)
    struct files f = { .b = st->b, .shown = str_dup(name ? name : "context") };
    const struct build_context *c = NULL;
    int rc = contexts_find(st->b, name, &st->platform, &c, err);
    if (rc == 0) {
        rc = from_context(&f, c, wants, err);
    } else if (rc == ERR_NOT_FOUND && name != NULL) {
        err_clear(err);
        int stage = build_stage_ref(st->b, name, st->index);
        rc = stage >= 0 ? from_stage(&f, (size_t)stage, err) : from_other_image(st, &f, name, err);
    }
    if (rc < 0)
        return rc;
    *ret = f;
    memset(&f, 0, sizeof(f));
    return 0;
}

int files_want(struct files *f, const struct strv *wants, struct err *err)
{
    const struct listing *l;
    if (f->context == NULL)
        return 0;
    if (contexts_scan(f->b, f->context, wants, &l, err) < 0)
        return err->code;
    view_free(f->view);
    f->view = view_new(&l, 1);
    return 0;
}

void files_origin(const struct files *f, const struct entry *e, size_t layer, struct origin *ret)
{
    memset(ret, 0, sizeof(*ret));
    if (e->type != ENTRY_FILE)
        return;
    ret->kind = f->context != NULL ? ORIGIN_CONTEXT : ORIGIN_LAYER;
    ret->path = str_dup(e->path);
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

int files_stack(struct files *f, const struct layer *const **ret, size_t *ret_n, struct err *err)
{
    if (f->context != NULL && f->layers == NULL) {
        f->layers = mem_calloc(1, sizeof(*f->layers));
        f->layers[0] = plan_make(f->plan, err);
        if (f->layers[0] == NULL)
            return err->code;
        f->n_layers = 1;
    }
    *ret = f->layers;
    *ret_n = f->n_layers;
    return 0;
}

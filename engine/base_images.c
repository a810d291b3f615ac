#include "engine/base_images.h"

#include "base/clock.h"
#include "dockerfile/suggest.h"
#include "engine/engine_internal.h"
#include <string.h>

struct base {
    pthread_mutex_t lock;
    bool asked, shown;
    int rc;
    struct err err;
    struct found_image found;
};

void base_free(void *arg)
{
    struct base *x = arg;
    found_image_release(&x->found);
    pthread_mutex_destroy(&x->lock);
    mem_free(x);
}

void base_image_release(struct base_image *x)
{
    mem_free(x->canonical);
}

static struct base *base_of(struct build *b, const char *canonical, const struct platform *p)
{
    char platform[64];
    AUTO(mem_free) char *key = str_printf("%s %s", canonical, platform_format(p, platform));
    pthread_mutex_lock(&b->lock);
    struct base *x = map_get(b->bases, key);
    if (x == NULL) {
        x = mem_zalloc(sizeof(*x));
        pthread_mutex_init(&x->lock, NULL);
        map_set(b->bases, key, x);
    }
    pthread_mutex_unlock(&b->lock);
    return x;
}

static bool has_run(const struct build_stage *st)
{
    for (size_t k = 0; k < st->def->n_instrs; k++)
        if (st->def->instrs[k]->kind == INSTR_RUN)
            return true;
    return false;
}

/* Whether a RUN of a stage that is needed stands on the image, so that its tree will be. */
static bool is_run_on(const struct build *b, const char *name)
{
    for (size_t i = 0; i < b->df->n_stages; i++) {
        const struct build_stage *root = &b->stages[i];
        bool runs = root->needed && has_run(root);
        while (root->base_stage >= 0)
            root = &b->stages[root->base_stage];
        if (runs && str_eq(root->base, name))
            return true;
    }
    return false;
}

static void ask_base(struct build *b, const char *name, const char *canonical, const char *label,
                     const struct platform *platform, struct base *x)
{
    int64_t started = clock_mono_ms();
    int v = label != NULL ? vertex_begin(b->e, "%s", label)
                          : vertex_begin(b->e, "[internal] load metadata for %s", canonical);
    struct find_options options = { .platform = platform,
                                    .pull = b->o->pull,
                                    .offline = b->o->offline,
                                    .is_plan = b->is_plan,
                                    .is_run_on = is_run_on(b, name),
                                    .vertex = v,
                                    .no_claims = b->carried->no_claims,
                                    .caches = &b->o->cache_images };
    err_clear(&x->err);
    x->rc = find_image(b->e, name, &options, &x->found, &x->err);
    vertex_close(b->e, v, x->rc, started, &x->err);
    x->asked = x->rc != ERR_CANCELLED; /* who gave up has got no answer */
}

/* A stage's name, or one of the images that everybody knows, may have been meant: BuildKit's list.
 */
static void suggest_base(const struct build *b, const char *name, struct err *err)
{
    static const char *const known[] = { "alpine", "busybox", "centos", "debian",
                                         "golang", "ubuntu",  "fedora" };
    AUTO(strv_release) struct strv names = STRV_INIT;
    for (size_t i = 0; i < b->df->n_stages; i++)
        if (b->df->stages[i].name != NULL)
            strv_add(&names, b->df->stages[i].name);
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        strv_add(&names, known[i]);
        strv_addf(&names, "%s:latest", known[i]);
    }
    suggest_add(err, name, (const char *const *)names.v, names.n, true);
}

int base_image_find(struct build *b, const char *name, const struct platform *platform,
                    const char *label, struct base_image *ret, struct err *err)
{
    AUTO(image_name_release) struct image_name parsed = { 0 };
    if (image_name_parse(name, &parsed, err) < 0)
        return label != NULL ? err->code : err_wrap(err, "failed to parse stage name \"%s\"", name);
    AUTO(mem_free) char *canonical = image_name_canonical(&parsed);
    struct base *x = base_of(b, canonical, platform);
    pthread_mutex_lock(&x->lock);
    if (!x->asked)
        ask_base(b, name, canonical, label, platform, x);
    int rc = x->rc < 0 ? err_copy(err, &x->err) : 0;
    pthread_mutex_unlock(&x->lock);
    if (rc == ERR_UNDECIDED)
        return rc;
    if (rc < 0) {
        err_wrap(err, "failed to resolve source metadata for %s", canonical);
        if (label != NULL)
            return err->code;
        err_wrap(err, "%s", name);
        if (err->code != ERR_CANCELLED)
            suggest_base(b, name, err);
        return err->code;
    }
    ret->found = &x->found;
    ret->canonical = TAKE(canonical);
    return 0;
}

void base_image_show(struct build *b, const struct base_image *i, const struct platform *platform)
{
    struct base *x = base_of(b, i->canonical, platform);
    pthread_mutex_lock(&x->lock);
    bool first = !x->shown;
    x->shown = x->shown || !b->is_dry;
    pthread_mutex_unlock(&x->lock);
    if (first && !b->is_dry)
        vertex_end(b->e, vertex_begin(b->e, "FROM %s", i->canonical), VERTEX_CACHED, NULL, 0);
}

void base_images_each(const struct build *b, base_image_fn fn, void *arg)
{
    const char *key;
    void *value;
    for (size_t i = 0; map_next(b->bases, &i, &key, &value);) {
        const struct base *x = value;
        const char *space = strchr(key, ' ');
        AUTO(mem_free) char *canonical = str_ndup(key, (size_t)(space - key));
        if (x->asked && x->rc == 0)
            fn(arg, canonical, space + 1, &x->found);
    }
}

bool base_images_refuted(const struct build *b)
{
    const char *key;
    void *value;
    for (size_t i = 0; map_next(b->bases, &i, &key, &value);) {
        const struct base *x = value;
        for (size_t k = 0; k < x->found.n_layers; k++)
            if (layer_is_refuted(x->found.layers[k]))
                return true;
    }
    return false;
}

bool base_images_lost(const struct build *b)
{
    const char *key;
    void *value;
    for (size_t i = 0; map_next(b->bases, &i, &key, &value);) {
        const struct base *x = value;
        for (size_t k = 0; k < x->found.n_layers; k++)
            if (layer_is_lost(b->store, x->found.layers[k]))
                return true;
    }
    return false;
}

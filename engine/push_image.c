/* `shale push`: an image of the store into the registry of its name. */
#include "engine/image_ops.h"

#include "engine/build_internal.h"
#include "engine/engine_internal.h"
#include <string.h>

/* The images that a name stands for, one a platform. */
struct stored_images {
    struct tag_platform *v;
    struct image_config *configs;
    struct built_image *built;
    size_t n;
};

static void stored_images_release(struct stored_images *x)
{
    for (size_t i = 0; x->configs != NULL && i < x->n; i++)
        image_config_release(&x->configs[i]);
    mem_free(x->configs);
    mem_free(x->built);
    mem_free(x->v);
}
DEFINE_AUTO_VALUE(struct stored_images, stored_images_release);

static int find_images(struct store *s, const char *name, struct stored_images *x, struct err *err)
{
    AUTO(stored_image_release) struct stored_image i = { .name = NULL };
    if (tag_get(s, name, &i, err) < 0 || tag_get_platforms(s, name, &x->v, &x->n, err) < 0)
        return err->code;
    bool is_one = x->n == 0;
    if (is_one) {
        x->n = 1;
        x->v = mem_zalloc(sizeof(*x->v));
        x->v[0].config = i.config;
    }
    x->configs = mem_calloc(x->n, sizeof(*x->configs));
    x->built = mem_calloc(x->n, sizeof(*x->built));
    for (size_t k = 0; k < x->n; k++) {
        if (tag_config(s, &x->v[k].config, &x->configs[k], err) < 0)
            return err->code;
        x->built[k] = (struct built_image){ .config_id = x->v[k].config,
                                            .config = &x->configs[k],
                                            .platform = is_one ? NULL : &x->v[k].platform };
    }
    return 0;
}

int engine_push(struct engine *e, const char *name, const struct push_watch *w, struct err *err)
{
    static const enum compression usual = COMPRESSION_GZIP;
    const struct doc_options o = { .compression = &usual };
    AUTO(stored_images_release) struct stored_images images = { .n = 0 };
    AUTO(image_docs_release) struct image_docs docs = { .n_images = 0 };
    AUTO(strv_release) struct strv names = STRV_INIT;
    strv_add(&names, name);
    if (find_images(e->store, name, &images, err) < 0)
        return err->code;
    AUTO(pusher_free) struct pusher *p = pusher_open(e, &names, &o, false, err);
    if (p == NULL)
        return err->code;
    pusher_watch(p, w);
    if (pusher_documents(p, images.built, images.n, &o, &docs, err) < 0)
        return err->code;
    return pusher_finish(p, &docs, false, 0, err);
}

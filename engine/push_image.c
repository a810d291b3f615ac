/* `shale push`: an image of the store into the registry of its name. */
#include "engine/image_ops.h"

#include "engine/build_internal.h"
#include "engine/engine_internal.h"
#include <string.h>

static int push(struct engine *e, const char *name, const struct built_image *image,
                const struct push_watch *w, struct err *err)
{
    static const enum compression usual = COMPRESSION_GZIP;
    const struct doc_options o = { .compression = &usual };
    AUTO(image_docs_release) struct image_docs docs = { .n_images = 0 };
    AUTO(strv_release) struct strv names = STRV_INIT;
    strv_add(&names, name);
    AUTO(pusher_free) struct pusher *p = pusher_open(e, &names, &o, false, err);
    if (p == NULL)
        return err->code;
    pusher_watch(p, w);
    if (pusher_documents(p, image, 1, &o, &docs, err) < 0)
        return err->code;
    return pusher_finish(p, &docs, false, 0, err);
}

int engine_push(struct engine *e, const char *name, const struct push_watch *w, struct err *err)
{
    AUTO(stored_image_release) struct stored_image i = { .name = NULL };
    AUTO(image_config_release) struct image_config config = { .created = NULL };
    if (tag_get(e->store, name, &i, err) < 0 || tag_config(e->store, &i.config, &config, err) < 0)
        return err->code;
    struct built_image image = { .config_id = i.config, .config = &config };
    return push(e, name, &image, w, err);
}

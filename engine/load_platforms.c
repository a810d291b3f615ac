/* Images of several platforms into a Docker engine: all or nothing. */
#include "engine/load_engine.h"

#include "engine/engine_internal.h"

struct sending {
    struct engine *e;
    const struct image_docs *docs;
    const struct strv *names;
};

static int produce(void *arg, struct sink *to, struct err *err)
{
    const struct sending *s = arg;
    struct archive_options o = { .names = s->names };
    return archive_write(s->e, s->docs, &o, to, err);
}

int engine_refuse_platforms(struct err *err)
{
    return err_set(err, ERR_UNSUPPORTED,
                   "docker exporter does not currently support exporting manifest lists");
}

int engine_load_platforms(struct engine *e, struct docker *docker, const struct built_image *images,
                          size_t n, const struct strv *names, int vertex, struct blob_id *ret_index,
                          struct err *err)
{
    bool is_containerd = false;
    uint64_t sent = 0;
    struct doc_options how = { .compression = NULL };
    AUTO(image_docs_release) struct image_docs docs = { .n_images = 0 };
    if (docker_is_containerd(docker, &is_containerd, err) < 0)
        return err->code;
    if (!is_containerd)
        return engine_refuse_platforms(err);
    if (image_docs_make(e, images, n, &how, &docs, err) < 0)
        return err->code;
    struct sending s = { .e = e, .docs = &docs, .names = names };
    AUTO(source_free) struct source *tar = producer_source(produce, &s, err);
    if (tar == NULL)
        return err->code;
    AUTO(source_free) struct source *counted = source_count(TAKE(tar), &sent);
    if (docker_load(docker, counted, err) < 0)
        return err->code;
    vertex_status(e, vertex, "transferring all platforms", sent, 0, true);
    *ret_index = docs.top.id;
    return 0;
}

/*
 * An image for an engine with a graph driver. Such an engine looks each chain of layers up before
 * it opens the layer's file, so that a file may be missing where the chain is there; it names an
 * image by its configuration, so that the encoding of what is sent does not matter.
 */
#include "engine/archive_internal.h"
#include "engine/engine_internal.h"
#include "engine/fetch_layer.h"
#include "image/layer_tar.h"

static int put_layer(struct archive_out *o, const struct layer *l, const char *path,
                     struct err *err)
{
    struct layer_blob blob;
    if (map_has(o->written, path))
        return 0;
    map_set(o->written, path, o);
    int found = layer_any_blob(o->store, l, &blob, err);
    if (found < 0)
        return found;
    AUTO(source_free)
    struct source *from =
        found ? blob_source(o->store, &blob.id, err) : layer_tar_source(o->store, l, err);
    if (from == NULL)
        return err->code;
    return archive_put_stream(o, path, from, found ? blob.size : l->tar_size, err);
}

/* Those above the lowest n_has, their bytes here. */
static int get_layers(struct engine *e, const struct engine_load *what, size_t n_has,
                      const struct layer **ret, struct err *err)
{
    const struct image_config *c = what->config;
    for (size_t i = n_has; i < c->n_layers; i++) {
        ret[i] = what->layers ? what->layers[i] : layer_get(e->store, &c->layers[i], err);
        if (ret[i] == NULL)
            return err_wrap(err, "layer %zu", i);
    }
    return fetch_layers(e, ret + n_has, c->n_layers - n_has, err);
}

static int put_layers(struct archive_out *o, const struct layer *const *layers, size_t first,
                      const struct strv *paths, struct err *err)
{
    for (size_t i = first; i < paths->n; i++)
        if (put_layer(o, layers[i], paths->v[i], err) < 0)
            return err_wrap(err, "layer %zu", i);
    return 0;
}

static int put_documents(struct archive_out *o, const struct engine_load *what,
                         const struct strv *layers, struct err *err)
{
    AUTO(mem_free) char *path = str_printf("%s.json", DIGEST_HEX(&what->config_id->d));
    AUTO(buf_release) struct buf config = BUF_INIT;
    AUTO(buf_release) struct buf manifest = BUF_INIT;
    archive_docker_manifest(path, what->names, layers, &manifest);
    if (blob_read(o->store, what->config_id, MANIFEST_MAX, &config, err) < 0 ||
        archive_put_text(o, path, &config, err) < 0)
        return err->code;
    return archive_put_text(o, "manifest.json", &manifest, err);
}

int archive_write_graph(struct engine *e, const struct engine_load *what, size_t n_has,
                        struct sink *to, struct err *err)
{
    const struct image_config *c = what->config;
    AUTO(strv_release) struct strv paths = STRV_INIT;
    AUTO(map_free) struct map *written = map_new(NULL);
    AUTO(mem_free) const struct layer **layers = mem_calloc(c->n_layers + 1, sizeof(*layers));
    AUTO(tar_writer_free) struct tar_writer *tar = tar_writer_new(to, err);
    if (tar == NULL || get_layers(e, what, n_has, layers, err) < 0)
        return err->code;
    for (size_t i = 0; i < c->n_layers; i++)
        strv_addf(&paths, "%s.tar", DIGEST_HEX(&c->layers[i].d));
    struct archive_out out = { .store = e->store, .tar = tar, .dirfd = -1, .written = written };
    if (put_layers(&out, layers, n_has, &paths, err) < 0 ||
        put_documents(&out, what, &paths, err) < 0)
        return err->code;
    return tar_writer_finish(tar, err);
}

/* Where a finished image goes: its names in the store, the Docker engine, files, the result files.
 */
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "engine/engine_internal.h"
#include "engine/fetch_layer.h"
#include "engine/load_engine.h"
#include "engine/push_output.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct delivery {
    struct build *b;
    const struct blob_id *config_id;
    const struct image_config *config;
    struct state *s;
    struct strv names; /* canonical */
    int vertex;
    struct blob_id manifest_id;
    bool has_manifest;
    bool is_elsewhere; /* an engine or a registry has the image */
};

/* Names. */

int build_canonical_names(const struct strv *tags, struct strv *ret, struct err *err)
{
    for (size_t i = 0; i < tags->n; i++) {
        AUTO(image_name_release) struct image_name n = { 0 };
        if (image_name_parse(tags->v[i], &n, err) < 0)
            return err_wrap(err, "invalid tag \"%s\"", tags->v[i]);
        if (n.has_digest)
            return err_set(err, ERR_USAGE, "invalid tag \"%s\": a tag has no digest", tags->v[i]);
        strv_take(ret, image_name_canonical(&n));
    }
    return 0;
}

static bool has_away(const struct delivery *d)
{
    for (size_t i = 0; i < d->s->n_layers; i++)
        if (layer_is_away(d->s->layers[i]))
            return true;
    return false;
}

/* The names no longer stand here for what they stood for. */
static int drop_tags(struct delivery *d, struct err *err)
{
    for (size_t i = 0; i < d->names.n; i++) {
        struct err one = ERR_INIT;
        if (tag_delete(d->b->store, d->names.v[i], &one) < 0 && one.code != ERR_NOT_FOUND)
            return err_copy(err, &one);
    }
    return 0;
}

static int set_tags(struct delivery *d, struct err *err)
{
    struct store *s = d->b->store;
    vertex_status(d->b->e, d->vertex, "exporting layers", 0, 0, true);
    AUTO(mem_free) char *writing = str_printf("writing image %s", DIGEST_S(&d->config_id->d));
    vertex_status(d->b->e, d->vertex, writing, 0, 0, true);
    if (d->names.n == 0)
        return tag_set(s, NULL, d->config_id, NULL, err);
    for (size_t i = 0; i < d->names.n; i++) {
        AUTO(mem_free) char *naming = str_printf("naming to %s", d->names.v[i]);
        if (tag_set(s, d->names.v[i], d->config_id, NULL, err) < 0)
            return err->code;
        vertex_status(d->b->e, d->vertex, naming, 0, 0, true);
    }
    return 0;
}

/* The Docker engine. */

/* What the image's last stage began with, if that was an image with a name. */
static char *base_name(const struct build *b)
{
    const struct build_stage *st = &b->stages[b->target];
    while (st->base_stage >= 0)
        st = &b->stages[st->base_stage];
    AUTO(image_name_release) struct image_name n = { 0 };
    struct err ignored = ERR_INIT;
    if (st->base == NULL || st->base_context != NULL ||
        image_name_parse(st->base, &n, &ignored) < 0)
        return NULL;
    return image_name_canonical(&n);
}

/* One a layer of the configuration; NULL: the stages were not built, the store has them all. */
static const struct layer *const *layers_of(const struct delivery *d)
{
    return d->s->n_layers == d->config->n_layers ? d->s->layers : NULL;
}

static int load_into(struct delivery *d, struct docker *docker, int vertex, bool *ret_was_there,
                     struct err *err)
{
    AUTO(mem_free) char *base = base_name(d->b);
    struct engine_load what = { .config_id = d->config_id,
                                .config = d->config,
                                .layers = layers_of(d),
                                .names = &d->names,
                                .base = base };
    struct engine_loaded got;
    if (engine_load(d->b->e, docker, &what, vertex, &got, err) < 0)
        return err->code;
    *ret_was_there = got.was_there;
    d->is_elsewhere = true;
    d->has_manifest = d->has_manifest || got.has_manifest;
    if (got.has_manifest)
        d->manifest_id = got.manifest;
    return 0;
}

static int load_engine(struct delivery *d, bool required, struct err *err)
{
    struct engine *e = d->b->e;
    bool named = false;
    struct err none = ERR_INIT;
    struct docker *docker = engine_docker(e, &named, &none);
    if (docker == NULL && none.code != ERR_CANCELLED && !required) {
        if (named)
            log_warn("engine", "the image stays in shale's store: %s", none.msg);
        return 0;
    }
    if (docker == NULL)
        return err_copy(err, &none);
    bool was_there = false;
    int64_t started = clock_mono_ms();
    int v = vertex_begin(e, "loading image into %s", docker_host(docker));
    int rc = load_into(d, docker, v, &was_there, err);
    if (rc < 0 || !was_there)
        return vertex_close(e, v, rc, started, err);
    vertex_end(e, v, VERTEX_CACHED, NULL, 0);
    return 0;
}

/* Files. */

struct archiving {
    struct delivery *d;
    const struct image_docs *docs;
    struct archive_options options;
};

static int produce_archive(void *arg, struct sink *to, struct err *err)
{
    struct archiving *a = arg;
    return archive_write(a->d->b->e, a->docs, &a->options, to, err);
}

/* Where a link leads: it stays, and the file behind it becomes the new one. */
static char *real_path(const char *path)
{
    char real[PATH_MAX];
    return str_dup(realpath(path, real) ? real : path);
}

/* fd (or -1, with errno) is closed here. */
static int write_open(const char *dest, int fd, produce_fn fn, void *arg, struct err *err)
{
    if (fd < 0)
        return err_sys(err, errno, "cannot write '%s'", dest);
    AUTO(sink_free) struct sink *to = sink_fd(fd, true);
    return fn(arg, to, err) < 0 ? err->code : sink_finish(to, err);
}

static int write_file(struct delivery *d, const char *dest, produce_fn fn, void *arg,
                      struct err *err)
{
    if (str_eq(dest, "-")) {
        AUTO(sink_free) struct sink *to = sink_fd(d->b->o->stdout_fd, false);
        return fn(arg, to, err) < 0 ? err->code : sink_finish(to, err);
    }
    struct stat st;
    bool exists = stat(dest, &st) == 0;
    if (exists && !S_ISREG(st.st_mode)) /* a pipe, /dev/null: written to, never replaced */
        return write_open(dest, open(dest, O_WRONLY | O_CLOEXEC), fn, arg, err);
    AUTO(mem_free) char *real = exists ? real_path(dest) : str_dup(dest);
    AUTO(mem_free) char *temp = str_printf("%s.shale-%d", real, getpid());
    int rc =
        write_open(dest, open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666), fn, arg, err);
    if (rc == 0 && rename(temp, real) < 0)
        rc = err_sys(err, errno, "cannot write '%s'", dest);
    if (rc < 0)
        unlink(temp);
    return rc;
}

static int produce_tar(void *arg, struct sink *to, struct err *err)
{
    struct delivery *d = arg;
    return export_tar(d->b->e, d->s, to, err);
}

int build_output_compression(const struct build_output *o, enum compression *ret, struct err *err)
{
    const char *name = o->attrs ? map_get(o->attrs, "compression") : NULL;
    *ret = COMPRESSION_GZIP;
    if (name == NULL)
        return 0;
    static const enum compression all[] = { COMPRESSION_NONE, COMPRESSION_GZIP, COMPRESSION_ZSTD };
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        if (str_eq(name, compression_name(all[i]))) {
            *ret = all[i];
            return 0;
        }
    return err_set(err, ERR_USAGE, "unsupported layer compression type: %s", name);
}

static int output_archive(struct delivery *d, const struct build_output *o, bool docker,
                          struct err *err)
{
    enum compression c;
    if (build_output_compression(o, &c, err) < 0)
        return err->code;
    AUTO(strv_release) struct strv names = STRV_INIT;
    strv_copy(&names, &d->names);
    const char *name = o->attrs ? map_get(o->attrs, "name") : NULL;
    if (name != NULL) {
        AUTO(strv_release) struct strv given = STRV_INIT;
        strv_split(&given, name, ',');
        if (build_canonical_names(&given, &names, err) < 0)
            return err->code;
    }
    AUTO(image_docs_release) struct image_docs docs = { .n_images = 0 };
    struct built_image image = { .config_id = *d->config_id,
                                 .config = d->config,
                                 .layers = layers_of(d) };
    struct doc_options how = { .compression = &c };
    if (image_docs_make(d->b->e, &image, 1, &how, &docs, err) < 0)
        return err->code;
    d->has_manifest = true;
    d->manifest_id = docs.top.id;
    struct archiving a = { .d = d,
                           .docs = &docs,
                           .options = { .docker = docker, .names = &names } };
    const char *tar = o->attrs ? map_get(o->attrs, "tar") : NULL;
    if (str_eq(tar, "false"))
        return archive_write_dir(d->b->e, &docs, &a.options, o->dest, err);
    return write_file(d, o->dest, produce_archive, &a, err);
}

static int output_oci(struct delivery *d, const struct build_output *o, struct err *err)
{
    if (o->dest == NULL)
        return err_set(err, ERR_USAGE, "dest is required for type=oci");
    return output_archive(d, o, false, err);
}

static int output_docker(struct delivery *d, const struct build_output *o, struct err *err)
{
    return o->dest == NULL ? load_engine(d, true, err) : output_archive(d, o, true, err);
}

static int output_local(struct delivery *d, const struct build_output *o, struct err *err)
{
    return export_tree(d->b->e, d->s, o->dest, err);
}

static int output_tar(struct delivery *d, const struct build_output *o, struct err *err)
{
    return write_file(d, o->dest, produce_tar, d, err);
}

static int push_image(struct delivery *d, const struct build_output *o, struct pusher *p,
                      struct err *err)
{
    enum compression c;
    struct doc_options how;
    bool by_digest = false;
    AUTO(image_docs_release) struct image_docs docs = { .n_images = 0 };
    struct built_image image = { .config_id = *d->config_id,
                                 .config = d->config,
                                 .layers = layers_of(d) };
    if (output_attr_bool(o, "push-by-digest", &by_digest, err) < 0 ||
        push_output_options(o, &c, &how, err) < 0 ||
        pusher_documents(p, &image, 1, &how, &docs, err) < 0 ||
        pusher_finish(p, &docs, by_digest, d->vertex, err) < 0)
        return err->code;
    d->has_manifest = d->is_elsewhere = true;
    d->manifest_id = docs.top.id;
    return 0;
}

static int output_image(struct delivery *d, const struct build_output *o, struct err *err)
{
    struct pusher *p = build_pusher(d->b, o);
    return p != NULL ? push_image(d, o, p, err) : 0;
}

static int output_none(struct delivery *d UNUSED, const struct build_output *o UNUSED,
                       struct err *err UNUSED)
{
    return 0;
}

static const struct {
    const char *type, *shown;
    int (*write)(struct delivery *d, const struct build_output *o, struct err *err);
} outputs[] = {
    { "oci", "exporting to oci image format", output_oci },
    { "docker", "exporting to docker image format", output_docker },
    { "local", "exporting to client directory", output_local },
    { "tar", "exporting to client tarball", output_tar },
    { "image", "exporting to image", output_image },
    { "cacheonly", "exporting nothing", output_none },
};

static int write_output(struct delivery *d, const struct build_output *o, struct err *err)
{
    for (size_t i = 0; i < ARRAY_LEN(outputs); i++) {
        if (!str_eq(o->type, outputs[i].type))
            continue;
        int64_t started = clock_mono_ms();
        int v = vertex_begin(d->b->e, "%s", outputs[i].shown);
        d->vertex = v;
        int rc = outputs[i].write(d, o, err);
        return vertex_close(d->b->e, v, rc, started, err);
    }
    return err_set(err, ERR_UNSUPPORTED,
                   "output type '%s' is not supported by this version of shale", o->type);
}

/* The result files. */

static int write_iidfile(const struct delivery *d, struct err *err)
{
    const char *path = d->b->o->iidfile;
    char id[DIGEST_STR_LEN + 1];
    digest_str(&d->config_id->d, id);
    return path ? file_replace(AT_FDCWD, path, id, strlen(id), 0644, false, err) : 0;
}

static int write_metadata(const struct delivery *d, struct err *err)
{
    const char *path = d->b->o->metadata_file;
    if (path == NULL)
        return 0;
    json_auto_t *j = json_pack("{s:s}", "containerimage.config.digest", DIGEST_S(&d->config_id->d));
    /* without a manifest the image's digest is its configuration's, as with Docker's graph drivers
     */
    const struct digest *digest = d->has_manifest ? &d->manifest_id.d : &d->config_id->d;
    json_object_set_new(j, "containerimage.digest", json_string(DIGEST_S(digest)));
    if (d->names.n > 0) {
        AUTO(mem_free) char *names = strv_join(&d->names, ",");
        json_object_set_new(j, "image.name", json_string(names));
    }
    AUTO(buf_release) struct buf text = BUF_INIT;
    json_write_pretty(j, &text, 2);
    return file_replace(AT_FDCWD, path, text.data, text.len, 0644, false, err);
}

bool build_wants_engine(const struct build_options *o)
{
    return o->load == LOAD_YES || (o->load == LOAD_AUTO && o->n_outputs == 0);
}

bool build_wants_image(const struct build_options *o)
{
    for (size_t i = 0; i < o->n_outputs; i++)
        if (str_eq(o->outputs[i].type, "image") || str_eq(o->outputs[i].type, "docker"))
            return true;
    return o->n_outputs == 0 || o->tags.n > 0;
}

/*
 * The image under its names in the store. An image of which the registry or the engine has layers
 * that are not here is not kept here as well: only to keep it all of them would be fetched. Without
 * such a place they are.
 */
static int keep_image(struct delivery *d, bool is_elsewhere, struct err *err)
{
    int64_t started = clock_mono_ms();
    if (!build_wants_image(d->b->o))
        return 0;
    d->vertex = vertex_begin(d->b->e, "exporting to image");
    int rc = 0;
    if (is_elsewhere && has_away(d)) {
        vertex_note(d->b->e, d->vertex, "not kept here: layers of its base are not fetched");
        rc = drop_tags(d, err);
    } else {
        rc = fetch_layers(d->b->e, d->s->layers, d->s->n_layers, err);
        rc = rc < 0 ? rc : set_tags(d, err);
    }
    return vertex_close(d->b->e, d->vertex, rc, started, err);
}

static int deliver(struct delivery *d, struct err *err)
{
    const struct build_options *o = d->b->o;
    if (build_canonical_names(&o->tags, &d->names, err) < 0)
        return err->code;
    bool is_whole = !has_away(d);
    if (is_whole && keep_image(d, false, err) < 0)
        return err->code;
    if (build_wants_engine(o) && load_engine(d, o->load == LOAD_YES, err) < 0)
        return err->code;
    for (size_t i = 0; i < o->n_outputs; i++)
        if (write_output(d, &o->outputs[i], err) < 0)
            return err->code;
    if (!is_whole && keep_image(d, d->is_elsewhere, err) < 0)
        return err->code;
    if (write_iidfile(d, err) < 0 || write_metadata(d, err) < 0)
        return err->code;
    return 0;
}

int build_deliver(struct build *b, const struct blob_id *config_id,
                  const struct image_config *config, struct state *s, struct err *err)
{
    struct delivery d = { .b = b, .config_id = config_id, .config = config, .s = s };
    int rc = deliver(&d, err);
    if (rc == 0 && d.has_manifest)
        b->result->manifest = d.manifest_id;
    strv_release(&d.names);
    return rc;
}

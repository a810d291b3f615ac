/*
 * An image as an OCI layout (image-spec, image-layout.md), as a tar or a
 * directory, with `docker save`'s manifest.json beside it where an engine
 * shall load it. Blobs go out as they are; each is verified on the way.
 */
#include "engine/archive_internal.h"

#include "base/fs.h"
#include "engine/engine_internal.h"
#include "image/layer_tar.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void image_parts_release(struct image_parts *p)
{
    mem_free(p->blobs);
    manifest_release(&p->manifest);
    buf_release(&p->manifest_text);
    buf_release(&p->config_text);
    buf_release(&p->index_text);
    buf_release(&p->docker_text);
}

/* Layers: their blobs in the wanted encoding, made side by side where they are not there yet. */

struct blob_job {
    struct store *store;
    const struct diff_id *diff;
    const enum compression *want;
    struct layer_blob *ret;
};

static int blob_job(void *arg, struct err *err)
{
    struct blob_job *j = arg;
    const struct layer *l = layer_get(j->store, j->diff, err);
    return l == NULL ? err->code : layer_blob(j->store, l, j->want, j->ret, err);
}

static int get_blobs(struct engine *e, const struct image_config *c, const enum compression *want,
                     struct image_parts *p, struct err *err)
{
    p->n_blobs = c->n_layers;
    p->blobs = mem_calloc(c->n_layers + 1, sizeof(*p->blobs));
    AUTO(mem_free) struct blob_job *jobs = mem_calloc(c->n_layers + 1, sizeof(*jobs));
    AUTO(group_free) struct group *g = group_new(e->pool);
    for (size_t i = 0; i < c->n_layers; i++) {
        jobs[i] = (struct blob_job){
            .store = e->store, .diff = &c->layers[i], .want = want, .ret = &p->blobs[i]
        };
        group_run(g, blob_job, &jobs[i]);
    }
    return group_wait(g, err);
}

static void set_config(struct manifest *m, const struct blob_id *id, uint64_t size)
{
    m->config.media_type = str_dup(MEDIA_OCI_CONFIG);
    m->config.id = *id;
    m->config.size = size;
}

static void write_manifest(struct image_parts *p, const struct blob_id *config_id)
{
    p->manifest.kind = DOC_OCI_MANIFEST;
    set_config(&p->manifest, config_id, p->config_text.len);
    for (size_t i = 0; i < p->n_blobs; i++)
        manifest_add_layer(&p->manifest, layer_media_type(p->blobs[i].compression, false),
                           &p->blobs[i].id, p->blobs[i].size);
    manifest_write(&p->manifest, &p->manifest_text);
    digest_of(p->manifest_text.data, p->manifest_text.len, &p->manifest_id.d);
}

static void add_index_entry(struct index *x, const struct image_parts *p,
                            const struct image_config *c, const char *name)
{
    x->manifests = mem_grow(x->manifests, x->n_manifests + 1, sizeof(*x->manifests));
    struct descriptor *d = &x->manifests[x->n_manifests++];
    memset(d, 0, sizeof(*d));
    d->media_type = str_dup(doc_media_type(DOC_OCI_MANIFEST));
    d->id = p->manifest_id;
    d->size = p->manifest_text.len;
    d->has_platform = true;
    d->platform = c->platform;
    if (name == NULL)
        return;
    const char *colon = strrchr(name, ':');
    d->annotations = json_pack("{s:s, s:s}", "io.containerd.image.name", name,
                               "org.opencontainers.image.ref.name", colon ? colon + 1 : name);
}

static void write_index(struct image_parts *p, const struct image_config *c,
                        const struct strv *names)
{
    AUTO(index_release) struct index x = { .kind = DOC_OCI_INDEX };
    for (size_t i = 0; i < names->n; i++)
        add_index_entry(&x, p, c, names->v[i]);
    if (names->n == 0)
        add_index_entry(&x, p, c, NULL);
    index_write(&x, &p->index_text);
}

void archive_docker_manifest(const char *config, const struct strv *names,
                             const struct strv *layers, struct buf *ret)
{
    json_auto_t *tags = json_array();
    for (size_t i = 0; i < names->n; i++) {
        AUTO(image_name_release) struct image_name n = { 0 };
        struct err ignored = ERR_INIT;
        if (image_name_parse(names->v[i], &n, &ignored) < 0)
            continue;
        AUTO(mem_free) char *familiar = image_name_familiar(&n);
        json_array_append_new(tags, json_string(familiar));
    }
    json_auto_t *files = json_array();
    for (size_t i = 0; i < layers->n; i++)
        json_array_append_new(files, json_string(layers->v[i]));
    json_auto_t *all =
        json_pack("[{s:s, s:O, s:O}]", "Config", config, "RepoTags", tags, "Layers", files);
    json_write(all, ret);
}

static void write_docker(struct image_parts *p, const struct blob_id *config_id,
                         const struct strv *names)
{
    AUTO(mem_free) char *config = str_printf("blobs/sha256/%s", DIGEST_HEX(&config_id->d));
    AUTO(strv_release) struct strv layers = STRV_INIT;
    for (size_t i = 0; i < p->n_blobs; i++)
        strv_addf(&layers, "blobs/sha256/%s", DIGEST_HEX(&p->blobs[i].id.d));
    archive_docker_manifest(config, names, &layers, &p->docker_text);
}

int image_parts_make(struct engine *e, const struct blob_id *config_id,
                     const struct image_config *config, const struct archive_options *o,
                     struct image_parts *ret, struct err *err)
{
    if (get_blobs(e, config, o->compression, ret, err) < 0 ||
        blob_read(e->store, config_id, MANIFEST_MAX, &ret->config_text, err) < 0)
        return err->code;
    write_manifest(ret, config_id);
    write_index(ret, config, o->names);
    if (o->docker)
        write_docker(ret, config_id, o->names);
    return 0;
}

/* Members, in a tar or a directory. */

static int put_dir(struct archive_out *o, const char *path, struct err *err)
{
    if (o->tar == NULL)
        return dir_make(o->dirfd, path, 0755, err);
    struct entry e = { .path = path, .type = ENTRY_DIR, .mode = 0755 };
    return tar_writer_entry(o->tar, &e, err);
}

int archive_put_text(struct archive_out *o, const char *path, const struct buf *text,
                     struct err *err)
{
    if (map_has(o->written, path))
        return 0;
    map_set(o->written, path, o);
    if (o->tar == NULL)
        return file_replace(o->dirfd, path, text->data, text->len, 0644, false, err);
    struct entry e = { .path = path, .type = ENTRY_FILE, .mode = 0644, .size = text->len };
    if (tar_writer_entry(o->tar, &e, err) < 0)
        return err->code;
    return tar_writer_data(o->tar, text->data, text->len, err);
}

static int tar_stream(struct archive_out *o, const char *path, struct source *from, uint64_t size,
                      struct err *err)
{
    struct entry e = { .path = path, .type = ENTRY_FILE, .mode = 0644, .size = size };
    if (tar_writer_entry(o->tar, &e, err) < 0)
        return err->code;
    AUTO(mem_free) char *chunk = mem_alloc(1 << 18);
    ssize_t n;
    while ((n = source_read(from, chunk, 1 << 18, err)) > 0)
        if (tar_writer_data(o->tar, chunk, (size_t)n, err) < 0)
            return err->code;
    return n < 0 ? (int)n : 0;
}

static int file_stream(struct archive_out *o, const char *path, struct source *from,
                       struct err *err)
{
    AUTO(mem_free) char *dir = path_dir(path);
    AUTO(fd_close) int dirfd = dir_open(o->dirfd, dir, err);
    AUTO(pubfile_free) struct pubfile *f = dirfd < 0 ? NULL : pubfile_open(dirfd, 0644, err);
    if (f == NULL)
        return err->code;
    AUTO(sink_free) struct sink *to = sink_fd(pubfile_fd(f), false);
    if (stream_copy(from, to, NULL, err) < 0 || sink_finish(to, err) < 0)
        return err->code;
    return pubfile_publish(f, "", path_base(path), false, err);
}

int archive_put_stream(struct archive_out *o, const char *path, struct source *from, uint64_t size,
                       struct err *err)
{
    return o->tar ? tar_stream(o, path, from, size, err) : file_stream(o, path, from, err);
}

static int put_blob(struct archive_out *o, const struct blob_id *id, uint64_t size, struct err *err)
{
    AUTO(mem_free) char *path = str_printf("blobs/sha256/%s", DIGEST_HEX(&id->d));
    if (map_has(o->written, path))
        return 0;
    map_set(o->written, path, o);
    AUTO(source_free) struct source *from = blob_source(o->store, id, err);
    return from == NULL ? err->code : archive_put_stream(o, path, from, size, err);
}

static int put_parts(struct archive_out *o, const struct image_parts *p,
                     const struct blob_id *config_id, const bool *has, struct err *err)
{
    struct buf layout = BUF_INIT;
    AUTO(mem_free) char *config = str_printf("blobs/sha256/%s", DIGEST_HEX(&config_id->d));
    AUTO(mem_free) char *manifest = str_printf("blobs/sha256/%s", DIGEST_HEX(&p->manifest_id.d));
    if (put_dir(o, "blobs", err) < 0 || put_dir(o, "blobs/sha256", err) < 0)
        return err->code;
    for (size_t i = 0; i < p->n_blobs; i++)
        if ((has == NULL || !has[i]) && put_blob(o, &p->blobs[i].id, p->blobs[i].size, err) < 0)
            return err_wrap(err, "layer %zu", i);
    if (archive_put_text(o, config, &p->config_text, err) < 0 ||
        archive_put_text(o, manifest, &p->manifest_text, err) < 0 ||
        archive_put_text(o, "index.json", &p->index_text, err) < 0)
        return err->code;
    if (p->docker_text.len > 0 && archive_put_text(o, "manifest.json", &p->docker_text, err) < 0)
        return err->code;
    buf_adds(&layout, "{\"imageLayoutVersion\":\"1.0.0\"}");
    int rc = archive_put_text(o, "oci-layout", &layout, err);
    buf_release(&layout);
    return rc;
}

int archive_write_parts(struct engine *e, const struct image_parts *p,
                        const struct blob_id *config_id, const bool *has, struct sink *to,
                        struct err *err)
{
    AUTO(tar_writer_free) struct tar_writer *tar = tar_writer_new(to, err);
    if (tar == NULL)
        return err->code;
    AUTO(map_free) struct map *written = map_new(NULL);
    struct archive_out out = { .store = e->store, .tar = tar, .dirfd = -1, .written = written };
    if (put_parts(&out, p, config_id, has, err) < 0)
        return err->code;
    return tar_writer_finish(tar, err);
}

int archive_write(struct engine *e, const struct blob_id *config_id,
                  const struct image_config *config, const struct archive_options *o,
                  struct sink *to, struct blob_id *ret_manifest, struct err *err)
{
    AUTO(image_parts_release) struct image_parts p = { 0 };
    if (image_parts_make(e, config_id, config, o, &p, err) < 0 ||
        archive_write_parts(e, &p, config_id, NULL, to, err) < 0)
        return err->code;
    *ret_manifest = p.manifest_id;
    return 0;
}

int archive_write_dir(struct engine *e, const struct blob_id *config_id,
                      const struct image_config *config, const struct archive_options *o,
                      const char *dest, struct blob_id *ret_manifest, struct err *err)
{
    AUTO(image_parts_release) struct image_parts p = { 0 };
    if (image_parts_make(e, config_id, config, o, &p, err) < 0 ||
        dir_make(AT_FDCWD, dest, 0755, err) < 0)
        return err->code;
    AUTO(fd_close) int dirfd = dir_open(AT_FDCWD, dest, err);
    if (dirfd < 0)
        return dirfd;
    AUTO(map_free) struct map *written = map_new(NULL);
    struct archive_out out = { .store = e->store, .dirfd = dirfd, .written = written };
    if (put_parts(&out, &p, config_id, NULL, err) < 0)
        return err->code;
    *ret_manifest = p.manifest_id;
    return 0;
}

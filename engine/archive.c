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

static void add_index_entry(struct index *x, const struct descriptor *top, const char *name)
{
    struct descriptor *d = index_add(x);
    descriptor_copy(d, top);
    if (name == NULL)
        return;
    const char *colon = strrchr(name, ':');
    annotation_set(&d->annotations, "io.containerd.image.name", name);
    annotation_set(&d->annotations, "org.opencontainers.image.ref.name", colon ? colon + 1 : name);
}

/* index.json: which names stand for what. */
static void write_layout_index(const struct image_docs *d, const struct strv *names,
                               struct buf *ret)
{
    AUTO(index_release) struct index x = { .kind = DOC_OCI_INDEX };
    for (size_t i = 0; i < names->n; i++)
        add_index_entry(&x, &d->top, names->v[i]);
    if (names->n == 0)
        add_index_entry(&x, &d->top, NULL);
    index_write(&x, ret);
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

static void write_docker(const struct image_doc *d, const struct strv *names, struct buf *ret)
{
    AUTO(mem_free) char *config = str_printf("blobs/sha256/%s", DIGEST_HEX(&d->config_id.d));
    AUTO(strv_release) struct strv layers = STRV_INIT;
    for (size_t i = 0; i < d->n_blobs; i++)
        strv_addf(&layers, "blobs/sha256/%s", DIGEST_HEX(&d->blobs[i].id.d));
    archive_docker_manifest(config, names, &layers, ret);
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

static int put_text_blob(struct archive_out *o, const struct blob_id *id, const struct buf *text,
                         struct err *err)
{
    AUTO(mem_free) char *path = str_printf("blobs/sha256/%s", DIGEST_HEX(&id->d));
    return archive_put_text(o, path, text, err);
}

static int put_image(struct archive_out *o, const struct image_doc *d, const bool *has,
                     struct err *err)
{
    for (size_t i = 0; i < d->n_blobs; i++)
        if ((has == NULL || !has[i]) && put_blob(o, &d->blobs[i].id, d->blobs[i].size, err) < 0)
            return err_wrap(err, "layer %zu", i);
    if (put_text_blob(o, &d->config_id, &d->config_text, err) < 0)
        return err->code;
    return put_text_blob(o, &d->manifest_id, &d->manifest_text, err);
}

static int put_blobs(struct engine *e, struct archive_out *o, const struct image_docs *d,
                     const bool *has, struct err *err)
{
    for (size_t i = 0; i < d->n_images; i++)
        if (image_doc_bring(e, &d->images[i], has, err) < 0 ||
            put_image(o, &d->images[i], has, err) < 0)
            return err->code;
    for (size_t i = 0; i < d->n_extra; i++)
        if (put_text_blob(o, &d->extra[i].what.id, &d->extra[i].text, err) < 0)
            return err->code;
    return d->has_index ? put_text_blob(o, &d->index_id, &d->index_text, err) : 0;
}

static int put_docs(struct engine *e, struct archive_out *o, const struct image_docs *d,
                    const struct archive_options *how, struct err *err)
{
    AUTO(buf_release) struct buf layout = BUF_INIT;
    AUTO(buf_release) struct buf index = BUF_INIT;
    AUTO(buf_release) struct buf docker = BUF_INIT;
    if (put_dir(o, "blobs", err) < 0 || put_dir(o, "blobs/sha256", err) < 0 ||
        put_blobs(e, o, d, how->has, err) < 0)
        return err->code;
    write_layout_index(d, how->names, &index);
    if (archive_put_text(o, "index.json", &index, err) < 0)
        return err->code;
    if (how->docker) {
        write_docker(&d->images[0], how->names, &docker);
        if (archive_put_text(o, "manifest.json", &docker, err) < 0)
            return err->code;
    }
    buf_adds(&layout, "{\"imageLayoutVersion\":\"1.0.0\"}");
    return archive_put_text(o, "oci-layout", &layout, err);
}

int archive_write(struct engine *e, const struct image_docs *d, const struct archive_options *o,
                  struct sink *to, struct err *err)
{
    AUTO(tar_writer_free) struct tar_writer *tar = tar_writer_new(to, err);
    if (tar == NULL)
        return err->code;
    AUTO(map_free) struct map *written = map_new(NULL);
    struct archive_out out = { .store = e->store, .tar = tar, .dirfd = -1, .written = written };
    return put_docs(e, &out, d, o, err) < 0 ? err->code : tar_writer_finish(tar, err);
}

int archive_write_dir(struct engine *e, const struct image_docs *d, const struct archive_options *o,
                      const char *dest, struct err *err)
{
    if (dir_make(AT_FDCWD, dest, 0755, err) < 0)
        return err->code;
    AUTO(fd_close) int dirfd = dir_open(AT_FDCWD, dest, err);
    if (dirfd < 0)
        return dirfd;
    AUTO(map_free) struct map *written = map_new(NULL);
    struct archive_out out = { .store = e->store, .dirfd = dirfd, .written = written };
    return put_docs(e, &out, d, o, err);
}

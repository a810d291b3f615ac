/* oci-layout://: an image of an OCI layout directory, taken into the store. */
#include "engine/context_internal.h"

#include "base/clock.h"
#include "base/fs.h"
#include "engine/context_named.h"
#include "engine/from_internal.h"
#include <fcntl.h>
#include <string.h>

#define REF_NAME "org.opencontainers.image.ref.name"

struct layout {
    struct build *b;
    int dir;
    struct manifest manifest;
    struct image_config config;
};

static void layout_release(struct layout *l)
{
    fd_close(l->dir);
    manifest_release(&l->manifest);
    image_config_release(&l->config);
}
DEFINE_AUTO_VALUE(struct layout, layout_release);

static char *blob_path(const struct blob_id *id)
{
    return str_printf("blobs/sha256/%s", DIGEST_HEX(&id->d));
}

/* A document of the layout, verified, kept in the store too. */
static int read_document(struct layout *l, const struct descriptor *d, struct buf *ret,
                         struct err *err)
{
    AUTO(mem_free) char *path = blob_path(&d->id);
    struct digest got;
    if (inroot_read(l->dir, path, MANIFEST_MAX, ret, err) < 0)
        return err->code == ERR_NOT_FOUND
                   ? err_set(err, ERR_USAGE, "content %s: not found", DIGEST_S(&d->id.d))
                   : err->code;
    digest_of(buf_str(ret), ret->len, &got);
    if (!digest_eq(&got, &d->id.d) || (d->size != 0 && d->size != ret->len))
        return err_set(err, ERR_CORRUPT, "'%s' is not what its name and size say", path);
    struct blob_id id;
    return blob_put(l->b->store, ret->data, ret->len, &id, err);
}

static bool is_named(const struct descriptor *d, const char *tag)
{
    const char *name = d->annotations ? json_get_str(d->annotations, REF_NAME) : NULL;
    size_t n = name ? strlen(name) : 0, t = strlen(tag);
    if (name == NULL)
        return false;
    /* a tag alone, or a whole reference with it */
    return str_eq(name, tag) || (n > t && name[n - t - 1] == ':' && str_eq(name + n - t, tag));
}

/* The entry of index.json that the tag names; else the only one. */
static int find_entry(struct layout *l, const struct layout_ref *ref, struct index *index,
                      const struct descriptor **ret, struct err *err)
{
    AUTO(buf_release) struct buf text = BUF_INIT;
    if (inroot_read(l->dir, "index.json", MANIFEST_MAX, &text, err) < 0 ||
        index_parse(buf_str(&text), text.len, doc_media_type(DOC_OCI_INDEX), index, err) < 0)
        return err_wrap(err, "index.json");
    *ret = NULL;
    for (size_t i = 0; i < index->n_manifests && *ret == NULL; i++)
        if (is_named(&index->manifests[i], ref->tag))
            *ret = &index->manifests[i];
    if (*ret == NULL && index->n_manifests == 1)
        *ret = &index->manifests[0];
    return *ret == NULL ? err_set(err, ERR_USAGE, "failed to resolve digest") : 0;
}

/* What digest names: known from index.json, or told by the document itself. */
static int take_digest(struct layout *l, const char *digest, struct descriptor *ret,
                       struct err *err)
{
    struct digest d;
    if (digest_parse(digest, &d, err) < 0)
        return err_wrap(err, "invalid digest %s", digest);
    ret->id.d = d;
    AUTO(buf_release) struct buf text = BUF_INIT;
    if (read_document(l, ret, &text, err) < 0)
        return err->code;
    json_auto_t *doc = json_parse(buf_str(&text), text.len, digest, err);
    if (doc == NULL)
        return err->code;
    const char *media = json_get_str(doc, "mediaType");
    bool is_index = json_get_arr(doc, "manifests") != NULL;
    ret->media_type =
        str_dup(media ? media : doc_media_type(is_index ? DOC_OCI_INDEX : DOC_OCI_MANIFEST));
    return 0;
}

/* The manifest that d leads to for the platform. */
static int read_manifest(struct layout *l, const struct descriptor *d,
                         const struct platform *platform, struct blob_id *ret_id, struct err *err)
{
    AUTO(buf_release) struct buf text = BUF_INIT;
    AUTO(index_release) struct index index = { .n_manifests = 0 };
    enum doc_kind kind = doc_kind_of(d->media_type);
    if (read_document(l, d, &text, err) < 0)
        return err->code;
    if (kind == DOC_OCI_INDEX || kind == DOC_DOCKER_LIST) {
        char shown[64];
        if (index_parse(buf_str(&text), text.len, d->media_type, &index, err) < 0)
            return err->code;
        d = index_pick(&index, platform);
        if (d == NULL)
            return err_set(err, ERR_USAGE, "no match for platform in manifest: not found (%s)",
                           platform_format(platform, shown));
        if (read_document(l, d, &text, err) < 0)
            return err->code;
        kind = doc_kind_of(d->media_type);
    }
    if (kind != DOC_OCI_MANIFEST && kind != DOC_DOCKER_MANIFEST)
        return err_set(err, ERR_UNSUPPORTED, "'%s' is no image", d->media_type);
    *ret_id = d->id;
    return manifest_parse(buf_str(&text), text.len, d->media_type, &l->manifest, err);
}

static int take_layer(struct layout *l, const struct descriptor *d, const struct diff_id *diff,
                      struct err *err)
{
    struct err miss = ERR_INIT;
    enum compression c;
    if (layer_media_parse(d->media_type, &c, err) < 0)
        return err->code;
    if (layer_get(l->b->store, diff, &miss) != NULL)
        return 0;
    AUTO(mem_free) char *path = blob_path(&d->id);
    AUTO(fd_close) int fd = inroot_open(l->dir, path, O_RDONLY | O_NONBLOCK, 0, err);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return err_set(err, ERR_USAGE, "content %s: not found", DIGEST_S(&d->id.d));
    AUTO(source_free) struct source *from = source_fd(fd, false);
    return layer_ingest(l->b->store, from, &d->id, d->size, diff, err) == NULL ? err->code : 0;
}

static int take_layers(struct layout *l, struct err *err)
{
    if (l->manifest.n_layers != l->config.n_layers)
        return err_set(err, ERR_CORRUPT, "the manifest has %zu layers, the configuration %zu",
                       l->manifest.n_layers, l->config.n_layers);
    for (size_t i = 0; i < l->config.n_layers; i++)
        if (take_layer(l, &l->manifest.layers[i], &l->config.layers[i], err) < 0)
            return err_wrap(err, "layer %s", DIGEST_S(&l->manifest.layers[i].id.d));
    return 0;
}

static int take_image(struct layout *l, const struct descriptor *d, const struct platform *platform,
                      struct found_image *ret, struct err *err)
{
    struct blob_id manifest;
    AUTO(buf_release) struct buf text = BUF_INIT;
    if (read_manifest(l, d, platform, &manifest, err) < 0 ||
        read_document(l, &l->manifest.config, &text, err) < 0)
        return err->code;
    image_config_release(&l->config);
    if (image_config_parse(buf_str(&text), text.len, &l->config, err) < 0 ||
        take_layers(l, err) < 0)
        return err->code;
    return found_from_config(l->b->e, &l->manifest.config.id, &manifest, ret, err);
}

static int open_layout(struct layout *l, const struct layout_ref *ref,
                       const struct platform *platform, struct found_image *ret, struct err *err)
{
    AUTO(index_release) struct index index = { .n_manifests = 0 };
    struct descriptor own = { .media_type = NULL };
    const struct descriptor *d = &own;
    int rc = ref->digest != NULL ? take_digest(l, ref->digest, &own, err)
                                 : find_entry(l, ref, &index, &d, err);
    if (rc == 0)
        rc = take_image(l, d, platform, ret, err);
    descriptor_release(&own);
    return rc;
}

int context_open_layout(struct build *b, const char *key, const char *text,
                        const struct platform *platform, struct found_image *ret, struct err *err)
{
    AUTO(layout_ref_release) struct layout_ref ref = { .path = NULL };
    AUTO(layout_release) struct layout l = { .b = b, .dir = -1 };
    image_config_init(&l.config);
    layout_ref_parse(text, &ref);
    int v = vertex_begin(b->e, "[context %s] OCI load from client", key);
    int64_t started = clock_mono_ms();
    l.dir = dir_open(AT_FDCWD, ref.path, err);
    int rc = l.dir < 0 ? l.dir : open_layout(&l, &ref, platform, ret, err);
    if (rc < 0) { /* what is missing is the user's to mend, and no miss of ours */
        err->code = rc == ERR_NOT_FOUND ? ERR_USAGE : rc;
        rc = err_wrap(err, "oci-layout reference \"oci-layout://%s\" could not be resolved", text);
    }
    return vertex_close(b->e, v, rc, started, err);
}

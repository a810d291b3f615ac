#include "cmd/debug_internal.h"
#include "base/fs.h"
#include "image/layer_tar.h"
#include "image/oci.h"
#include "image/view.h"
#include "store/layer.h"
#include "store/tag.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define INDEX_DEPTH_MAX 4

/* An image, from the store or from a directory. */
struct shown_image {
    json_t *config; /* the document */
    struct blob_id id;
    const struct listing **layers;
    struct listing **own; /* those of layers that are ours to free */
    size_t n;
};

static void shown_image_release(struct shown_image *i)
{
    json_decref(i->config);
    for (size_t k = 0; i->own != NULL && k < i->n; k++)
        listing_free(i->own[k]);
    mem_free(i->own);
    mem_free(i->layers);
}
DEFINE_AUTO_VALUE(struct shown_image, shown_image_release);

/* text is the configuration's bytes. */
static int take_config(struct shown_image *i, const struct buf *text, struct image_config *ret,
                       struct err *err)
{
    if (image_config_parse(buf_str(text), text->len, ret, err) < 0)
        return err->code;
    i->config = json_parse(buf_str(text), text->len, "image configuration", err);
    if (i->config == NULL)
        return err->code;
    digest_of(text->data, text->len, &i->id.d);
    i->n = ret->n_layers;
    i->layers = mem_calloc(i->n + 1, sizeof(*i->layers));
    i->own = mem_calloc(i->n + 1, sizeof(*i->own));
    return 0;
}

static int read_stored(struct store *store, const char *what, struct shown_image *i,
                       struct err *err)
{
    AUTO(stored_image_release) struct stored_image stored = { .name = NULL };
    AUTO(image_config_release) struct image_config c = { .created = NULL };
    AUTO(buf_release) struct buf text = BUF_INIT;
    if (tag_find(store, what, &stored, err) < 0 ||
        blob_read(store, &stored.config, MANIFEST_MAX, &text, err) < 0 ||
        take_config(i, &text, &c, err) < 0)
        return err->code;
    for (size_t k = 0; k < i->n; k++) {
        const struct layer *l = layer_get(store, &c.layers[k], err);
        if (l == NULL)
            return err_wrap(err, "layer %zu", k);
        i->layers[k] = l->listing;
    }
    return 0;
}

static char *blob_path(const struct blob_id *id)
{
    return str_printf("blobs/sha256/%s", DIGEST_HEX(&id->d));
}

static int read_blob(int dirfd, const struct blob_id *id, struct buf *ret, struct err *err)
{
    struct digest d;
    AUTO(mem_free) char *path = blob_path(id);
    if (inroot_read(dirfd, path, MANIFEST_MAX, ret, err) < 0)
        return err->code;
    digest_of(ret->data, ret->len, &d);
    if (!digest_eq(&d, &id->d))
        return err_set(err, ERR_CORRUPT, "'%s' is not what its name says", path);
    return 0;
}

/* The manifest below an index: the host's platform, else the first index inside it. */
static int find_manifest(int dirfd, const struct buf *text, const char *type, struct manifest *ret,
                         int depth, struct err *err)
{
    enum doc_kind kind = doc_kind_of(type);
    if (kind == DOC_OCI_MANIFEST || kind == DOC_DOCKER_MANIFEST)
        return manifest_parse(buf_str(text), text->len, type, ret, err);
    AUTO(index_release) struct index x = { .n_manifests = 0 };
    if (index_parse(buf_str(text), text->len, type, &x, err) < 0)
        return err->code;
    struct platform host = platform_host();
    const struct descriptor *next = index_pick(&x, &host);
    for (size_t i = 0; next == NULL && i < x.n_manifests; i++) {
        enum doc_kind k = doc_kind_of(x.manifests[i].media_type);
        next = k == DOC_OCI_INDEX || k == DOC_DOCKER_LIST ? &x.manifests[i] : NULL;
    }
    if (next == NULL || depth >= INDEX_DEPTH_MAX)
        return err_set(err, ERR_NOT_FOUND, "no image for this platform");
    AUTO(buf_release) struct buf below = BUF_INIT;
    if (read_blob(dirfd, &next->id, &below, err) < 0)
        return err->code;
    return find_manifest(dirfd, &below, next->media_type, ret, depth + 1, err);
}

static int list_tar(struct source *tar, struct listing **ret, struct err *err)
{
    AUTO(listing_builder_free) struct listing_builder *b = listing_builder_new();
    AUTO(buf_release) struct buf bytes = BUF_INIT;
    if (layer_tar_list(tar, b, err) < 0 || listing_builder_write(b, &bytes, NULL, err) < 0)
        return err->code;
    *ret = listing_open_buf(&bytes, err);
    return *ret != NULL ? 0 : err->code;
}

static int list_layer(int dirfd, const struct blob_id *id, const struct diff_id *want,
                      struct listing **ret, struct err *err)
{
    struct digest got = { { 0 } };
    AUTO(mem_free) char *path = blob_path(id);
    int fd = inroot_open(dirfd, path, O_RDONLY, 0, err);
    if (fd < 0)
        return err->code;
    struct source *plain = source_decompress(source_fd(fd, true), NULL, err);
    if (plain == NULL)
        return err->code;
    AUTO(source_free) struct source *tar = source_hash(plain, &got);
    AUTO(listing_free) struct listing *l = NULL;
    if (list_tar(tar, &l, err) < 0)
        return err->code;
    if (!digest_eq(&got, &want->d))
        return err_set(err, ERR_CORRUPT, "'%s' is not the layer of the configuration", path);
    *ret = TAKE(l);
    return 0;
}

static int read_layout(const char *dir, struct shown_image *i, struct err *err)
{
    AUTO(fd_close) int dirfd = dir_open(AT_FDCWD, dir, err);
    AUTO(buf_release) struct buf text = BUF_INIT;
    AUTO(manifest_release) struct manifest m = { .n_layers = 0 };
    AUTO(image_config_release) struct image_config c = { .created = NULL };
    const char *index_type = doc_media_type(DOC_OCI_INDEX);
    if (dirfd < 0 || inroot_read(dirfd, "index.json", MANIFEST_MAX, &text, err) < 0 ||
        find_manifest(dirfd, &text, index_type, &m, 0, err) < 0 ||
        read_blob(dirfd, &m.config.id, &text, err) < 0 || take_config(i, &text, &c, err) < 0)
        return err->code;
    if (m.n_layers != c.n_layers)
        return err_set(err, ERR_CORRUPT, "manifest and configuration have other layers");
    for (size_t k = 0; k < i->n; k++) {
        if (list_layer(dirfd, &m.layers[k].id, &c.layers[k], &i->own[k], err) < 0)
            return err_wrap(err, "layer %zu", k);
        i->layers[k] = i->own[k];
    }
    return 0;
}

static json_t *history_json(const json_t *config)
{
    json_t *list = json_array(), *step;
    size_t k;
    json_array_foreach(json_get_arr(config, "history"), k, step)
    {
        json_t *copy = json_copy(step);
        json_object_del(copy, "created");
        json_array_append_new(list, copy);
    }
    return list;
}

/* Members of the layer's tar: an opaque directory has a second one. */
static json_int_t n_members(const struct listing *l)
{
    json_int_t n = 0;
    for (size_t k = 0; k < listing_len(l); k++) {
        struct entry e;
        listing_at(l, k, &e);
        n += 1 + (e.type == ENTRY_DIR && e.opaque);
    }
    return n;
}

/* Text as it is; other bytes as getfattr shows them, "0x...". */
static json_t *xattr_json(const struct entry_xattr *x)
{
    const uint8_t *p = x->value;
    json_t *text = memchr(p, 0, x->len) == NULL ? json_stringn(x->value, x->len) : NULL;
    if (text != NULL)
        return text;
    AUTO(buf_release) struct buf hex = BUF_INIT;
    buf_adds(&hex, "0x");
    for (size_t i = 0; i < x->len; i++)
        buf_addf(&hex, "%02x", p[i]);
    return json_string(buf_str(&hex));
}

/* A path as JSON can hold it: where that is no UTF-8, bytes above ASCII as "\\xNN". */
static char *path_text(const char *path)
{
    AUTO(buf_release) struct buf b = BUF_INIT;
    json_auto_t *as_it_is = json_string(path);
    buf_addc(&b, '/');
    for (const char *p = path; *p != '\0'; p++) {
        if (as_it_is != NULL || (unsigned char)*p < 0x80)
            buf_addc(&b, *p);
        else
            buf_addf(&b, "\\x%02x", (unsigned char)*p);
    }
    return buf_take(&b);
}

static void add_file(const struct entry *e, json_t *o)
{
    json_object_set_new(o, "size", json_integer((json_int_t)e->size));
    json_object_set_new(o, "sha256", json_string(DIGEST_HEX(&e->content)));
    if (e->hardlink != NULL) {
        AUTO(mem_free) char *first = path_text(e->hardlink);
        json_object_set_new(o, "hardlink", json_string(first));
    }
}

static json_t *entry_json(const struct entry *e)
{
    char mode[8], type[2] = { (char)e->type, 0 };
    snprintf(mode, sizeof(mode), "%04o", e->type == ENTRY_LINK ? 0777u : e->mode & 07777u);
    json_t *o =
        json_pack("{s:s, s:s, s:I, s:I, s:I}", "t", type, "mode", mode, "uid", (json_int_t)e->uid,
                  "gid", (json_int_t)e->gid, "mtime", (json_int_t)e->mtime);
    if (e->type == ENTRY_FILE)
        add_file(e, o);
    if (e->type == ENTRY_LINK)
        json_object_set_new(o, "to", json_from_str(e->target));
    if (e->type == ENTRY_CHAR || e->type == ENTRY_BLOCK) {
        json_object_set_new(o, "major", json_integer(e->dev_major));
        json_object_set_new(o, "minor", json_integer(e->dev_minor));
    }
    if (e->n_xattrs > 0) {
        json_t *xattrs = json_object();
        for (size_t k = 0; k < e->n_xattrs; k++)
            json_object_set_new(xattrs, e->xattrs[k].name, xattr_json(&e->xattrs[k]));
        json_object_set_new(o, "xattrs", xattrs);
    }
    return o;
}

static int add_entry(void *tree, const struct entry *e, size_t layer UNUSED, struct err *err UNUSED)
{
    if (*e->path == '\0')
        return 0;
    AUTO(mem_free) char *path = path_text(e->path);
    json_object_set_new(tree, path, entry_json(e));
    return 0;
}

static int tree_json(const struct shown_image *i, json_t **ret, struct err *err)
{
    AUTO(view_free) struct view *v = view_new(i->layers, i->n);
    json_auto_t *tree = json_object();
    if (view_walk(v, "", add_entry, tree, err) < 0)
        return err->code;
    *ret = TAKE(tree);
    return 0;
}

static int image_json(const struct shown_image *i, const char *name, json_t **ret, struct err *err)
{
    json_t *tree = NULL;
    if (tree_json(i, &tree, err) < 0)
        return err->code;
    json_t *o = json_object(), *entries = json_array();
    for (size_t k = 0; k < i->n; k++)
        json_array_append_new(entries, json_integer(n_members(i->layers[k])));
    json_object_set_new(o, "id", json_string(DIGEST_S(&i->id.d)));
    json_object_set_new(o, "name", json_from_str(name));
    json_object_set_new(o, "os", json_from_str(json_get_str(i->config, "os")));
    json_object_set_new(o, "architecture", json_from_str(json_get_str(i->config, "architecture")));
    json_t *config = json_get_obj(i->config, "config");
    json_object_set_new(o, "config", config != NULL ? json_incref(config) : json_object());
    json_object_set_new(o, "history", history_json(i->config));
    json_object_set_new(o, "layers", json_integer((json_int_t)i->n));
    json_object_set_new(o, "entries_per_layer", entries);
    json_object_set_new(o, "base_entries_dropped", json_integer(0));
    json_object_set_new(o, "tree", tree);
    *ret = o;
    return 0;
}

int debug_tree(struct session *s, const char *what, json_t **ret, struct err *err)
{
    AUTO(store_close) struct store *store = NULL;
    AUTO(shown_image_release) struct shown_image i = { .n = 0 };
    int code;
    if (str_starts(what, "oci:")) {
        code = read_layout(what + strlen("oci:"), &i, err);
    } else {
        store = store_open(s->store_root, err);
        code = store != NULL ? read_stored(store, what, &i, err) : err->code;
    }
    return code < 0 ? code : image_json(&i, what, ret, err);
}

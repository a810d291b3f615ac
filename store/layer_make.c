#include "store/layer.h"
#include "store/layer_internal.h"

#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* Hash and size of a tar on the way to somewhere (NULL: nowhere else). */
static struct sink *tar_sink(struct new_layer *n, struct sink *blob)
{
    struct sink *hash = sink_async(sink_hash(NULL, &n->diff_id.d));

    return sink_count(blob ? sink_tee(hash, blob) : hash, &n->tar_size);
}

const struct layer *layer_make(struct store *s, struct listing_builder *b, layer_content_fn open,
                               void *arg, struct err *err)
{
    AUTO(new_layer_release)
    struct new_layer n = { .compression = COMPRESSION_ZSTD, .is_ours = true };

    if (new_layer_list(s, b, &n, err) < 0)
        return NULL;
    n.packed = blob_writer_open(s, err);
    if (n.packed == NULL)
        return NULL;
    struct sink *blob = sink_compress(blob_writer_sink(n.packed), COMPRESSION_ZSTD, -1);
    AUTO(sink_free) struct sink *to = tar_sink(&n, sink_async(blob));
    if (layer_tar_write(n.listing, open, arg, to, err) < 0 || sink_finish(to, err) < 0)
        return NULL;
    return new_layer_publish(s, &n, err);
}

/*
 * Adopting: each file is read once, for the tar's hash and its own.
 */
struct adopt {
    int root; /* the directory */
    struct tar_writer *tar;
    struct listing_builder *list; /* the listing with its digests */
    struct hasher *hasher;
    struct buf data; /* of one file, when the listing shall carry it */
    char *chunk;
};
#define ADOPT_CHUNK (256u << 10)

static void adopt_release(struct adopt *a)
{
    tar_writer_free(a->tar);
    listing_builder_free(a->list);
    hasher_free(a->hasher);
    buf_release(&a->data);
    mem_free(a->chunk);
    fd_close(a->root);
}
DEFINE_AUTO_VALUE(struct adopt, adopt_release);

static int changed(const struct entry *e, struct err *err)
{
    return err_set(err, ERR_CORRUPT, "file '%s' changed while it was read", e->path);
}

static int open_file(struct adopt *a, const struct entry *e, struct err *err)
{
    struct stat st;
    AUTO(fd_close)
    int fd = inroot_open(a->root, e->path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0, err);

    if (fd < 0)
        return err_wrap(err, "file '%s'", e->path);
    if (fstat(fd, &st) < 0)
        return err_sys(err, errno, "file '%s'", e->path);
    if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != e->size)
        return changed(e, err);
    return TAKE_FD(fd);
}

static int pass_bytes(struct adopt *a, int fd, const struct entry *e, bool carry, struct err *err)
{
    uint64_t left = e->size;
    size_t got;

    do {
        if (fd_read_full(fd, a->chunk, ADOPT_CHUNK, &got, err) < 0)
            return err_wrap(err, "file '%s'", e->path);
        if (got > left)
            return changed(e, err);
        left -= got;
        hasher_add(a->hasher, a->chunk, got);
        if (carry)
            buf_add(&a->data, a->chunk, got);
        if (got > 0 && tar_writer_data(a->tar, a->chunk, got, err) < 0)
            return err->code;
    } while (got == ADOPT_CHUNK);
    return left == 0 ? 0 : changed(e, err);
}

static int adopt_content(struct adopt *a, struct entry *e, struct err *err)
{
    bool carry = listing_wants_inline(e->path) && e->size <= LISTING_INLINE_MAX;
    struct digest d;
    AUTO(fd_close) int fd = open_file(a, e, err);

    if (fd < 0)
        return fd;
    buf_clear(&a->data);
    if (pass_bytes(a, fd, e, carry, err) < 0) {
        hasher_end(a->hasher, &d);
        return err->code;
    }
    hasher_end(a->hasher, &d);
    if (!digest_is_zero(&e->content) && !digest_eq(&e->content, &d))
        return changed(e, err);
    e->content = d;
    e->inline_data = carry ? buf_str(&a->data) : NULL;
    return 0;
}

static int adopt_entries(struct adopt *a, const struct listing *l, struct err *err)
{
    struct entry e;

    for (size_t i = 0; i < listing_len(l); i++) {
        listing_at(l, i, &e);
        if (tar_writer_entry(a->tar, &e, err) < 0)
            return err->code;
        if (e.type == ENTRY_FILE && e.hardlink == NULL && adopt_content(a, &e, err) < 0)
            return err->code;
        if (listing_builder_add(a->list, &e, err) < 0)
            return err->code;
    }
    return tar_writer_finish(a->tar, err);
}

static int adopt_open(struct adopt *a, int dirfd, const char *name, struct sink *to,
                      struct err *err)
{
    a->root = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (a->root < 0)
        return err_sys(err, errno, "cannot open directory '%s'", name);
    a->list = listing_builder_new();
    a->hasher = hasher_new();
    a->chunk = mem_alloc(ADOPT_CHUNK);
    a->tar = tar_writer_new(to, err);
    return a->tar ? 0 : err->code;
}

/* The builder's own listing: with it come the order, and which of several names has the content. */
static struct listing *plan(struct listing_builder *b, struct err *err)
{
    AUTO(buf_release) struct buf bytes = BUF_INIT;

    return listing_builder_write(b, &bytes, NULL, err) < 0 ? NULL : listing_open_buf(&bytes, err);
}

static int hash_directory(struct store *s, struct listing_builder *b, int dirfd, const char *name,
                          struct new_layer *ret, struct err *err)
{
    AUTO(listing_free) struct listing *l = plan(b, err);
    AUTO(sink_free) struct sink *to = tar_sink(ret, NULL);
    AUTO(adopt_release) struct adopt a = { .root = -1 };

    if (l == NULL || adopt_open(&a, dirfd, name, to, err) < 0 || adopt_entries(&a, l, err) < 0 ||
        sink_finish(to, err) < 0)
        return err->code;
    return new_layer_list(s, a.list, ret, err);
}

static const struct layer *adopt_tree(struct store *s, struct new_layer *n, int dirfd,
                                      const char *name, struct err *err)
{
    AUTO(fd_close) int claim = store_claim(s, CLAIM_TREE, &n->diff_id.d, err);

    if (claim < 0)
        return NULL;
    int there = tree_find(s, &n->diff_id, err);
    if (there < 0)
        return NULL;
    if (there == 0 && tree_place(s, &n->diff_id, dirfd, name, n->is_synced, err) < 0)
        return NULL;
    /* The one that is there may be somebody's who did not sync it, or of a layer that is not ours.
     */
    if (there > 0 && n->is_synced && tree_sync(s, err) < 0)
        return NULL;
    n->has_tree = there == 0 || n->is_synced;
    return new_layer_publish(s, n, err);
}

const struct layer *layer_adopt(struct store *s, struct listing_builder *b, int dirfd,
                                const char *name, struct err *err)
{
    AUTO(new_layer_release)
    struct new_layer n = { .is_synced = store_is_durable(s), .is_ours = true };

    return hash_directory(s, b, dirfd, name, &n, err) < 0 ? NULL
                                                          : adopt_tree(s, &n, dirfd, name, err);
}

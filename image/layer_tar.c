#include "image/layer_tar.h"
#include "image/listing_internal.h"

#include "base/mem.h"

#define CHUNK (128u * 1024)

/* ---- Listing ---- */

struct lister {
    struct tar_reader *reader;
    struct hasher *hasher;
    char *chunk;
    const struct layer_tar_watch *watch; /* may be NULL */
    struct buf content;                  /* of the file, when it is to be carried */
};

static int hash_file(struct lister *s, struct entry *e, struct err *err)
{
    bool carried = listing_wants_inline(e->path) && e->size <= LISTING_INLINE_MAX;
    ssize_t n;
    buf_clear(&s->content);
    while ((n = tar_reader_read(s->reader, s->chunk, CHUNK, err)) > 0) {
        hasher_add(s->hasher, s->chunk, (size_t)n);
        if (s->watch != NULL)
            s->watch->bytes(s->watch->arg, s->chunk, (size_t)n);
        if (carried)
            buf_add(&s->content, s->chunk, (size_t)n);
    }
    hasher_end(s->hasher, &e->content);
    if (s->watch != NULL)
        s->watch->end(s->watch->arg, &e->content);
    if (carried)
        e->inline_data = buf_str(&s->content);
    return (int)n;
}

static int list_all(struct lister *s, struct listing_builder *ret, struct err *err)
{
    struct entry e;
    int code;
    while ((code = tar_reader_next(s->reader, &e, err)) > 0) {
        if (e.type == ENTRY_FILE && e.hardlink == NULL && hash_file(s, &e, err) < 0)
            return err->code;
        if (listing_builder_add_member(ret, &e, err) < 0)
            return err_wrap(err, "layer");
    }
    return code;
}

int layer_tar_list(struct source *from, struct listing_builder *ret, struct err *err)
{
    return layer_tar_list_watched(from, NULL, ret, err);
}

int layer_tar_list_watched(struct source *from, const struct layer_tar_watch *watch,
                           struct listing_builder *ret, struct err *err)
{
    AUTO(tar_reader_free) struct tar_reader *reader = tar_reader_new(from, err);
    if (reader == NULL)
        return err->code;
    AUTO(hasher_free) struct hasher *hasher = hasher_new();
    AUTO(mem_free) char *chunk = mem_alloc(CHUNK);
    struct lister s = { .reader = reader, .hasher = hasher, .chunk = chunk, .watch = watch };
    int code = list_all(&s, ret, err);
    buf_release(&s.content);
    return code;
}

/* ---- Writing ---- */

struct packer {
    struct tar_writer *writer;
    struct hasher *hasher;
    char *chunk;
    layer_content_fn open;
    void *arg;
};

static int wrong_content(const struct entry *e, const char *what, struct err *err)
{
    return err_set(err, ERR_CORRUPT, "'%s': its content has another %s than its listing says",
                   e->path, what);
}

static int put_content(struct packer *k, const struct entry *e, struct err *err)
{
    AUTO(source_free) struct source *from = NULL;
    struct digest got;
    uint64_t left = e->size;
    ssize_t n = 0;
    if (left > 0 && (from = k->open(k->arg, e, err)) == NULL)
        return err->code;
    while (from && (n = source_read(from, k->chunk, CHUNK, err)) > 0) {
        if ((uint64_t)n > left)
            return wrong_content(e, "size", err);
        left -= (uint64_t)n;
        hasher_add(k->hasher, k->chunk, (size_t)n);
        if (tar_writer_data(k->writer, k->chunk, (size_t)n, err) < 0)
            return err->code;
    }
    if (n < 0)
        return err_wrap(err, "'%s'", e->path);
    hasher_end(k->hasher, &got);
    if (left > 0)
        return wrong_content(e, "size", err);
    return digest_eq(&got, &e->content) ? 0 : wrong_content(e, "digest", err);
}

int layer_tar_write(const struct listing *l, layer_content_fn open, void *arg, struct sink *to,
                    struct err *err)
{
    AUTO(tar_writer_free) struct tar_writer *writer = tar_writer_new(to, err);
    if (writer == NULL)
        return err->code;
    AUTO(hasher_free) struct hasher *hasher = hasher_new();
    AUTO(mem_free) char *chunk = mem_alloc(CHUNK);
    struct packer k = {
        .writer = writer, .hasher = hasher, .chunk = chunk, .open = open, .arg = arg
    };
    struct entry e;
    for (size_t i = 0; i < listing_len(l); i++) {
        listing_at(l, i, &e);
        if (tar_writer_entry(writer, &e, err) < 0)
            return err->code;
        if (e.type == ENTRY_FILE && e.hardlink == NULL && put_content(&k, &e, err) < 0)
            return err->code;
    }
    return tar_writer_finish(writer, err);
}

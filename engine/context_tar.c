/*
 * A context that came as a tar. It is written anew on its way into the store: names cleaned,
 * ".wh." names, which would hide files in a layer, left out. Nothing of it is held in memory.
 */
#include "engine/context_internal.h"

#include "base/log.h"
#include "image/layer_tar.h"
#include "store/feed.h"
#include <string.h>

#define TAR_BLOCK 512
#define WHITEOUT ".wh."
#define TOLD_MAX 3 /* names that are left out and said */

bool context_is_archive(const void *head, size_t n)
{
    return compression_detect(head, n) != COMPRESSION_NONE ||
           (n >= TAR_BLOCK && tar_is_header(head));
}

/* A name that a layer cannot have. */
static bool is_whiteout(const char *path)
{
    for (const char *s = path; s != NULL; s = strchr(s, '/')) {
        s += *s == '/';
        if (str_starts(s, WHITEOUT))
            return true;
    }
    return false;
}

struct rewrite {
    struct source *from; /* not compressed */
    size_t n_left_out;
};

static void tell_left_out(struct rewrite *w, const char *path)
{
    if (w->n_left_out++ < TOLD_MAX)
        log_warn("engine",
                 "'%s' of the build context is left out: a name that begins with \"%s\" "
                 "hides files in an image",
                 path, WHITEOUT);
}

static int copy_content(struct tar_reader *r, struct tar_writer *to, struct err *err)
{
    AUTO(mem_free) char *chunk = mem_alloc(65536);
    ssize_t n;
    while ((n = tar_reader_read(r, chunk, 65536, err)) > 0)
        if (tar_writer_data(to, chunk, (size_t)n, err) < 0)
            return err->code;
    return (int)n;
}

/* feed_fn */
static int rewrite(void *arg, struct sink *to, struct err *err)
{
    struct rewrite *w = arg;
    AUTO(tar_reader_free) struct tar_reader *r = tar_reader_new_plain(w->from, err);
    AUTO(tar_writer_free) struct tar_writer *out = r ? tar_writer_new(to, err) : NULL;
    if (out == NULL)
        return err->code;
    struct entry e;
    int rc;
    while ((rc = tar_reader_next(r, &e, err)) > 0) {
        if (is_whiteout(e.path) || (e.hardlink != NULL && is_whiteout(e.hardlink))) {
            tell_left_out(w, e.path);
            continue;
        }
        if (tar_writer_entry(out, &e, err) < 0)
            return err->code;
        if (e.type == ENTRY_FILE && e.hardlink == NULL && copy_content(r, out, err) < 0)
            return err->code;
    }
    return rc < 0 ? rc : tar_writer_finish(out, err);
}

const struct layer *context_tar_layer(struct build *b, struct source *from, struct err *err)
{
    AUTO(source_free)
    struct source *plain = source_decompress(source_borrow(from, NULL, 0), NULL, err);
    struct rewrite w = { .from = plain };
    AUTO(source_free) struct source *clean = plain ? source_feed(rewrite, &w, NULL) : NULL;
    const struct layer *l = clean ? layer_ingest(b->store, clean, NULL, 0, NULL, err) : NULL;
    if (l == NULL)
        err_wrap(err, "failed to unpack the build context");
    return l;
}

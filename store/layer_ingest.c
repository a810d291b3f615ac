#include "store/layer.h"
#include "store/layer_internal.h"

#include "store/feed.h"
#include "store/loose.h"

/*
 *   from ─▶ raw (digest, blob) ─▶ decompress ─▶ tar (diff id, or zstd blob) ═▶ listing
 *
 * The double line is a queue between two threads, and what hangs at raw and
 * at tar has a thread of its own again: waiting for the network, inflating, hashing and writing
 * overlap.
 */
struct ingest {
    struct store *store;
    struct source *from; /* borrowed */
    uint64_t raw_size;
    struct digest raw_digest; /* only when the blob is not the bytes as they came */
    struct sink *raw, *tar;
    struct source *raw_source; /* from with its head again, borrowed by the chain */
    struct source *chain;      /* what the listing is read from */
    enum compression input;
    struct new_layer made;
};

static void ingest_release(struct ingest *g)
{
    source_free(g->chain); /* first: its thread writes to the sinks */
    source_free(g->raw_source);
    sink_free(g->raw);
    sink_free(g->tar);
    new_layer_release(&g->made);
}
DEFINE_AUTO_VALUE(struct ingest, ingest_release);

/* gzip and zstd are kept as they come; all else is packed by us. */
static bool is_kept(enum compression c)
{
    return c == COMPRESSION_GZIP || c == COMPRESSION_ZSTD;
}

static int open_sinks(struct ingest *g, struct err *err)
{
    struct sink *diff = sink_count(sink_hash(NULL, &g->made.diff_id.d), &g->made.tar_size);

    g->tar = sink_async(diff);
    g->made.packed = blob_writer_open(g->store, err);
    if (g->made.packed == NULL)
        return err->code;
    struct sink *blob = blob_writer_sink(g->made.packed);
    if (is_kept(g->input)) {
        g->made.compression = g->input;
        g->raw = sink_count(sink_async(blob), &g->raw_size);
    } else {
        g->made.compression = COMPRESSION_ZSTD;
        bool is_plain = g->input == COMPRESSION_NONE; /* the diff id is its digest */
        struct sink *digest = is_plain ? sink_null() : sink_hash(NULL, &g->raw_digest);
        g->raw = sink_count(digest, &g->raw_size);
        g->tar = sink_tee(g->tar, sink_async(sink_compress(blob, COMPRESSION_ZSTD, -1)));
    }
    return 0;
}

static int open_chain(struct ingest *g, uint64_t want_size, struct err *err)
{
    char head[SOURCE_HEAD_MAX];
    ssize_t n = source_read_full(g->from, head, sizeof(head), err);

    if (n < 0)
        return (int)n;
    g->input = compression_detect(head, (size_t)n);
    if (open_sinks(g, err) < 0)
        return err->code;
    struct source *raw = source_borrow(g->from, head, (size_t)n);
    if (want_size != 0)
        raw = source_limit(raw, want_size, "the layer's blob");
    g->raw_source = source_tee(raw, g->raw);
    struct source *plain = source_decompress(source_borrow(g->raw_source, NULL, 0), NULL, err);
    if (plain == NULL)
        return err->code;
    g->chain = source_ahead(source_tee(source_limit(plain, LAYER_TAR_MAX, "the layer"), g->tar));
    return 0;
}

static int drain(struct source *from, struct err *err)
{
    AUTO(sink_free) struct sink *nowhere = sink_null();

    return stream_copy(from, nowhere, NULL, err);
}

/* Whatever a reader leaves unread is in the digests all the same. */
static int drain_all(struct ingest *g, struct err *err)
{
    uint64_t inside;

    if (drain(g->chain, err) < 0)
        return err->code;
    source_free(TAKE(g->chain));
    inside = g->raw_size;
    if (drain(g->raw_source, err) < 0)
        return err->code;
    if (g->raw_size != inside)
        return err_set(err, ERR_CORRUPT, "%llu bytes follow the end of the compressed data",
                       (unsigned long long)(g->raw_size - inside));
    return sink_finish(g->raw, err) < 0 || sink_finish(g->tar, err) < 0 ? err->code : 0;
}

static int check(const struct ingest *g, const struct blob_id *want_blob, uint64_t want_size,
                 const struct diff_id *want_diff, struct err *err)
{
    if (want_size != 0 && g->raw_size != want_size)
        return err_set(err, ERR_CORRUPT, "the layer's blob has %llu bytes, not %llu",
                       (unsigned long long)g->raw_size, (unsigned long long)want_size);
    const struct digest *raw = g->input == COMPRESSION_NONE ? &g->made.diff_id.d : &g->raw_digest;
    if (want_blob != NULL && !is_kept(g->input) && !digest_eq(&want_blob->d, raw))
        return err_set(err, ERR_CORRUPT, "the bytes of blob '%s' have the digest '%s'",
                       DIGEST_S(&want_blob->d), DIGEST_S(raw));
    if (want_diff != NULL && !digest_eq(&want_diff->d, &g->made.diff_id.d))
        return err_set(err, ERR_CORRUPT, "the bytes of layer '%s' have the digest '%s'",
                       DIGEST_S(&want_diff->d), DIGEST_S(&g->made.diff_id.d));
    return 0;
}

/* files may be NULL: nobody wants them. */
static int list_files(struct ingest *g, struct loose *files, struct listing_builder *b,
                      struct err *err)
{
    if (files == NULL)
        return layer_tar_list(g->chain, b, err);
    struct layer_tar_watch watch = loose_watch(files);
    return layer_tar_list_watched(g->chain, &watch, b, err);
}

static const struct layer *ingest(struct store *s, struct source *from,
                                  const struct blob_id *want_blob, uint64_t want_size,
                                  const struct diff_id *want_diff, struct loose *files,
                                  struct err *err)
{
    AUTO(ingest_release) struct ingest g = { .store = s, .from = from };
    AUTO(listing_builder_free) struct listing_builder *b = listing_builder_new();

    if (open_chain(&g, want_size, err) < 0 || list_files(&g, files, b, err) < 0 ||
        drain_all(&g, err) < 0 || check(&g, want_blob, want_size, want_diff, err) < 0)
        return NULL;
    if (new_layer_list(s, b, &g.made, err) < 0)
        return NULL;
    g.made.want = is_kept(g.input) ? want_blob : NULL;
    return new_layer_publish(s, &g.made, err);
}

const struct layer *layer_ingest(struct store *s, struct source *from,
                                 const struct blob_id *want_blob, uint64_t want_size,
                                 const struct diff_id *want_diff, struct err *err)
{
    return ingest(s, from, want_blob, want_size, want_diff, NULL, err);
}

const struct layer *layer_ingest_tree(struct store *s, struct source *from,
                                      const struct blob_id *want_blob, uint64_t want_size,
                                      const struct diff_id *want_diff, struct err *err)
{
    AUTO(loose_free) struct loose *files = loose_new(s);
    const struct layer *l = ingest(s, from, want_blob, want_size, want_diff, files, err);

    if (l != NULL && files != NULL)
        tree_from_loose(s, l, files);
    return l;
}

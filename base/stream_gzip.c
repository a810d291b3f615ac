/*
 * Writing gzip with all processors. The input is cut into blocks of a fixed size, each of which is
 * deflated for itself, with the end of the one before it as its dictionary, and ends on a byte: the
 * bytes depend on the input, the level and the library, not on how many threads there are. What
 * comes out is one member, which every tool reads.
 *
 * A block waits until it is known whether it is the last, and a single one needs no thread.
 */
#include "base/stream_codec_internal.h"

#include "base/pool.h"

#include <string.h>
#include <unistd.h>
#include <zlib.h>

#define BLOCK_SIZE ((size_t)1 << 20)
#define MAX_WIDTH 8

struct block {
    const struct gzip_encoder *owner;
    uint8_t *in; /* the dictionary, then the block */
    size_t n_dict, n;
    bool is_last;
    uint32_t crc;
    struct buf out;
};

/* Blocks that are compressed at the same time. */
struct batch {
    struct block blocks[MAX_WIDTH];
    size_t n;
    struct group *group; /* they are being compressed */
};

struct gzip_encoder {
    struct sink base;
    struct sink *next;
    int level;
    deflate_block_fn deflate;
    struct pool *pool; /* started with the second block */
    size_t width;
    struct batch batches[2], *filling, *running;
    uint32_t crc;
    uint64_t n_in;
    bool has_header;
};

static int zlib_block(int level, const struct deflate_part *part, struct buf *ret, struct err *err)
{
    z_stream z = { .zalloc = Z_NULL };
    uint8_t out[16384];
    int r = deflateInit2(&z, level, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY);

    if (r == Z_OK && part->n_dict > 0)
        r = deflateSetDictionary(&z, part->dict, (uInt)part->n_dict);
    z.next_in = (z_const Bytef *)(uintptr_t)part->p; /* read only, for all that its type says */
    z.avail_in = (uInt)part->n;
    for (z.avail_out = 0; r == Z_OK && z.avail_out == 0;) {
        z.next_out = out;
        z.avail_out = sizeof(out);
        r = deflate(&z, part->is_last ? Z_FINISH : Z_SYNC_FLUSH);
        buf_add(ret, out, sizeof(out) - z.avail_out);
    }
    /* Nothing was left to flush. */
    bool is_good = r == Z_OK || r == Z_STREAM_END || r == Z_BUF_ERROR;
    deflateEnd(&z);
    return is_good ? 0 : err_set(err, ERR_IO, "zlib cannot compress (%d)", r);
}

static int compress_block(void *arg, struct err *err)
{
    struct block *b = arg;
    const struct deflate_part part = {
        .dict = b->in, .n_dict = b->n_dict, .p = b->in + b->n_dict, .n = b->n, .is_last = b->is_last
    };

    b->crc = (uint32_t)crc32(0, part.p, (uInt)part.n);
    return b->owner->deflate(b->owner->level, &part, &b->out, err);
}

/* zlib's own: no name, time 0, so equal input gives equal bytes. */
static int put_header(struct gzip_encoder *g, struct err *err)
{
    uint8_t header[] = { 0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3 };

    if (g->has_header)
        return 0;
    g->has_header = true;
    header[8] = g->level == 9 ? 2 : g->level < 2 ? 4 : 0;
    return sink_write(g->next, header, sizeof(header), err);
}

static int put_block(struct gzip_encoder *g, struct block *b, struct err *err)
{
    g->crc = (uint32_t)crc32_combine(g->crc, b->crc, (z_off_t)b->n);
    g->n_in += b->n;
    if (put_header(g, err) < 0 || sink_write(g->next, buf_str(&b->out), b->out.len, err) < 0)
        return err->code;
    buf_clear(&b->out);
    return 0;
}

/* Waits for the blocks of the batch and gives them on; it is empty then. */
static int collect(struct gzip_encoder *g, struct batch *t, struct err *err)
{
    if (t->group != NULL && group_wait(t->group, err) < 0)
        return err->code;
    group_free(TAKE(t->group));
    for (size_t i = 0; i < t->n; i++)
        if (put_block(g, &t->blocks[i], err) < 0)
            return err->code;
    t->n = 0;
    return 0;
}

static void launch(struct gzip_encoder *g, struct batch *t)
{
    if (g->pool == NULL)
        g->pool = pool_new((unsigned)g->width);
    t->group = group_new(g->pool);
    for (size_t i = 0; i < t->n; i++)
        group_run(t->group, compress_block, &t->blocks[i]);
}

/* While one batch is compressed the other is filled. */
static int swap_batches(struct gzip_encoder *g, struct err *err)
{
    struct batch *t = g->filling;

    if (collect(g, g->running, err) < 0)
        return err->code;
    launch(g, t);
    g->filling = g->running;
    g->running = t;
    return 0;
}

/* An empty block, with the end of before (may be NULL) as its dictionary. */
static struct block *add_block(struct gzip_encoder *g, const struct block *before)
{
    struct block *b = &g->filling->blocks[g->filling->n++];

    if (b->in == NULL)
        b->in = mem_alloc(DEFLATE_WINDOW + BLOCK_SIZE);
    b->owner = g;
    b->n = 0;
    b->n_dict = before != NULL ? DEFLATE_WINDOW : 0; /* only full ones are followed */
    if (before != NULL)
        memcpy(b->in, before->in + before->n_dict + before->n - DEFLATE_WINDOW, DEFLATE_WINDOW);
    return b;
}

static struct block *last_block(struct gzip_encoder *g)
{
    return g->filling->n > 0 ? &g->filling->blocks[g->filling->n - 1] : add_block(g, NULL);
}

static int gzip_write(struct sink *s, const void *p, size_t n, struct err *err)
{
    struct gzip_encoder *g = (struct gzip_encoder *)s;
    struct block *b = last_block(g);

    while (n > 0) {
        if (b->n == BLOCK_SIZE) {
            if (g->filling->n == g->width && swap_batches(g, err) < 0)
                return err->code;
            b = add_block(g, b);
        }
        size_t k = n < BLOCK_SIZE - b->n ? n : BLOCK_SIZE - b->n;
        memcpy(b->in + b->n_dict + b->n, p, k);
        b->n += k;
        p = (const char *)p + k;
        n -= k;
    }
    return 0;
}

static int compress_rest(struct gzip_encoder *g, struct err *err)
{
    last_block(g)->is_last = true;
    if (g->pool != NULL || g->filling->n > 1)
        return swap_batches(g, err) < 0 ? err->code : collect(g, g->running, err);
    return compress_block(last_block(g), err) < 0 ? err->code : collect(g, g->filling, err);
}

static int gzip_finish(struct sink *s, struct err *err)
{
    struct gzip_encoder *g = (struct gzip_encoder *)s;
    uint8_t trailer[8];

    if (compress_rest(g, err) < 0)
        return err->code;
    for (int i = 0; i < 4; i++) {
        trailer[i] = (uint8_t)(g->crc >> (8 * i));
        trailer[4 + i] = (uint8_t)(g->n_in >> (8 * i));
    }
    return sink_write(g->next, trailer, sizeof(trailer), err) < 0 ? err->code
                                                                  : sink_finish(g->next, err);
}

static void gzip_free(struct sink *s)
{
    struct gzip_encoder *g = (struct gzip_encoder *)s;

    for (size_t t = 0; t < ARRAY_LEN(g->batches); t++) {
        group_free(g->batches[t].group); /* waits */
        for (size_t i = 0; i < MAX_WIDTH; i++) {
            mem_free(g->batches[t].blocks[i].in);
            buf_release(&g->batches[t].blocks[i].out);
        }
    }
    pool_free(g->pool);
    sink_free(g->next);
    mem_free(g);
}

static size_t width_of_machine(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);

    return n < 1 ? 1 : n > MAX_WIDTH ? MAX_WIDTH : (size_t)n;
}

struct sink *sink_gzip(struct sink *next, int level, size_t width)
{
    struct gzip_encoder *g = mem_zalloc(sizeof(*g));

    g->base = (struct sink){ .write = gzip_write, .finish = gzip_finish, .free = gzip_free };
    g->next = next;
    g->filling = &g->batches[0];
    g->running = &g->batches[1];
    g->width = width > 0 && width < MAX_WIDTH ? width : width_of_machine();
    g->deflate = deflate_block_isal(&level);
    if (g->deflate == NULL)
        g->deflate = zlib_block;
    if (level < 0)
        level = level == COMPRESSION_LEVEL_FASTEST ? 1 : 6;
    g->level = level > 9 ? 9 : level;
    return &g->base;
}

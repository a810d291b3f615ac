#include "base/stream_codec_internal.h"

#include <assert.h>
#include <string.h>
#include <zstd.h>

static int encoder_write(struct sink *s, const void *data, size_t n, struct err *err)
{
    struct encoder *e = (struct encoder *)s;
    const uint8_t *p = data;

    while (n > 0) {
        /* A full block waits until it is known whether it is the last one. */
        if (e->n == CODEC_BLOCK) {
            if (e->run(e, e->block, e->n, false, err) < 0)
                return err->code;
            e->n = 0;
        }
        if (e->n == 0 && n > CODEC_BLOCK) {
            if (e->run(e, p, CODEC_BLOCK, false, err) < 0)
                return err->code;
            p += CODEC_BLOCK;
            n -= CODEC_BLOCK;
            continue;
        }
        size_t k = n < CODEC_BLOCK - e->n ? n : CODEC_BLOCK - e->n;
        memcpy(e->block + e->n, p, k);
        e->n += k;
        p += k;
        n -= k;
    }
    return 0;
}

static int encoder_finish(struct sink *s, struct err *err)
{
    struct encoder *e = (struct encoder *)s;

    if (e->run(e, e->block, e->n, true, err) < 0)
        return err->code;
    return sink_finish(e->next, err);
}

static void encoder_free(struct sink *s)
{
    struct encoder *e = (struct encoder *)s;

    e->end(e);
    sink_free(e->next);
    mem_free(e);
}

struct sink *encoder_start(struct encoder *e, struct sink *next,
                           int (*run)(struct encoder *, const void *, size_t, bool, struct err *),
                           void (*end)(struct encoder *))
{
    e->base =
        (struct sink){ .write = encoder_write, .finish = encoder_finish, .free = encoder_free };
    e->next = next;
    e->run = run;
    e->end = end;
    return &e->base;
}

struct zstd_encoder {
    struct encoder base;
    ZSTD_CCtx *z;
};

static int zstd_run(struct encoder *e, const void *p, size_t n, bool is_last, struct err *err)
{
    ZSTD_inBuffer in = { .src = p, .size = n };
    size_t left;

    do {
        ZSTD_outBuffer out = { .dst = e->out, .size = sizeof(e->out) };
        left = ZSTD_compressStream2(((struct zstd_encoder *)e)->z, &out, &in,
                                    is_last ? ZSTD_e_end : ZSTD_e_continue);
        if (ZSTD_isError(left))
            return err_set(err, ERR_IO, "zstd cannot compress: %s", ZSTD_getErrorName(left));
        if (sink_write(e->next, e->out, out.pos, err) < 0)
            return err->code;
    } while (is_last ? left > 0 : in.pos < in.size);
    return 0;
}

static void zstd_end(struct encoder *e)
{
    ZSTD_freeCCtx(((struct zstd_encoder *)e)->z);
}

static struct sink *sink_zstd(struct sink *next, int level)
{
    struct zstd_encoder *z = mem_zalloc(sizeof(*z));

    if (level < 0)
        level = level == COMPRESSION_LEVEL_FASTEST ? 1 : 3;
    z->z = ZSTD_createCCtx();
    assert(z->z != NULL);
    ZSTD_CCtx_setParameter(z->z, ZSTD_c_compressionLevel,
                           level > ZSTD_maxCLevel() ? ZSTD_maxCLevel() : level);
    ZSTD_CCtx_setParameter(z->z, ZSTD_c_checksumFlag, 1);
    return encoder_start(&z->base, next, zstd_run, zstd_end);
}

const char *compression_name(enum compression c)
{
    static const char *const names[] = {
        [COMPRESSION_NONE] = "uncompressed",
        [COMPRESSION_GZIP] = "gzip",
        [COMPRESSION_ZSTD] = "zstd",
    };

    return (size_t)c < ARRAY_LEN(names) ? names[c] : NULL;
}

struct sink *sink_compress(struct sink *next, enum compression c, int level)
{
    assert(compression_name(c) != NULL);
    if (c == COMPRESSION_GZIP)
        return sink_gzip(next, level, 0);
    return c == COMPRESSION_ZSTD ? sink_zstd(next, level) : next;
}

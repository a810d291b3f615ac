#include "base/stream_codec_internal.h"

#ifdef HAVE_ISAL

#include <isa-l/igzip_lib.h>

struct inflater {
    struct inflate_state state;
};

void inflater_free(struct inflater *z)
{
    mem_free(z);
}

struct inflater *inflater_new(void)
{
    struct inflater *z = mem_zalloc(sizeof(*z));

    isal_inflate_init(&z->state);
    z->state.crc_flag = ISAL_GZIP;
    return z;
}

void inflater_reset(struct inflater *z)
{
    isal_inflate_reset(&z->state);
    z->state.crc_flag = ISAL_GZIP;
}

enum inflate_status inflater_run(struct inflater *z, const uint8_t **in, size_t *in_n,
                                 uint8_t **out, size_t *out_n)
{
    struct inflate_state *s = &z->state;

    s->next_in = (uint8_t *)(uintptr_t)*in; /* read only, for all that its type says */
    s->avail_in = (uint32_t)*in_n;
    s->next_out = *out;
    s->avail_out = (uint32_t)*out_n;
    int r = isal_inflate(s);
    *in = s->next_in;
    *in_n = s->avail_in;
    *out = s->next_out;
    *out_n = s->avail_out;
    if (r != ISAL_DECOMP_OK)
        return INFLATE_BAD;
    return s->block_state == ISAL_BLOCK_FINISH ? INFLATE_MEMBER_END : INFLATE_MORE;
}

struct isal_encoder {
    struct encoder base;
    struct isal_zstream z;
    uint8_t level_buf[ISAL_DEF_LVL1_DEFAULT];
};

static int isal_run(struct encoder *e, const void *p, size_t n, bool is_last, struct err *err)
{
    struct isal_zstream *z = &((struct isal_encoder *)e)->z;
    bool more;

    z->next_in = (uint8_t *)(uintptr_t)p;
    z->avail_in = (uint32_t)n;
    z->end_of_stream = is_last;
    do {
        z->next_out = e->out;
        z->avail_out = sizeof(e->out);
        int r = isal_deflate(z);
        if (r != COMP_OK)
            return err_set(err, ERR_IO, "isa-l cannot compress (%d)", r);
        if (sink_write(e->next, e->out, sizeof(e->out) - z->avail_out, err) < 0)
            return err->code;
        more = is_last ? z->internal_state.state != ZSTATE_END : z->avail_out == 0;
    } while (more);
    return 0;
}

static void isal_end(struct encoder *e UNUSED)
{
}

struct sink *sink_gzip_isal(struct sink *next)
{
    struct isal_encoder *g = mem_zalloc(sizeof(*g));

    isal_deflate_init(&g->z);
    g->z.level = 1;
    g->z.level_buf = g->level_buf;
    g->z.level_buf_size = sizeof(g->level_buf);
    g->z.gzip_flag = IGZIP_GZIP;
    return encoder_start(&g->base, next, isal_run, isal_end);
}

#else

#include <assert.h>
#include <zlib.h>

struct inflater {
    z_stream z;
};

void inflater_free(struct inflater *z)
{
    if (z == NULL)
        return;
    inflateEnd(&z->z);
    mem_free(z);
}

struct inflater *inflater_new(void)
{
    struct inflater *z = mem_zalloc(sizeof(*z));
    int r = inflateInit2(&z->z, 15 + 16);

    assert(r == Z_OK);
    (void)r;
    return z;
}

void inflater_reset(struct inflater *z)
{
    inflateReset(&z->z);
}

enum inflate_status inflater_run(struct inflater *z, const uint8_t **in, size_t *in_n,
                                 uint8_t **out, size_t *out_n)
{
    z->z.next_in = (z_const Bytef *)(uintptr_t)*in;
    z->z.avail_in = (uInt)*in_n;
    z->z.next_out = *out;
    z->z.avail_out = (uInt)*out_n;
    int r = inflate(&z->z, Z_NO_FLUSH);
    *in = z->z.next_in;
    *in_n = z->z.avail_in;
    *out = z->z.next_out;
    *out_n = z->z.avail_out;
    if (r == Z_STREAM_END)
        return INFLATE_MEMBER_END;
    return r == Z_OK || r == Z_BUF_ERROR ? INFLATE_MORE : INFLATE_BAD;
}

struct sink *sink_gzip_isal(struct sink *next UNUSED)
{
    return NULL;
}

#endif

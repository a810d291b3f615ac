#include "base/stream_codec_internal.h"

#ifdef HAVE_ISAL

#include <isa-l/igzip_lib.h>
#include <zlib.h>

/*
 * The header before a member is read here: isa-l 2.30 forgets which of its
 * fields there are when the input is cut within one of them, and goes on with
 * what happens to be on the stack.
 */
enum header_part {
    HEADER_FIXED,
    HEADER_EXTRA_LEN,
    HEADER_EXTRA,
    HEADER_NAME,
    HEADER_COMMENT,
    HEADER_CRC,
    HEADER_DONE,
};
enum { FLAG_CRC = 2, FLAG_EXTRA = 4, FLAG_NAME = 8, FLAG_COMMENT = 16, FLAGS_KNOWN = 31 };

struct header {
    enum header_part part;
    unsigned at;    /* bytes of the part that were read */
    unsigned extra; /* bytes of the extra field */
    unsigned flags;
    uint32_t crc;   /* of what was read so far */
    unsigned check; /* as the header has it */
};

struct inflater {
    struct header header;
    struct inflate_state state;
};

/* The first part at or behind part that the flags announce. */
static void header_go_to(struct header *h, enum header_part part)
{
    static const unsigned flag_of[HEADER_DONE] = {
        [HEADER_EXTRA_LEN] = FLAG_EXTRA, [HEADER_EXTRA] = FLAG_EXTRA, [HEADER_NAME] = FLAG_NAME,
        [HEADER_COMMENT] = FLAG_COMMENT, [HEADER_CRC] = FLAG_CRC,
    };

    while (part < HEADER_DONE && (h->flags & flag_of[part]) == 0)
        part++;
    h->part = part;
    h->at = 0;
}

/* ID1 ID2 CM FLG MTIME*4 XFL OS */
static bool header_fixed(struct header *h, uint8_t c)
{
    static const uint8_t begin[] = { 0x1f, 0x8b, 8 };

    if (h->at < sizeof(begin) && c != begin[h->at])
        return false;
    if (h->at == 3)
        h->flags = c;
    if (++h->at == 10)
        header_go_to(h, HEADER_EXTRA_LEN);
    return (h->flags & ~(unsigned)FLAGS_KNOWN) == 0;
}

static void header_extra_len(struct header *h, uint8_t c)
{
    h->extra |= (unsigned)c << (8 * h->at);
    if (++h->at == 2)
        header_go_to(h, h->extra > 0 ? HEADER_EXTRA : HEADER_NAME);
}

static bool header_check(struct header *h, uint8_t c)
{
    h->check |= (unsigned)c << (8 * h->at);
    if (++h->at < 2)
        return true;
    header_go_to(h, HEADER_DONE);
    return h->check == (h->crc & 0xffff);
}

static bool header_byte(struct header *h, uint8_t c)
{
    if (h->part == HEADER_CRC)
        return header_check(h, c);
    h->crc = (uint32_t)crc32(h->crc, &c, 1);
    if (h->part == HEADER_FIXED)
        return header_fixed(h, c);
    if (h->part == HEADER_EXTRA_LEN)
        header_extra_len(h, c);
    else if (h->part == HEADER_EXTRA && ++h->at == h->extra)
        header_go_to(h, HEADER_NAME);
    else if (h->part == HEADER_NAME && c == 0)
        header_go_to(h, HEADER_COMMENT);
    else if (h->part == HEADER_COMMENT && c == 0)
        header_go_to(h, HEADER_CRC);
    return true;
}

/* False: no gzip header. */
static bool header_read(struct header *h, const uint8_t **in, size_t *in_n)
{
    for (; *in_n > 0 && h->part != HEADER_DONE; (*in)++, (*in_n)--)
        if (!header_byte(h, **in))
            return false;
    return true;
}

/* Deflate data with the trailer that is compared with them. */
static void inflater_start(struct inflater *z)
{
    z->header = (struct header){ .part = HEADER_FIXED };
    z->state.crc_flag = ISAL_GZIP_NO_HDR_VER;
}

void inflater_free(struct inflater *z)
{
    mem_free(z);
}

struct inflater *inflater_new(void)
{
    struct inflater *z = mem_zalloc(sizeof(*z));

    isal_inflate_init(&z->state);
    inflater_start(z);
    return z;
}

void inflater_reset(struct inflater *z)
{
    isal_inflate_reset(&z->state);
    inflater_start(z);
}

enum inflate_status inflater_run(struct inflater *z, const uint8_t **in, size_t *in_n,
                                 uint8_t **out, size_t *out_n)
{
    struct inflate_state *s = &z->state;

    if (!header_read(&z->header, in, in_n))
        return INFLATE_BAD;
    if (z->header.part != HEADER_DONE)
        return INFLATE_MORE;
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

#include "base/stream_codec_internal.h"

#ifdef HAVE_ISAL

#include <isa-l/igzip_lib.h>
#include <zlib.h>

/*
 * The default. Level 3 takes half as long again for 2 % less, and gives other bytes on a processor
 * with AVX-512 than on one without; 1 and 2 give the same on all x86 (seen on five kinds).
 */
#define ISAL_LEVEL 2

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

static int isal_block(int level, const struct deflate_part *part, struct buf *ret, struct err *err)
{
    static const uint32_t sizes[] = { 0, ISAL_DEF_LVL1_DEFAULT, ISAL_DEF_LVL2_DEFAULT,
                                      ISAL_DEF_LVL3_DEFAULT };
    struct isal_zstream z;
    uint8_t out[16384];
    AUTO(mem_free) uint8_t *work = mem_alloc(sizes[level] + 1);
    int r;

    isal_deflate_init(&z);
    z.level = (uint32_t)level;
    z.level_buf = work;
    z.level_buf_size = sizes[level];
    z.gzip_flag = IGZIP_DEFLATE;
    z.flush = part->is_last ? NO_FLUSH : SYNC_FLUSH;
    z.end_of_stream = part->is_last;
    r = part->n_dict > 0
            ? isal_deflate_set_dict(&z, (uint8_t *)(uintptr_t)part->dict, (uint32_t)part->n_dict)
            : COMP_OK;
    z.next_in = (uint8_t *)(uintptr_t)part->p; /* read only, for all that its type says */
    z.avail_in = (uint32_t)part->n;
    for (z.avail_out = 0; r == COMP_OK && z.avail_out == 0;) {
        z.next_out = out;
        z.avail_out = sizeof(out);
        r = isal_deflate(&z);
        buf_add(ret, out, sizeof(out) - z.avail_out);
    }
    return r == COMP_OK ? 0 : err_set(err, ERR_IO, "isa-l cannot compress (%d)", r);
}

deflate_block_fn deflate_block_isal(int *level)
{
    if (*level >= 0)
        return NULL;
    *level = *level == COMPRESSION_LEVEL_FASTEST ? 1 : ISAL_LEVEL;
    return isal_block;
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

deflate_block_fn deflate_block_isal(int *level UNUSED)
{
    return NULL;
}

#endif

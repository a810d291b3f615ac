/*
 * What the gzip implementations have in common: zlib always, isa-l instead of
 * it for reading, and for writing where no level is asked for, when built with
 * HAVE_ISAL. Inside base/ only.
 */
#ifndef SHALE_BASE_STREAM_CODEC_INTERNAL_H
#define SHALE_BASE_STREAM_CODEC_INTERNAL_H

#include "base/own.h"
#include "base/stream.h"

/* One gzip member after the other; reset between them. */
enum inflate_status { INFLATE_MORE, INFLATE_MEMBER_END, INFLATE_BAD };
struct inflater;
void inflater_free(struct inflater *z);
struct inflater *inflater_new(void) OWNED(inflater_free);
void inflater_reset(struct inflater *z);
/* Takes from *in and gives to *out what it can, moves both. INFLATE_MORE: needs more input or more
 * room. */
enum inflate_status inflater_run(struct inflater *z, const uint8_t **in, size_t *in_n,
                                 uint8_t **out, size_t *out_n);

/*
 * A sink that collects input into blocks of CODEC_BLOCK bytes, so that what
 * comes out depends on the bytes alone and not on how they were cut into writes.
 */
#define CODEC_BLOCK ((size_t)128 << 10)
struct encoder {
    struct sink base;
    struct sink *next;
    /* Compresses the block and writes it to next; is_last ends the stream. */
    int (*run)(struct encoder *e, const void *p, size_t n, bool is_last, struct err *err);
    void (*end)(struct encoder *e); /* releases what the implementation holds */
    size_t n;
    uint8_t block[CODEC_BLOCK];
    uint8_t out[CODEC_BLOCK];
};
/* Frees e (allocated with mem_zalloc) and what it wraps. */
struct sink *encoder_start(struct encoder *e, struct sink *next,
                           int (*run)(struct encoder *, const void *, size_t, bool, struct err *),
                           void (*end)(struct encoder *));

/* gzip on width processors, 0: all that there are (stream_gzip.c). Always the same bytes. */
struct sink *sink_gzip(struct sink *next, int level, size_t width) OWNED(sink_free);

/* A part of a deflate stream, that begins and, unless it is the last, ends on a byte. */
#define DEFLATE_WINDOW ((size_t)32 << 10)
struct deflate_part {
    const uint8_t *dict; /* what came before, at most DEFLATE_WINDOW bytes */
    size_t n_dict;
    const uint8_t *p;
    size_t n;
    bool is_last;
};
/* Adds to ret. From any thread. */
typedef int (*deflate_block_fn)(int level, const struct deflate_part *part, struct buf *ret,
                                struct err *err);
/* isa-l for the levels that have no number; *level is then one of isa-l's. NULL for others, and
 * when not built with it. */
deflate_block_fn deflate_block_isal(int *level);

#endif

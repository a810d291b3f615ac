/*
 * What the gzip implementations have in common: zlib always, isa-l instead of
 * it for reading, and for writing as fast as possible, when built with
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

/* NULL when not built with isa-l. Takes over next when it succeeds. */
struct sink *sink_gzip_isal(struct sink *next);

#endif

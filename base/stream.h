/*
 * Byte streams. A sink is written to, a source is read from; filters wrap one
 * in another and own what they wrap. One thread each, except where said.
 *
 * Sinks: sink_write* -> sink_finish -> sink_free. finish flushes the whole
 * chain downwards, once; a sink freed without finish has published nothing
 * of its own tail. A write that failed is remembered: later writes and finish
 * fail with the same error. No write after finish; a second finish does nothing.
 *
 * Sources: source_read until it returns 0 (end) or < 0 (error code).
 */
#ifndef SHALE_BASE_STREAM_H
#define SHALE_BASE_STREAM_H

#include "base/buf.h"
#include "base/digest.h"
#include "base/err.h"
#include "base/own.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct sink {
    int (*write)(struct sink *s, const void *p, size_t n, struct err *err);
    int (*finish)(struct sink *s, struct err *err); /* may be NULL */
    void (*free)(struct sink *s);                   /* frees the struct too */
    /* Kept by sink_write, sink_finish and sink_free: start them as zero. */
    bool is_finished;
    struct err *failed;
};

int sink_write(struct sink *s, const void *p, size_t n, struct err *err);
int sink_finish(struct sink *s, struct err *err);
void sink_free(struct sink *s); /* NULL is fine */
DEFINE_AUTO(struct sink, sink_free);

struct sink *sink_fd(int fd, bool own) OWNED(sink_free) NONNULL; /* own: closed with the sink */
struct sink *sink_buf(struct buf *b, size_t max)
    OWNED(sink_free) NONNULL; /* over max: ERR_CORRUPT; b borrowed */
struct sink *sink_null(void) OWNED(sink_free) NONNULL;
/* Passes on and hashes; the digest is in *ret after finish. next may be NULL (hash only). */
struct sink *sink_hash(struct sink *next, struct digest *ret) OWNED(sink_free) NONNULL;
/* Counts what passes into *count (updated at every write). */
struct sink *sink_count(struct sink *next, uint64_t *count) OWNED(sink_free) NONNULL;
/* Writes everything to both. */
struct sink *sink_tee(struct sink *a, struct sink *b) OWNED(sink_free) NONNULL;
/* Runs next on a thread of its own behind a bounded queue (about 4 MiB); write blocks when full. */
struct sink *sink_async(struct sink *next) OWNED(sink_free) NONNULL;

enum compression {
    COMPRESSION_NONE,
    COMPRESSION_GZIP,
    COMPRESSION_ZSTD,
    COMPRESSION_BZIP2,
    COMPRESSION_XZ
};

/* Name as in exporter options: "uncompressed", "gzip", "zstd". NULL: cannot be written by us. */
const char *compression_name(enum compression c);
#define COMPRESSION_LEVEL_DEFAULT (-1)
/* For sink_compress: as quick as this machine can (zstd 1; gzip: isa-l's 1, or zlib's). */
#define COMPRESSION_LEVEL_FASTEST (-2)

/*
 * COMPRESSION_LEVEL_DEFAULT is zstd 3, and of gzip what isa-l does best: some 11 % more bytes than
 * gzip 6, which is the default when built without it, in a twelfth of the time. Levels with a
 * number are zlib's. gzip uses all processors. NONE hands next through. Equal input gives equal
 * bytes, however it is cut into writes and on every machine with the same libraries. Other
 * kinds than those with a name: not allowed.
 */
struct sink *sink_compress(struct sink *next, enum compression c, int level)
    OWNED(sink_free) NONNULL;

struct source {
    /* Bytes read, 0 at the end, negative code on error. */
    ssize_t (*read)(struct source *s, void *p, size_t n, struct err *err);
    void (*free)(struct source *s);
};

ssize_t source_read(struct source *s, void *p, size_t n, struct err *err);
/* Reads until n bytes or the end; returns what it got. */
ssize_t source_read_full(struct source *s, void *p, size_t n, struct err *err);
void source_free(struct source *s);
DEFINE_AUTO(struct source, source_free);

struct source *source_fd(int fd, bool own) OWNED(source_free) NONNULL;
struct source *source_mem(const void *p, size_t n) OWNED(source_free) NONNULL; /* borrowed bytes */
/* Passes through and hashes; *ret is written when the end is reached. */
struct source *source_hash(struct source *next, struct digest *ret) OWNED(source_free) NONNULL;
/* Passes through; after the end or at free what was read is in *count. */
struct source *source_count(struct source *next, uint64_t *count) OWNED(source_free) NONNULL;
/* Copies what passes into sink (borrowed). */
struct source *source_tee(struct source *next, struct sink *copy) OWNED(source_free) NONNULL;
/* More than max bytes: ERR_CORRUPT with what ("layer", ...) in the message. */
struct source *source_limit(struct source *next, uint64_t max, const char *what)
    OWNED(source_free) NONNULL;
/*
 * Decompresses by magic bytes: gzip (all members), zstd (all frames, window
 * <= 128 MiB), bzip2 and xz (through libarchive), anything else as it is.
 * Truncated or damaged input is ERR_CORRUPT. ret may be NULL; written at once.
 * Takes over next, also on failure.
 */
struct source *source_decompress(struct source *next, enum compression *ret, struct err *err)
    OWNED(source_free);
/* The compression of bytes that begin so (n >= 6 is enough); NONE for others. */
enum compression compression_detect(const void *p, size_t n);

/* Everything from source to sink; does not finish the sink. ret_n may be NULL. */
int stream_copy(struct source *from, struct sink *to, uint64_t *ret_n, struct err *err);

#endif

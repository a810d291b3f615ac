#include "base/stream_codec_internal.h"

#include "base/archive_api.h"

#include <string.h>
#include <zstd.h>

#define INPUT_SIZE ((size_t)128 << 10)
#define WINDOW_LOG_MAX 27 /* 128 MiB */
#define MAGIC_LEN 6
#define BZIP2_MIN 14 /* an empty one */

/* Reads next in large pieces; decode works on what lies between p and p + n. */
struct decoder {
    struct source base;
    struct source *next;
    ssize_t (*decode)(struct decoder *d, void *p, size_t n, struct err *err);
    void *state;
    void (*state_free)(void *);
    bool at_end;     /* next has no more */
    bool is_between; /* nothing is begun: here the input may end */
    bool is_done;
    struct err failed; /* given again when read on */
    int64_t n_given;   /* to libarchive */
    const uint8_t *p;
    size_t n;
    uint8_t in[INPUT_SIZE];
};

static int fill(struct decoder *d, struct err *err)
{
    if (d->n > 0 || d->at_end)
        return 0;
    ssize_t got = source_read(d->next, d->in, sizeof(d->in), err);
    if (got < 0)
        return (int)got;
    d->p = d->in;
    d->n = (size_t)got;
    d->at_end = got == 0;
    return 0;
}

static bool is_out_of_input(const struct decoder *d)
{
    return d->n == 0 && d->at_end;
}

/* As it is: first what was read to look at it, then from next straight. */
static ssize_t plain_decode(struct decoder *d, void *p, size_t n, struct err *err)
{
    if (d->n == 0)
        return d->at_end ? 0 : source_read(d->next, p, n, err);
    if (n > d->n)
        n = d->n;
    memcpy(p, d->p, n);
    d->p += n;
    d->n -= n;
    return (ssize_t)n;
}

/* After a member: the end, another member, or zeros up to the end as tapes and some tools leave
 * them. */
static int gzip_next_member(struct decoder *d, struct err *err)
{
    bool has_zeros = false;

    for (;;) {
        if (fill(d, err) < 0)
            return err->code;
        if (is_out_of_input(d)) {
            d->is_done = true;
            return 0;
        }
        if (*d->p != 0)
            break;
        has_zeros = true;
        d->p++;
        d->n--;
    }
    if (has_zeros || *d->p != 0x1f)
        return err_set(err, ERR_CORRUPT, "gzip data is followed by something else");
    inflater_reset(d->state);
    d->is_between = false;
    return 0;
}

static ssize_t gzip_decode(struct decoder *d, void *p, size_t n, struct err *err)
{
    uint8_t *out = p;
    size_t room = n < UINT32_MAX / 2 ? n : UINT32_MAX / 2, all = room;

    while (room == all && !d->is_done) {
        if (d->is_between) {
            if (gzip_next_member(d, err) < 0)
                return err->code;
            continue;
        }
        if (fill(d, err) < 0)
            return err->code;
        bool is_last_try = is_out_of_input(d);
        enum inflate_status r = inflater_run(d->state, &d->p, &d->n, &out, &room);
        if (r == INFLATE_BAD)
            return err_set(err, ERR_CORRUPT, "gzip data is damaged");
        d->is_between = r == INFLATE_MEMBER_END;
        if (r == INFLATE_MORE && is_last_try && room == all)
            return err_set(err, ERR_CORRUPT, "gzip data is cut off");
    }
    return (ssize_t)(all - room);
}

static void gzip_free(void *z)
{
    inflater_free(z);
}

static void gzip_start(struct decoder *d)
{
    d->state = inflater_new();
    d->state_free = gzip_free;
    d->decode = gzip_decode;
}

static ssize_t zstd_decode(struct decoder *d, void *p, size_t n, struct err *err)
{
    ZSTD_outBuffer out = { .dst = p, .size = n };

    while (out.pos == 0 && !d->is_done) {
        if (fill(d, err) < 0)
            return err->code;
        bool is_last_try = is_out_of_input(d);
        if (is_last_try && d->is_between) {
            d->is_done = true;
            break;
        }
        ZSTD_inBuffer in = { .src = d->p, .size = d->n };
        size_t r = ZSTD_decompressStream(d->state, &out, &in);
        if (ZSTD_isError(r))
            return err_set(err, ERR_CORRUPT, "zstd data is damaged: %s", ZSTD_getErrorName(r));
        d->p += in.pos;
        d->n -= in.pos;
        d->is_between = r == 0;
        if (is_last_try && r != 0 && out.pos == 0)
            return err_set(err, ERR_CORRUPT, "zstd data is cut off");
    }
    return (ssize_t)out.pos;
}

static void zstd_free(void *z)
{
    ZSTD_freeDCtx(z);
}

static void zstd_start(struct decoder *d)
{
    d->state = ZSTD_createDCtx();
    d->state_free = zstd_free;
    ZSTD_DCtx_setParameter(d->state, ZSTD_d_windowLogMax, WINDOW_LOG_MAX);
    d->decode = zstd_decode;
}

/* libarchive's callback; an error of next waits in failed. */
static la_ssize_t raw_pull(struct archive *a, void *arg, const void **ret_p)
{
    struct decoder *d = arg;

    if (fill(d, &d->failed) < 0) {
        archive_api()->set_error(a, d->failed.sys, "cannot read");
        return ARCHIVE_FATAL;
    }
    size_t n = d->n;
    *ret_p = d->p;
    d->n = 0;
    d->n_given += (int64_t)n;
    return (la_ssize_t)n;
}

static int raw_failed(struct decoder *d, struct err *err)
{
    const char *why = archive_api()->error_string(d->state);

    if (d->failed.code != ERR_NONE)
        return err_copy(err, &d->failed);
    return err_set(err, ERR_CORRUPT, "compressed data is damaged: %s", why ? why : "no reason");
}

/* Where a second bzip2 stream is damaged at its beginning, libarchive just ends. */
static int raw_check_end(struct decoder *d, struct err *err)
{
    if (fill(d, err) < 0)
        return err->code;
    if (!is_out_of_input(d) || archive_api()->filter_bytes(d->state, -1) != d->n_given)
        return err_set(err, ERR_CORRUPT, "compressed data is followed by something else");
    d->is_done = true;
    return 0;
}

/* "raw" has one entry, "empty" none; open takes a damaged beginning for empty, but leaves an error.
 */
static int raw_begin(struct decoder *d, struct err *err)
{
    struct archive_entry *entry;

    if (archive_api()->read_open(d->state, d, NULL, raw_pull, NULL) != ARCHIVE_OK ||
        archive_api()->error_number(d->state) != 0)
        return raw_failed(d, err);
    int r = archive_api()->read_next_header(d->state, &entry);
    if (r != ARCHIVE_OK && r != ARCHIVE_EOF)
        return raw_failed(d, err);
    d->is_between = false;
    return r == ARCHIVE_EOF ? raw_check_end(d, err) : 0;
}

static ssize_t raw_decode(struct decoder *d, void *p, size_t n, struct err *err)
{
    la_ssize_t got;

    if (d->is_between && raw_begin(d, err) < 0)
        return err->code;
    if (d->is_done)
        return 0;
    do
        got = archive_api()->read_data(d->state, p, n);
    while (got == ARCHIVE_RETRY);
    if (got < 0)
        return raw_failed(d, err);
    return got == 0 ? raw_check_end(d, err) : got;
}

static void raw_free(void *a)
{
    archive_api()->read_free(a);
}

/* append_filter sets the chain: what comes out is not looked at for yet another filter. */
static int raw_start(struct decoder *d, int filter, struct err *err)
{
    if (archive_load(err) < 0)
        return err->code;
    d->state = archive_api()->read_new();
    d->state_free = raw_free;
    d->is_between = true;
    d->decode = raw_decode;
    archive_api()->read_support_format_raw(d->state);
    archive_api()->read_support_format_empty(d->state);
    int r = archive_api()->read_append_filter(d->state, filter);
    if (r == ARCHIVE_OK)
        return 0;
    return err_set(err, ERR_UNSUPPORTED, "libarchive cannot decompress this: %s",
                   archive_api()->error_string(d->state));
}

/* "BZh", a level, and as far as there are bytes the mark of a block or of the end: else it is text.
 */
static bool is_bzip2(const uint8_t *b, size_t n)
{
    static const char block[] = "\x31\x41\x59\x26\x53\x59", end[] = "\x17\x72\x45\x38\x50\x90";
    size_t rest = n < 10 ? n - 4 : 6;

    return b[0] == 'B' && b[1] == 'Z' && b[2] == 'h' && b[3] >= '1' && b[3] <= '9' &&
           (memcmp(b + 4, block, rest) == 0 || memcmp(b + 4, end, rest) == 0);
}

enum compression compression_detect(const void *p, size_t n)
{
    static const struct {
        enum compression c;
        size_t len;
        uint8_t magic[MAGIC_LEN];
    } table[] = {
        { COMPRESSION_GZIP, 3, { 0x1f, 0x8b, 0x08 } },
        { COMPRESSION_ZSTD, 4, { 0x28, 0xb5, 0x2f, 0xfd } },
        { COMPRESSION_XZ, 6, { 0xfd, '7', 'z', 'X', 'Z', 0x00 } },
    };
    const uint8_t *b = p;

    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (n >= table[i].len && memcmp(b, table[i].magic, table[i].len) == 0)
            return table[i].c;
    /* A zstd stream may begin with a frame to be skipped: 0x184D2A50 to 0x184D2A5F. */
    if (n >= 4 && (b[0] & 0xf0) == 0x50 && b[1] == 0x2a && b[2] == 0x4d && b[3] == 0x18)
        return COMPRESSION_ZSTD;
    return n >= 5 && is_bzip2(b, n) ? COMPRESSION_BZIP2 : COMPRESSION_NONE;
}

static ssize_t decoder_read(struct source *s, void *p, size_t n, struct err *err)
{
    struct decoder *d = (struct decoder *)s;

    if (d->failed.code != ERR_NONE)
        return err_copy(err, &d->failed);
    ssize_t got = d->decode(d, p, n, err);
    if (got < 0)
        err_copy(&d->failed, err);
    return got;
}

static void decoder_free(struct source *s)
{
    struct decoder *d = (struct decoder *)s;

    if (d->state != NULL)
        d->state_free(d->state);
    source_free(d->next);
    mem_free(d);
}

/* At least as much as is needed to tell what it is, if there is that much. */
static int look(struct decoder *d, struct err *err)
{
    d->p = d->in;
    while (d->n < BZIP2_MIN && !d->at_end) {
        ssize_t got = source_read(d->next, d->in + d->n, sizeof(d->in) - d->n, err);
        if (got < 0)
            return (int)got;
        d->n += (size_t)got;
        d->at_end = got == 0;
    }
    return 0;
}

static int start(struct decoder *d, enum compression c, struct err *err)
{
    d->decode = plain_decode;
    if (c == COMPRESSION_GZIP)
        gzip_start(d);
    else if (c == COMPRESSION_ZSTD)
        zstd_start(d);
    else if (c == COMPRESSION_BZIP2 && d->n < BZIP2_MIN) /* libarchive would call it empty */
        return err_set(err, ERR_CORRUPT, "bzip2 data is cut off");
    else if (c != COMPRESSION_NONE)
        return raw_start(d, c == COMPRESSION_XZ ? ARCHIVE_FILTER_XZ : ARCHIVE_FILTER_BZIP2, err);
    return 0;
}

struct source *source_decompress(struct source *next, enum compression *ret, struct err *err)
{
    struct decoder *d = mem_zalloc(sizeof(*d));

    d->base = (struct source){ .read = decoder_read, .free = decoder_free };
    d->next = next;
    AUTO(source_free) struct source *s = &d->base;
    if (look(d, err) < 0)
        return NULL;
    enum compression c = compression_detect(d->in, d->n);
    if (start(d, c, err) < 0)
        return NULL;
    if (ret != NULL)
        *ret = c;
    return TAKE(s);
}

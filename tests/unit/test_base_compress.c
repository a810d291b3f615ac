#include "tests/unit/unit.h"

#include "base/stream.h"
#include "base/stream_codec_internal.h"
#include <archive.h>
#include <archive_entry.h>
#include <zlib.h>
#include <zstd.h>

/* A source that gives at most step bytes at a time, so that every boundary falls everywhere. */
struct stepper {
    struct source base;
    const char *p;
    size_t n, step;
};

static ssize_t stepper_read(struct source *s, void *p, size_t n, struct err *err UNUSED)
{
    struct stepper *d = (struct stepper *)s;

    n = n < d->step ? n : d->step;
    n = n < d->n ? n : d->n;
    if (n > 0)
        memcpy(p, d->p, n);
    d->p += n;
    d->n -= n;
    return (ssize_t)n;
}

static void stepper_free(struct source *s)
{
    mem_free(s);
}

static struct source *stepper_new(const struct buf *b, size_t n, size_t step)
{
    struct stepper *d = mem_zalloc(sizeof(*d));

    *d = (struct stepper){
        .base = { .read = stepper_read, .free = stepper_free }, .p = b->data, .n = n, .step = step
    };
    return &d->base;
}

/* Text that compresses to something, but not to nothing. */
static void make_text(struct buf *b, size_t n)
{
    unsigned x = 1;

    while (b->len < n) {
        x = x * 1103515245 + 12345;
        buf_addf(b, "line %u of %u\n", (x >> 16) % 977, (unsigned)b->len);
    }
    buf_truncate(b, n);
}

static void pack(const struct buf *in, enum compression c, int level, size_t step, struct buf *ret)
{
    struct err err = ERR_INIT;
    AUTO(sink_free) struct sink *s = sink_compress(sink_buf(ret, 1 << 28), c, level);

    for (size_t at = 0; at < in->len; at += step) {
        size_t n = in->len - at < step ? in->len - at : step;
        assert_ok(sink_write(s, in->data + at, n, &err), &err);
    }
    assert_ok(sink_finish(s, &err), &err);
}

static la_ssize_t archive_to_buf(struct archive *a UNUSED, void *b, const void *p, size_t n)
{
    buf_add(b, p, n);
    return (la_ssize_t)n;
}

/* What we read but do not write: xz and bzip2, by libarchive's own filters. */
static void archive_compress(const struct buf *in, int filter, struct buf *ret)
{
    struct archive *a = archive_write_new();
    struct archive_entry *e = archive_entry_new();

    assert_int_equal(archive_write_set_format_raw(a), ARCHIVE_OK);
    assert_int_equal(archive_write_add_filter(a, filter), ARCHIVE_OK);
    archive_write_set_bytes_in_last_block(a, 1);
    assert_int_equal(archive_write_open(a, ret, NULL, archive_to_buf, NULL), ARCHIVE_OK);
    archive_entry_set_filetype(e, AE_IFREG);
    assert_int_equal(archive_write_header(a, e), ARCHIVE_OK);
    assert_int_equal(archive_write_data(a, in->data, in->len), in->len);
    archive_entry_free(e);
    assert_int_equal(archive_write_free(a), ARCHIVE_OK);
}

/* 0, or the error's code. */
static int decompress_in_steps(const struct buf *in, size_t n, size_t step, struct buf *ret,
                               enum compression *ret_c, struct err *err)
{
    AUTO(source_free)
    struct source *s = source_decompress(stepper_new(in, n, step), ret_c, err);
    AUTO(sink_free) struct sink *to = sink_buf(ret, 1 << 28);

    if (s == NULL)
        return err->code;
    int r = stream_copy(s, to, NULL, err);
    if (r < 0) { /* an error stays one */
        struct err again = ERR_INIT;
        char p[16];
        assert_int_equal(source_read(s, p, sizeof(p), &again), r);
    }
    return r;
}

static void assert_decompresses(const struct buf *in, size_t step, const struct buf *want,
                                enum compression want_c)
{
    struct err err = ERR_INIT;
    AUTO(buf_release) struct buf out = BUF_INIT;
    enum compression c = 99;

    assert_ok(decompress_in_steps(in, in->len, step, &out, &c, &err), &err);
    assert_int_equal(c, want_c);
    assert_int_equal(out.len, want->len);
    assert_memory_equal(buf_str(&out), buf_str(want), want->len);
}

static void what_was_compressed_comes_back(void **state UNUSED)
{
    static const size_t sizes[] = { 0, 1, 5, 1000, 131072, 131073, 262144, 700001 };
    static const size_t steps[] = { 1, 7, 4096, 1 << 20 };
    static const enum compression kinds[] = { COMPRESSION_GZIP, COMPRESSION_ZSTD };
    static const int levels[] = { -1, 0, 1, 9, COMPRESSION_LEVEL_FASTEST };

    for (size_t s = 0; s < ARRAY_LEN(sizes); s++)
        for (size_t k = 0; k < ARRAY_LEN(kinds); k++)
            for (size_t l = 0; l < ARRAY_LEN(levels); l++) {
                AUTO(buf_release) struct buf text = BUF_INIT;
                AUTO(buf_release) struct buf packed = BUF_INIT;
                make_text(&text, sizes[s]);
                pack(&text, kinds[k], levels[l], 100000, &packed);
                for (size_t i = 0; i < ARRAY_LEN(steps); i++)
                    assert_decompresses(&packed, steps[i], &text, kinds[k]);
            }
}

static void the_cut_into_writes_does_not_matter(void **state UNUSED)
{
    static const enum compression kinds[] = { COMPRESSION_GZIP, COMPRESSION_ZSTD };
    static const int levels[] = { -1, 0, COMPRESSION_LEVEL_FASTEST };
    static const size_t steps[] = { 13, 512, 131072, 1 << 20 };
    AUTO(buf_release) struct buf text = BUF_INIT;

    make_text(&text, 500000);
    for (size_t k = 0; k < ARRAY_LEN(kinds); k++)
        for (size_t l = 0; l < ARRAY_LEN(levels); l++) {
            AUTO(buf_release) struct buf first = BUF_INIT;
            pack(&text, kinds[k], levels[l], 1, &first);
            for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
                AUTO(buf_release) struct buf other = BUF_INIT;
                pack(&text, kinds[k], levels[l], steps[i], &other);
                assert_int_equal(other.len, first.len);
                assert_memory_equal(other.data, first.data, first.len);
            }
        }
}

/* Text, and in it a block that cannot be made smaller. */
static void make_long_text(struct buf *b, size_t n)
{
    unsigned x = 7;

    make_text(b, n);
    for (size_t i = n / 3; i < n / 3 * 2; i++) {
        x = x * 1103515245 + 12345;
        b->data[i] = (char)(x >> 16);
    }
}

static void gzip_does_not_depend_on_the_threads(void **state UNUSED)
{
    static const int levels[] = { -1, 1, COMPRESSION_LEVEL_FASTEST };
    static const size_t sizes[] = { (1 << 20) - 1, 1 << 20,       (1 << 20) + 1,
                                    3 << 20,       (7 << 20) + 5, 9 << 20 };
    struct err err = ERR_INIT;

    for (size_t s = 0; s < ARRAY_LEN(sizes); s++)
        for (size_t l = 0; l < ARRAY_LEN(levels); l++) {
            AUTO(buf_release) struct buf text = BUF_INIT;
            AUTO(buf_release) struct buf first = BUF_INIT;
            make_long_text(&text, sizes[s]);
            pack(&text, COMPRESSION_GZIP, levels[l], 1 << 20, &first);
            assert_decompresses(&first, 1 << 16, &text, COMPRESSION_GZIP);
            for (size_t width = 1; width <= 3; width++) {
                AUTO(buf_release) struct buf other = BUF_INIT;
                AUTO(sink_free)
                struct sink *to = sink_gzip(sink_buf(&other, 1 << 28), levels[l], width);
                assert_ok(sink_write(to, text.data, text.len, &err), &err);
                assert_ok(sink_finish(to, &err), &err);
                assert_int_equal(other.len, first.len);
                assert_memory_equal(other.data, first.data, first.len);
            }
        }
}

static void gzip_is_one_member_for_zlib_itself(void **state UNUSED)
{
    AUTO(buf_release) struct buf text = BUF_INIT;
    AUTO(buf_release) struct buf packed = BUF_INIT;
    AUTO(mem_free) char *out = mem_alloc(6 << 20);
    z_stream z = { .zalloc = Z_NULL };

    make_long_text(&text, 5 << 20);
    pack(&text, COMPRESSION_GZIP, -1, 1 << 20, &packed);
    assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
    z.next_in = (Bytef *)packed.data;
    z.avail_in = (uInt)packed.len;
    z.next_out = (Bytef *)out;
    z.avail_out = 6 << 20;
    assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
    assert_int_equal(z.avail_in, 0);
    assert_int_equal(z.total_out, text.len);
    assert_memory_equal(out, text.data, text.len);
    inflateEnd(&z);
}

static int refuse(struct sink *s UNUSED, const void *p UNUSED, size_t n UNUSED, struct err *err)
{
    return err_set(err, ERR_IO, "no space");
}

static void sink_only_free(struct sink *s)
{
    mem_free(s);
}

static void gzip_ends_early_with_the_error_behind_it_or_when_freed(void **state UNUSED)
{
    struct err err = ERR_INIT;
    AUTO(buf_release) struct buf text = BUF_INIT;
    struct sink *full = mem_zalloc(sizeof(*full));
    *full = (struct sink){ .write = refuse, .free = sink_only_free };
    AUTO(sink_free) struct sink *to = sink_gzip(full, -1, 2);
    AUTO(sink_free) struct sink *left = sink_gzip(sink_null(), -1, 2);
    int r = 0;

    make_long_text(&text, 1 << 20);
    for (int i = 0; i < 20 && r == 0; i++)
        r = sink_write(to, text.data, text.len, &err);
    assert_int_equal(r, ERR_IO);
    assert_string_equal(err.msg, "no space");
    assert_int_equal(sink_finish(to, &err), ERR_IO);
    err_clear(&err);
    for (int i = 0; i < 7; i++)
        assert_ok(sink_write(left, text.data, text.len, &err), &err);
}

static void the_gzip_header_has_no_time_and_no_name(void **state UNUSED)
{
    static const int levels[] = { -1, COMPRESSION_LEVEL_FASTEST };
    AUTO(buf_release) struct buf text = BUF_INIT;

    make_text(&text, 1000);
    for (size_t i = 0; i < ARRAY_LEN(levels); i++) {
        AUTO(buf_release) struct buf packed = BUF_INIT;
        pack(&text, COMPRESSION_GZIP, levels[i], 1000, &packed);
        assert_memory_equal(packed.data, "\x1f\x8b\x08\0\0\0\0\0", 8);
    }
}

static void none_is_handed_through(void **state UNUSED)
{
    AUTO(buf_release) struct buf text = BUF_INIT;
    AUTO(buf_release) struct buf out = BUF_INIT;

    make_text(&text, 1000);
    pack(&text, COMPRESSION_NONE, -1, 10, &out);
    assert_memory_equal(out.data, text.data, 1000);
    assert_string_equal(compression_name(COMPRESSION_NONE), "uncompressed");
    assert_string_equal(compression_name(COMPRESSION_GZIP), "gzip");
    assert_string_equal(compression_name(COMPRESSION_ZSTD), "zstd");
    assert_null(compression_name(COMPRESSION_XZ));
    assert_null(compression_name(COMPRESSION_BZIP2));
}

static void plain_bytes_pass_as_they_are(void **state UNUSED)
{
    static const char *const rows[] = {
        "",      "x", "\x1f\x8b", "hello", "BZ", "BZh9", "BZhello world, and more", "\x28\xb5\x2f",
        "ustar "
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        for (size_t step = 1; step < 9; step += 3) {
            AUTO(buf_release) struct buf b = BUF_INIT;
            buf_adds(&b, rows[i]);
            assert_decompresses(&b, step, &b, COMPRESSION_NONE);
        }
    AUTO(buf_release) struct buf large = BUF_INIT;
    make_text(&large, 1000000);
    assert_decompresses(&large, 1 << 20, &large, COMPRESSION_NONE);
    assert_decompresses(&large, 999, &large, COMPRESSION_NONE);
}

/* A header with all that there may be: an extra field, a name, a comment, its own checksum. */
static void a_gzip_header_with_every_field_is_read_however_it_is_cut(void **state UNUSED)
{
    static const char fields[] = "\x1f\x8b\x08\x1e\1\2\3\4\0\3\5\0extraname\0comment";
    AUTO(buf_release) struct buf text = BUF_INIT, bare = BUF_INIT, full = BUF_INIT;

    make_text(&text, 5000);
    pack(&text, COMPRESSION_GZIP, -1, 5000, &bare);
    buf_add(&full, fields, sizeof(fields));
    buf_add(&full, "\x72\x2d", 2); /* the low half of the CRC-32 of fields */
    buf_add(&full, buf_str(&bare) + 10, bare.len - 10);
    for (size_t step = 1; step < 60; step++)
        assert_decompresses(&full, step, &text, COMPRESSION_GZIP);
    full.data[sizeof(fields)]++;
    struct err err = ERR_INIT;
    char p[64];
    AUTO(source_free)
    struct source *s = source_decompress(stepper_new(&full, full.len, 16), NULL, &err);
    assert_non_null(s);
    assert_int_equal(ERR_CORRUPT, source_read(s, p, sizeof(p), &err));
}

static void members_and_frames_follow_each_other(void **state UNUSED)
{
    static const enum compression kinds[] = { COMPRESSION_GZIP, COMPRESSION_ZSTD };

    for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
        AUTO(buf_release) struct buf text = BUF_INIT;
        AUTO(buf_release) struct buf twice = BUF_INIT;
        AUTO(buf_release) struct buf packed = BUF_INIT;
        AUTO(buf_release) struct buf nothing = BUF_INIT;
        make_text(&text, 50000);
        for (int i = 0; i < 2; i++) {
            buf_add(&twice, text.data, text.len);
            pack(&text, kinds[k], -1, 9999, &packed);
            pack(&nothing, kinds[k], -1, 1, &packed);
        }
        assert_decompresses(&packed, 1, &twice, kinds[k]);
        assert_decompresses(&packed, 1 << 20, &twice, kinds[k]);
    }
}

static void skippable_frames_are_skipped(void **state UNUSED)
{
    static const char skip[] = "\x5a\x2a\x4d\x18\x04\x00\x00\x00junk";
    AUTO(buf_release) struct buf text = BUF_INIT;
    AUTO(buf_release) struct buf packed = BUF_INIT;

    make_text(&text, 3000);
    buf_add(&packed, skip, 12);
    pack(&text, COMPRESSION_ZSTD, -1, 1000, &packed);
    buf_add(&packed, skip, 12);
    assert_decompresses(&packed, 1, &text, COMPRESSION_ZSTD);
    assert_decompresses(&packed, 1 << 20, &text, COMPRESSION_ZSTD);
}

static void zeros_after_gzip_are_padding_and_other_bytes_are_not(void **state UNUSED)
{
    struct err err = ERR_INIT;
    AUTO(buf_release) struct buf text = BUF_INIT;
    AUTO(buf_release) struct buf packed = BUF_INIT;
    AUTO(buf_release) struct buf out = BUF_INIT;

    make_text(&text, 3000);
    pack(&text, COMPRESSION_GZIP, -1, 1000, &packed);
    for (int i = 0; i < 1000; i++)
        buf_addc(&packed, '\0');
    assert_decompresses(&packed, 1 << 20, &text, COMPRESSION_GZIP);
    assert_decompresses(&packed, 3, &text, COMPRESSION_GZIP);
    buf_addc(&packed, 'x');
    assert_int_equal(decompress_in_steps(&packed, packed.len, 1 << 20, &out, NULL, &err),
                     ERR_CORRUPT);
}

static void garbage_after_zstd_is_refused(void **state UNUSED)
{
    struct err err = ERR_INIT;
    AUTO(buf_release) struct buf text = BUF_INIT;
    AUTO(buf_release) struct buf packed = BUF_INIT;
    AUTO(buf_release) struct buf out = BUF_INIT;

    make_text(&text, 3000);
    pack(&text, COMPRESSION_ZSTD, -1, 1000, &packed);
    buf_adds(&packed, "garbage");
    assert_int_equal(decompress_in_steps(&packed, packed.len, 1 << 20, &out, NULL, &err),
                     ERR_CORRUPT);
}

/* Every shorter form that is still known by its magic must be refused. */
static void assert_every_cut_is_refused(const struct buf *packed, size_t magic, size_t stride)
{
    for (size_t n = magic; n < packed->len; n += n < 64 || packed->len - n < 64 ? 1 : stride) {
        struct err err = ERR_INIT;
        AUTO(buf_release) struct buf out = BUF_INIT;
        int r = decompress_in_steps(packed, n, 1 << 20, &out, NULL, &err);
        if (r != ERR_CORRUPT)
            fail_msg("cut to %zu of %zu: %d after %zu bytes", n, packed->len, r, out.len);
        assert_true(*err.msg != '\0');
    }
}

static void truncated_input_is_corrupt(void **state UNUSED)
{
    static const size_t sizes[] = { 0, 10, 30000 };

    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        AUTO(buf_release) struct buf text = BUF_INIT;
        AUTO(buf_release) struct buf gz = BUF_INIT;
        AUTO(buf_release) struct buf zst = BUF_INIT;
        AUTO(buf_release) struct buf xz = BUF_INIT;
        AUTO(buf_release) struct buf bz = BUF_INIT;
        make_text(&text, sizes[i]);
        pack(&text, COMPRESSION_GZIP, -1, 1000, &gz);
        assert_every_cut_is_refused(&gz, 3, 97);
        pack(&text, COMPRESSION_ZSTD, -1, 1000, &zst);
        assert_every_cut_is_refused(&zst, 4, 97);
        archive_compress(&text, ARCHIVE_FILTER_XZ, &xz);
        assert_every_cut_is_refused(&xz, 6, 997);
        archive_compress(&text, ARCHIVE_FILTER_BZIP2, &bz);
        assert_every_cut_is_refused(&bz, 5, 997);
    }
}

static void damaged_input_is_corrupt(void **state UNUSED)
{
    static const enum compression kinds[] = { COMPRESSION_GZIP, COMPRESSION_ZSTD };

    for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
        AUTO(buf_release) struct buf text = BUF_INIT;
        AUTO(buf_release) struct buf packed = BUF_INIT;
        make_text(&text, 20000);
        pack(&text, kinds[k], -1, 1000, &packed);
        for (size_t at = 20; at < packed.len; at += 37) {
            struct err err = ERR_INIT;
            AUTO(buf_release) struct buf out = BUF_INIT;
            packed.data[at] ^= 0x10;
            int r = decompress_in_steps(&packed, packed.len, 1 << 20, &out, NULL, &err);
            if (r != ERR_CORRUPT && (out.len != text.len || memcmp(out.data, text.data, out.len)))
                fail_msg("byte %zu: %d", at, r);
            packed.data[at] ^= 0x10;
        }
    }
}

static void bzip2_and_xz_are_read(void **state UNUSED)
{
    static const struct {
        int filter;
        enum compression c;
    } rows[] = { { ARCHIVE_FILTER_BZIP2, COMPRESSION_BZIP2 },
                 { ARCHIVE_FILTER_XZ, COMPRESSION_XZ } };
    static const size_t sizes[] = { 0, 1, 400000 };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        for (size_t k = 0; k < ARRAY_LEN(sizes); k++) {
            AUTO(buf_release) struct buf text = BUF_INIT;
            AUTO(buf_release) struct buf packed = BUF_INIT;
            make_text(&text, sizes[k]);
            archive_compress(&text, rows[i].filter, &packed);
            assert_decompresses(&packed, 1 << 20, &text, rows[i].c);
            assert_decompresses(&packed, 11, &text, rows[i].c);
        }
}

static void a_damaged_second_stream_is_not_dropped(void **state UNUSED)
{
    static const int filters[] = { ARCHIVE_FILTER_BZIP2, ARCHIVE_FILTER_XZ };

    for (size_t i = 0; i < ARRAY_LEN(filters); i++) {
        struct err err = ERR_INIT;
        AUTO(buf_release) struct buf text = BUF_INIT;
        AUTO(buf_release) struct buf packed = BUF_INIT;
        AUTO(buf_release) struct buf out = BUF_INIT;
        make_text(&text, 1000);
        archive_compress(&text, filters[i], &packed);
        size_t second = packed.len;
        archive_compress(&text, filters[i], &packed);
        assert_ok(decompress_in_steps(&packed, packed.len, 9999, &out, NULL, &err), &err);
        assert_int_equal(out.len, 2000);
        packed.data[second] ^= 1;
        assert_int_equal(decompress_in_steps(&packed, packed.len, 9999, &out, NULL, &err),
                         ERR_CORRUPT);
        assert_int_equal(decompress_in_steps(&packed, second + 5, 3, &out, NULL, &err),
                         ERR_CORRUPT);
    }
}

static void only_one_compression_is_taken_off(void **state UNUSED)
{
    AUTO(buf_release) struct buf text = BUF_INIT;
    AUTO(buf_release) struct buf once = BUF_INIT;
    AUTO(buf_release) struct buf twice = BUF_INIT;
    AUTO(buf_release) struct buf gz = BUF_INIT;

    make_text(&text, 1000);
    archive_compress(&text, ARCHIVE_FILTER_XZ, &once);
    archive_compress(&once, ARCHIVE_FILTER_XZ, &twice);
    assert_decompresses(&twice, 1 << 20, &once, COMPRESSION_XZ);
    pack(&once, COMPRESSION_GZIP, -1, 1000, &gz);
    assert_decompresses(&gz, 1 << 20, &once, COMPRESSION_GZIP);
}

static void a_window_above_the_cap_is_refused(void **state UNUSED)
{
    struct err err = ERR_INIT;
    AUTO(buf_release) struct buf out = BUF_INIT;
    /* Magic, a descriptor without size, and a window of 2^30; then an empty last block. */
    struct buf frame = { .data =
                             (char[]){ '\x28', '\xb5', '\x2f', '\xfd', 0, (30 - 10) << 3, 1, 0, 0 },
                         .len = 9 };

    assert_int_equal(decompress_in_steps(&frame, frame.len, 100, &out, NULL, &err), ERR_CORRUPT);
    frame.data[5] = (char)((27 - 10) << 3);
    assert_int_equal(decompress_in_steps(&frame, frame.len, 100, &out, NULL, &err), 0);
}

static void an_error_of_the_source_is_given_on(void **state UNUSED)
{
    static const enum compression kinds[] = { COMPRESSION_NONE, COMPRESSION_GZIP, COMPRESSION_ZSTD,
                                              COMPRESSION_XZ };

    for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
        struct err err = ERR_INIT;
        AUTO(buf_release) struct buf text = BUF_INIT;
        AUTO(buf_release) struct buf packed = BUF_INIT;
        AUTO(sink_free) struct sink *null = sink_null();
        make_text(&text, 400000);
        if (kinds[k] == COMPRESSION_XZ)
            archive_compress(&text, ARCHIVE_FILTER_XZ, &packed);
        else
            pack(&text, kinds[k], -1, 1000, &packed);
        AUTO(source_free)
        struct source *s = source_decompress(
            source_limit(stepper_new(&packed, packed.len, 100), packed.len - 50, "blob"), NULL,
            &err);
        assert_non_null(s);
        assert_int_equal(stream_copy(s, null, NULL, &err), ERR_CORRUPT);
        assert_non_null(strstr(err.msg, "blob is larger"));
    }
    struct err err = ERR_INIT;
    assert_null(source_decompress(source_fd(-1, false), NULL, &err));
    assert_int_equal(err.code, ERR_IO);
}

/* In case the tools are there, they must agree. */
static void gzip_and_zstd_themselves_agree(void **state UNUSED)
{
    static const struct {
        enum compression c;
        const char *tool;
    } rows[] = { { COMPRESSION_GZIP, "gzip" }, { COMPRESSION_ZSTD, "zstd" } };
    char path[64];
    int fd = scratch_make(path);

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        for (int level = -2; level < 2; level++) {
            struct err err = ERR_INIT;
            AUTO(buf_release) struct buf text = BUF_INIT;
            AUTO(buf_release) struct buf packed = BUF_INIT;
            AUTO(mem_free)
            char *command = str_printf("cd %s && if command -v %s >/dev/null; then %s -qdc packed "
                                       "| cmp - text; fi",
                                       path, rows[i].tool, rows[i].tool);
            make_text(&text, 300000);
            pack(&text, rows[i].c, level, 1000, &packed);
            assert_ok(file_replace(fd, "text", text.data, text.len, 0600, false, &err), &err);
            assert_ok(file_replace(fd, "packed", packed.data, packed.len, 0600, false, &err), &err);
            assert_int_equal(system(command), 0);
        }
    scratch_remove(fd, path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_compressed_comes_back),
        cmocka_unit_test(the_cut_into_writes_does_not_matter),
        cmocka_unit_test(gzip_does_not_depend_on_the_threads),
        cmocka_unit_test(gzip_is_one_member_for_zlib_itself),
        cmocka_unit_test(gzip_ends_early_with_the_error_behind_it_or_when_freed),
        cmocka_unit_test(the_gzip_header_has_no_time_and_no_name),
        cmocka_unit_test(none_is_handed_through),
        cmocka_unit_test(plain_bytes_pass_as_they_are),
        cmocka_unit_test(a_gzip_header_with_every_field_is_read_however_it_is_cut),
        cmocka_unit_test(members_and_frames_follow_each_other),
        cmocka_unit_test(skippable_frames_are_skipped),
        cmocka_unit_test(zeros_after_gzip_are_padding_and_other_bytes_are_not),
        cmocka_unit_test(garbage_after_zstd_is_refused),
        cmocka_unit_test(truncated_input_is_corrupt),
        cmocka_unit_test(damaged_input_is_corrupt),
        cmocka_unit_test(bzip2_and_xz_are_read),
        cmocka_unit_test(a_damaged_second_stream_is_not_dropped),
        cmocka_unit_test(only_one_compression_is_taken_off),
        cmocka_unit_test(a_window_above_the_cap_is_refused),
        cmocka_unit_test(an_error_of_the_source_is_given_on),
        cmocka_unit_test(gzip_and_zstd_themselves_agree),
    };

    return UNIT_RUN("base_compress", tests);
}

/* Listings made in a line or two, for the tests of image/. */
#ifndef SHALE_TESTS_IMAGE_HELP_H
#define SHALE_TESTS_IMAGE_HELP_H

#include "tests/unit/unit.h"

#include "image/listing.h"

static inline struct entry a_dir(const char *path)
{
    return (struct entry){ .path = path, .type = ENTRY_DIR, .mode = 0755 };
}

static inline struct entry a_file(const char *path, const char *content)
{
    struct entry e = { .path = path, .type = ENTRY_FILE, .mode = 0644, .size = strlen(content) };
    digest_of(content, strlen(content), &e.content);
    if (listing_wants_inline(path))
        e.inline_data = content;
    return e;
}

static inline struct entry a_link(const char *path, const char *target)
{
    return (struct entry){ .path = path, .type = ENTRY_LINK, .mode = 0777, .target = target };
}

static inline struct entry a_hardlink(const char *path, const char *to)
{
    return (struct entry){ .path = path, .type = ENTRY_FILE, .hardlink = to };
}

static inline struct entry a_whiteout(const char *path)
{
    return (struct entry){ .path = path, .type = ENTRY_WHITEOUT };
}

static inline struct entry an_opaque_dir(const char *path)
{
    return (struct entry){ .path = path, .type = ENTRY_DIR, .mode = 0755, .opaque = true };
}

static inline struct listing *listing_of(const struct entry *entries, size_t n)
{
    struct err err = ERR_INIT;
    AUTO(listing_builder_free) struct listing_builder *b = listing_builder_new();
    AUTO(buf_release) struct buf bytes = BUF_INIT;
    for (size_t i = 0; i < n; i++)
        assert_ok(listing_builder_add(b, &entries[i], &err), &err);
    assert_ok(listing_builder_write(b, &bytes, NULL, &err), &err);
    struct listing *l = listing_open_buf(&bytes, &err);
    if (l == NULL)
        fail_msg("%s", err.msg);
    assert_ok(listing_verify(l, &err), &err);
    return l;
}

/* LISTING(a_dir("a"), a_file("a/f", "text")) */
#define LISTING(...)                                  \
    listing_of((const struct entry[]){ __VA_ARGS__ }, \
               sizeof((const struct entry[]){ __VA_ARGS__ }) / sizeof(struct entry))

/* "d a|f a/f": type and path of every entry. */
static inline char *listing_text(const struct listing *l)
{
    AUTO(buf_release) struct buf b = BUF_INIT;
    struct entry e;
    for (size_t i = 0; i < listing_len(l); i++) {
        listing_at(l, i, &e);
        buf_addf(&b, "%s%c%s %s", i ? "|" : "", e.type, e.opaque ? "!" : "", e.path);
    }
    return buf_take(&b);
}

static inline void assert_listing(const struct listing *l, const char *want)
{
    AUTO(mem_free) char *got = listing_text(l);
    assert_string_equal(got, want);
}

#endif

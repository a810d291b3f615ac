/*
 * Any bytes either are refused or are a question set that is written the same again, that listings
 * can answer, and of which no answer breaks as long as the listing is the same. Taken for a listing
 * that was once found good, they may answer anything, but nothing outside of them is read.
 */
#include "tests/fuzz/fuzz.h"
#include "cache/questions.h"
#include "image/listing_internal.h"

#include <stdlib.h>
#include <string.h>

static void require(bool ok)
{
    if (!ok)
        abort();
}

static struct listing *a_layer(bool other)
{
    static const struct entry_xattr xattr = { "user.a", "v", 1 };
    const struct entry entries[] = {
        { .path = "d", .type = ENTRY_DIR, .mode = 0755 },
        { .path = "d/f",
          .type = ENTRY_FILE,
          .mode = 0644,
          .size = 1,
          .xattrs = &xattr,
          .n_xattrs = 1 },
        { .path = "d/g", .type = ENTRY_FILE, .hardlink = "d/f" },
        { .path = "d/s/x/y", .type = ENTRY_FIFO },
        { .path = "d-", .type = ENTRY_WHITEOUT },
        { .path = "l", .type = ENTRY_LINK, .target = "d/f" },
    };
    struct err err = ERR_INIT;
    AUTO(listing_builder_free) struct listing_builder *b = listing_builder_new();
    AUTO(buf_release) struct buf bytes = BUF_INIT;
    for (size_t i = other ? 3 : 0; i < ARRAY_LEN(entries); i++)
        require(listing_builder_add(b, &entries[i], &err) == 0);
    require(listing_builder_write(b, &bytes, NULL, &err) == 0);
    return listing_open_buf(&bytes, &err);
}

static void copy_question(struct questions_builder *b, const struct questions *q,
                          const struct question *x)
{
    struct err err = ERR_INIT;
    const char *names[QUESTION_XATTRS_MAX];
    size_t n = 0;
    for (size_t i = 0; i < QUESTION_XATTRS_MAX; i++)
        if (x->xattrs >> i & 1)
            names[n++] = questions_xattr(q, i);
    for (size_t i = 0; i < n; i++)
        require(names[i] != NULL);
    require(questions_add(b, x->path, x->kinds, names, n, &err) == 0);
}

static void write_again(const struct questions *q, const uint8_t *data, size_t size)
{
    AUTO(questions_builder_free) struct questions_builder *b = questions_new();
    AUTO(buf_release) struct buf bytes = BUF_INIT;
    struct question x, same;
    for (size_t s = 0; s < questions_segments(q); s++) {
        questions_segment(b);
        for (size_t i = 0; i < questions_len(q, s); i++) {
            questions_at(q, s, i, &x);
            require(questions_find(q, s, x.path, &same) && same.path == x.path);
            require(questions_touch(q, s, x.path, false));
            copy_question(b, q, &x);
        }
    }
    questions_write(b, &bytes);
    require(bytes.len == size && memcmp(bytes.data, data, size) == 0);
}

static const struct listing **all_of(const struct questions *q, const struct listing *l)
{
    size_t n = questions_segments(q);
    const struct listing **v = mem_calloc(n + 1, sizeof(*v));
    for (size_t i = 0; i < n; i++)
        v[i] = l;
    return v;
}

static void answer(const struct questions *q)
{
    AUTO(listing_free) struct listing *a = a_layer(false);
    AUTO(listing_free) struct listing *b = a_layer(true);
    AUTO(mem_free) const struct listing **as = all_of(q, a);
    AUTO(mem_free) const struct listing **bs = all_of(q, b);
    AUTO(buf_release) struct buf each = BUF_INIT;
    AUTO(buf_release) struct buf other = BUF_INIT;
    AUTO(buf_release) struct buf text = BUF_INIT;
    struct digest da, db;
    struct broken broken;
    questions_answer(q, as, &da, &each);
    questions_answer(q, bs, &db, &other);
    require(!questions_broken(q, as, each.data, each.len, &broken));
    bool breaks = questions_broken(q, bs, each.data, each.len, &broken);
    require(breaks != digest_eq(&da, &db));
    require(breaks == (each.len > 0 && memcmp(each.data, other.data, each.len) != 0));
    if (!breaks)
        return;
    broken_text(&broken, broken.question.path, &text);
    require(text.len > 0);
}

static struct questions *all_kinds(void)
{
    static const char *const paths[] = { "", "a", "a/b", "b", "d", "d/f", "etc", "etc/passwd" };
    static const char *const names[] = { "user.a" };
    struct err err = ERR_INIT;
    AUTO(questions_builder_free) struct questions_builder *b = questions_new();
    AUTO(buf_release) struct buf bytes = BUF_INIT;
    questions_segment(b);
    for (size_t i = 0; i < ARRAY_LEN(paths); i++)
        require(questions_add(b, paths[i], QUESTION_WHOLE - 1, names, 1, &err) == 0);
    questions_segment(b);
    require(questions_add(b, "", QUESTION_WHOLE, NULL, 0, &err) == 0);
    questions_write(b, &bytes);
    return questions_open(bytes.data, bytes.len, &err);
}

static void be_answered(const uint8_t *data, size_t size)
{
    struct err err = ERR_INIT;
    struct digest one, again;
    AUTO(buf_release) struct buf bytes = BUF_INIT;
    buf_add(&bytes, data, size);
    AUTO(listing_free) struct listing *l = listing_trust_buf(&bytes, LISTING_HAS_LINKS, &err);
    if (l == NULL)
        return;
    AUTO(questions_free) struct questions *q = all_kinds();
    questions_answer(q, (const struct listing *const[]){ l, l }, &one, NULL);
    questions_answer(q, (const struct listing *const[]){ l, l }, &again, NULL);
    require(digest_eq(&one, &again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = ERR_INIT;
    be_answered(data, size);
    AUTO(questions_free) struct questions *q = questions_open(data, size, &err);
    if (q == NULL) {
        require(err.code == ERR_CORRUPT);
        return 0;
    }
    write_again(q, data, size);
    answer(q);
    return 0;
}

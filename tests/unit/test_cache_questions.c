#include "tests/unit/image_help.h"

#include "cache/questions.h"

#define CAP "security.capability"
#define USER "user.a"

/* A question, as it is added. */
struct asked {
    const char *path;
    unsigned kinds;
    const char *names[4];
};

#define ASK(path, kinds) \
    {                    \
        (path), (kinds), \
        {                \
            NULL         \
        }                \
    }

static void add_all(struct questions_builder *b, const struct asked *v, size_t n)
{
    struct err err = ERR_INIT;
    for (size_t i = 0; i < n; i++) {
        size_t names = 0;
        while (names < ARRAY_LEN(v[i].names) && v[i].names[names] != NULL)
            names++;
        assert_ok(questions_add(b, v[i].path, v[i].kinds, v[i].names, names, &err), &err);
    }
}

static struct questions *open_bytes(const struct buf *bytes)
{
    struct err err = ERR_INIT;
    struct questions *q = questions_open(bytes->data, bytes->len, &err);
    if (q == NULL)
        fail_msg("%s", err.msg);
    return q;
}

static struct questions *set_of(const struct asked *v, size_t n)
{
    AUTO(questions_builder_free) struct questions_builder *b = questions_new();
    AUTO(buf_release) struct buf bytes = BUF_INIT;
    questions_segment(b);
    add_all(b, v, n);
    questions_write(b, &bytes);
    return open_bytes(&bytes);
}
#define SET(...)                                  \
    set_of((const struct asked[]){ __VA_ARGS__ }, \
           sizeof((const struct asked[]){ __VA_ARGS__ }) / sizeof(struct asked))

static struct digest answer_of(const struct questions *q, const struct listing *l, struct buf *each)
{
    struct digest d;
    questions_answer(q, (const struct listing *const[]){ l }, &d, each);
    return d;
}

/* ---- the format ---- */

static void write_example(struct buf *ret)
{
    AUTO(questions_builder_free) struct questions_builder *b = questions_new();
    questions_segment(b);
    add_all(b,
            (const struct asked[]){
                ASK("", QUESTION_EXIST | QUESTION_LIST),
                ASK("src", QUESTION_EXIST),
                ASK("src/a.c", QUESTION_EXIST | QUESTION_READ),
                { "src/a.h", QUESTION_EXIST | QUESTION_XATTR, { USER, CAP } },
                ASK("src/b", QUESTION_NEG),
                { "src-old", QUESTION_XATTR, { USER } },
            },
            6);
    questions_segment(b);
    questions_segment(b);
    add_all(b, (const struct asked[]){ ASK("", QUESTION_WHOLE) }, 1);
    questions_write(b, ret);
}

static void what_is_written_is_read_again(void **state UNUSED)
{
    AUTO(buf_release) struct buf bytes = BUF_INIT;
    struct question x;
    write_example(&bytes);
    AUTO(questions_free) struct questions *q = open_bytes(&bytes);
    assert_int_equal(questions_segments(q), 3);
    assert_int_equal(questions_len(q, 0), 6);
    assert_int_equal(questions_len(q, 1), 0);
    assert_int_equal(questions_len(q, 2), 1);
    questions_at(q, 0, 2, &x);
    assert_string_equal(x.path, "src/a.c");
    assert_int_equal(x.kinds, QUESTION_EXIST | QUESTION_READ);
    assert_int_equal(x.xattrs, 0);
    questions_at(q, 0, 3, &x);
    assert_string_equal(x.path, "src/a.h");
    assert_int_equal(x.xattrs, 3);
    questions_at(q, 2, 0, &x);
    assert_string_equal(x.path, "");
    assert_int_equal(x.kinds, QUESTION_WHOLE);
    assert_string_equal(questions_xattr(q, 0), CAP);
    assert_string_equal(questions_xattr(q, 1), USER);
    assert_null(questions_xattr(q, 2));
}

static void a_question_is_found_by_its_path(void **state UNUSED)
{
    AUTO(buf_release) struct buf bytes = BUF_INIT;
    struct question x;
    write_example(&bytes);
    AUTO(questions_free) struct questions *q = open_bytes(&bytes);
    for (size_t i = 0; i < questions_len(q, 0); i++) {
        struct question found;
        questions_at(q, 0, i, &x);
        assert_true(questions_find(q, 0, x.path, &found));
        assert_string_equal(found.path, x.path);
        assert_int_equal(found.kinds, x.kinds);
        assert_true(questions_find(q, 0, x.path, NULL));
    }
    assert_false(questions_find(q, 0, "src/a", &x));
    assert_false(questions_find(q, 0, "zzz", &x));
    assert_false(questions_find(q, 1, "", &x));
    assert_true(questions_find(q, 2, "", &x));
}

static void names_of_xattrs_are_sorted_whichever_came_first(void **state UNUSED)
{
    AUTO(buf_release) struct buf a = BUF_INIT;
    AUTO(buf_release) struct buf b = BUF_INIT;
    const char *const one[] = { USER, CAP }, *const other[] = { CAP, USER, CAP };
    struct err err = ERR_INIT;
    AUTO(questions_builder_free) struct questions_builder *x = questions_new();
    AUTO(questions_builder_free) struct questions_builder *y = questions_new();
    questions_segment(x);
    questions_segment(y);
    assert_ok(questions_add(x, "f", QUESTION_XATTR, one, 2, &err), &err);
    assert_ok(questions_add(y, "f", QUESTION_XATTR, other, 3, &err), &err);
    questions_write(x, &a);
    questions_write(y, &b);
    assert_int_equal(a.len, b.len);
    assert_memory_equal(a.data, b.data, a.len);
}

static void what_cannot_be_asked_is_refused(void **state UNUSED)
{
    static const struct asked bad[] = {
        ASK("f", 0),
        ASK("f", 512),
        ASK("f", QUESTION_WHOLE),
        ASK("", QUESTION_WHOLE | QUESTION_LIST),
        ASK("f", QUESTION_XATTR),
        { "f", QUESTION_EXIST, { USER } },
        { "f", QUESTION_XATTR, { "" } },
        ASK("/f", QUESTION_EXIST),
        ASK("f/", QUESTION_EXIST),
        ASK("d/../f", QUESTION_EXIST),
        ASK("d/./f", QUESTION_EXIST),
        ASK("d//f", QUESTION_EXIST),
        ASK("a", QUESTION_EXIST), /* again */
        ASK("A", QUESTION_EXIST), /* before it */
    };
    struct err err = ERR_INIT;
    AUTO(questions_builder_free) struct questions_builder *b = questions_new();
    assert_int_equal(questions_add(b, "f", QUESTION_EXIST, NULL, 0, &err), ERR_USAGE);
    questions_segment(b);
    add_all(b, (const struct asked[]){ ASK("a", QUESTION_EXIST) }, 1);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        size_t n = bad[i].names[0] != NULL;
        assert_int_equal(questions_add(b, bad[i].path, bad[i].kinds, bad[i].names, n, &err),
                         ERR_USAGE);
    }
    questions_segment(b);
    add_all(b, (const struct asked[]){ ASK("", QUESTION_WHOLE) }, 1);
    assert_int_equal(questions_add(b, "f", QUESTION_EXIST, NULL, 0, &err), ERR_USAGE);
}

static void what_was_refused_leaves_no_trace(void **state UNUSED)
{
    AUTO(buf_release) struct buf a = BUF_INIT;
    AUTO(buf_release) struct buf b = BUF_INIT;
    struct err err = ERR_INIT;
    const char *const names[] = { "user.x", "" };
    AUTO(questions_builder_free) struct questions_builder *x = questions_new();
    AUTO(questions_builder_free) struct questions_builder *y = questions_new();
    questions_segment(x);
    questions_segment(y);
    assert_int_equal(questions_add(x, "f", QUESTION_XATTR, names, 2, &err), ERR_USAGE);
    questions_write(x, &a);
    questions_write(y, &b);
    assert_int_equal(a.len, b.len);
    assert_memory_equal(a.data, b.data, a.len);
}

static void more_names_of_xattrs_than_have_a_bit_are_refused(void **state UNUSED)
{
    struct err err = ERR_INIT;
    char name[20], path[20];
    const char *const names[] = { name };
    AUTO(buf_release) struct buf bytes = BUF_INIT;
    AUTO(questions_builder_free) struct questions_builder *b = questions_new();
    questions_segment(b);
    for (unsigned i = 0; i < QUESTION_XATTRS_MAX; i++) {
        snprintf(name, sizeof(name), "user.%u", i);
        snprintf(path, sizeof(path), "f%03u", i);
        assert_ok(questions_add(b, path, QUESTION_XATTR, names, 1, &err), &err);
    }
    snprintf(name, sizeof(name), "user.more");
    assert_int_equal(questions_add(b, "g", QUESTION_XATTR, names, 1, &err), ERR_USAGE);
    questions_write(b, &bytes);
    AUTO(questions_free) struct questions *q = open_bytes(&bytes);
    assert_non_null(questions_xattr(q, QUESTION_XATTRS_MAX - 1));
}

/* What opens is written the same again, so that no two texts of a set are different blobs. */
static void assert_canonical(const struct questions *q, const void *p, size_t n)
{
    struct err err = ERR_INIT;
    AUTO(questions_builder_free) struct questions_builder *b = questions_new();
    AUTO(buf_release) struct buf again = BUF_INIT;
    for (size_t s = 0; s < questions_segments(q); s++) {
        questions_segment(b);
        for (size_t i = 0; i < questions_len(q, s); i++) {
            struct question x;
            const char *names[QUESTION_XATTRS_MAX];
            size_t n_names = 0;
            questions_at(q, s, i, &x);
            for (size_t k = 0; k < QUESTION_XATTRS_MAX; k++)
                if (x.xattrs >> k & 1)
                    names[n_names++] = questions_xattr(q, k);
            assert_ok(questions_add(b, x.path, x.kinds, names, n_names, &err), &err);
        }
    }
    questions_write(b, &again);
    assert_int_equal(again.len, n);
    assert_memory_equal(again.data, p, n);
}

static void any_byte_may_be_damaged(void **state UNUSED)
{
    AUTO(buf_release) struct buf bytes = BUF_INIT;
    size_t refused = 0;
    write_example(&bytes);
    for (size_t at = 0; at < bytes.len; at++)
        for (unsigned v = 0; v < 256; v++) {
            struct err err = ERR_INIT;
            AUTO(mem_free) char *copy = mem_dup(bytes.data, bytes.len);
            copy[at] = (char)v;
            AUTO(questions_free) struct questions *q = questions_open(copy, bytes.len, &err);
            if (q != NULL)
                assert_canonical(q, copy, bytes.len);
            else
                assert_int_equal(err.code, ERR_CORRUPT);
            refused += q == NULL;
        }
    assert_true(refused > bytes.len * 128);
}

static void a_set_that_is_cut_or_longer_is_refused(void **state UNUSED)
{
    AUTO(buf_release) struct buf bytes = BUF_INIT;
    struct err err = ERR_INIT;
    write_example(&bytes);
    for (size_t n = 0; n < bytes.len; n++) {
        AUTO(mem_free) char *copy = mem_dup(bytes.data, n);
        assert_null(questions_open(copy, n, &err));
        assert_int_equal(err.code, ERR_CORRUPT);
    }
    buf_addc(&bytes, 0);
    assert_null(questions_open(bytes.data, bytes.len, &err));
    assert_int_equal(err.code, ERR_CORRUPT);
}

#define HEAD "shaleqst\x01"
#define BYTES(s)         \
    {                    \
        s, sizeof(s) - 1 \
    }

static void what_could_be_written_otherwise_is_refused(void **state UNUSED)
{
    static const struct {
        const char *p;
        size_t n;
    } bad[] = {
        BYTES("shaleqst\x02\x00\x00"),    /* another version */
        BYTES(HEAD "\x80\x00\x00"),       /* a number in two bytes */
        BYTES(HEAD "\x01\x06user.a\x00"), /* a name of nobody */
        BYTES(HEAD "\x02\x01"
                   "b\x01"
                   "a\x01\x01\x00\x01"
                   "f\x80\x01\x03"), /* names out of order */
        BYTES(HEAD "\x00\x01\x02\x00\x02"
                   "ab\x01\x00\x02"
                   "ac\x01"), /* shares more than it says */
        BYTES(HEAD "\x00\x01\x02\x00\x01"
                   "b\x01\x00\x01"
                   "a\x01"), /* out of order */
        BYTES(HEAD "\x00\x01\x02\x00\x01"
                   "b\x01\x01\x00\x01"), /* twice */
        BYTES(HEAD "\x00\x01\x01\x01\x01"
                   "b\x01"), /* shares with nothing */
        BYTES(HEAD "\x00\x01\x01\x00\x03"
                   "a/.\x01"), /* a path that is not clean */
        BYTES(HEAD "\x00\x01\x02\x00\x00\x80\x02\x00\x01"
                   "f\x01"), /* whole and more */
        BYTES(HEAD "\x00\x01\x01\x00\x01"
                   "f\x80\x01\x00"),            /* xattrs without a name */
        BYTES(HEAD "\x00\x01\x81\x92\xf4\x01"), /* four million and one */
    };
    static const char good[] = HEAD "\x00\x01\x02\x00\x02"
                                    "ab\x01\x01\x01"
                                    "c\x01";
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct err err = ERR_INIT;
        if (questions_open(bad[i].p, bad[i].n, &err) != NULL)
            fail_msg("number %zu was opened", i);
        assert_int_equal(err.code, ERR_CORRUPT);
    }
    struct err err = ERR_INIT;
    AUTO(questions_free) struct questions *q = questions_open(good, sizeof(good) - 1, &err);
    assert_non_null(q);
    assert_int_equal(questions_len(q, 0), 2);
}

/* Paths of 4,000 bytes, until there are more than a set may have. */
static size_t add_long_paths(struct questions_builder *b, size_t max, struct err *err)
{
    AUTO(mem_free) char *path = mem_alloc(4001);
    size_t n = 0;
    for (size_t i = 0; i < 3990; i++)
        path[i] = i % 200 == 100 ? '/' : 'a';
    questions_segment(b);
    do
        snprintf(path + 3990, 11, "%010zu", n);
    while (questions_add(b, path, QUESTION_EXIST, NULL, 0, err) == 0 && ++n < max);
    return n;
}

static void a_little_cannot_become_very_much(void **state UNUSED)
{
    struct err err = ERR_INIT;
    size_t n;
    {
        AUTO(questions_builder_free) struct questions_builder *b = questions_new();
        n = add_long_paths(b, QUESTIONS_MAX, &err);
        assert_int_equal(err.code, ERR_USAGE);
        assert_true(n * 4000 > 200000000);
    }
    AUTO(questions_builder_free) struct questions_builder *half = questions_new();
    AUTO(buf_release) struct buf one = BUF_INIT;
    AUTO(buf_release) struct buf three = BUF_INIT;
    assert_int_equal(add_long_paths(half, n / 2, &err), n / 2);
    questions_write(half, &one);
    assert_true(one.len < 4096 + n / 2 * 15);
    buf_adds(&three, HEAD);
    buf_add(&three, "\x00\x03", 2);
    for (int i = 0; i < 3; i++)
        buf_add(&three, one.data + strlen(HEAD) + 2, one.len - strlen(HEAD) - 2);
    assert_null(questions_open(three.data, three.len, &err));
    assert_int_equal(err.code, ERR_CORRUPT);
    assert_non_null(strstr(err.msg, "too many"));
}

/* ---- answers ---- */

static struct listing *tree(const struct entry *more, size_t n)
{
    static const char value[] = "v";
    static const struct entry_xattr xattrs[] = { { CAP, "c", 1 }, { USER, value, 1 } };
    struct entry all[20] = { a_dir("d"),           a_file("d/f", "one"),
                             a_dir("d/sub"),       a_file("d/sub/x", "x"),
                             a_file("d/z", "zz"),  a_link("l", "d/f"),
                             a_file("x", "xattrs") };
    all[6].xattrs = xattrs;
    all[6].n_xattrs = 2;
    for (size_t i = 0; i < n; i++)
        all[7 + i] = more[i];
    return listing_of(all, 7 + n);
}
#define TREE(...)                               \
    tree((const struct entry[]){ __VA_ARGS__ }, \
         sizeof((const struct entry[]){ __VA_ARGS__ }) / sizeof(struct entry))

enum edit {
    NOTHING,
    MTIME,
    CONTENT,
    GROWN,
    MODE,
    UID,
    GID,
    TYPE,
    GONE,
    DEVICE,
    TARGET,
    TARGET_LEN,
    XATTR_VALUE,
    XATTR_MORE,
    XATTR_LESS,
    N_EDITS,
};

static struct entry edited(struct entry e, enum edit how, struct entry_xattr xattrs[2])
{
    xattrs[0] =
        (struct entry_xattr){ .name = USER, .value = how == XATTR_VALUE ? "2" : "1", .len = 1 };
    xattrs[1] = (struct entry_xattr){ .name = "user.b", .value = "", .len = 0 };
    e.xattrs = xattrs;
    e.n_xattrs = how == XATTR_MORE ? 2 : how == XATTR_LESS ? 0 : 1;
    e.mtime = how == MTIME ? 5 : 1;
    e.mtime_ns = how == MTIME ? 7 : 1;
    e.mode ^= how == MODE ? 0100 : 0;
    e.uid = how == UID ? 1 : 0;
    e.gid = how == GID ? 1 : 0;
    if (how == DEVICE)
        e.dev_minor++;
    if (how == CONTENT || how == GROWN)
        digest_of("another", 7, &e.content);
    e.size += how == GROWN;
    if (how == TARGET || how == TARGET_LEN)
        e.target = how == TARGET ? "aimed" : "a longer one";
    if (how == TYPE)
        e = (struct entry){
            .path = e.path, .type = ENTRY_FIFO, .mode = e.mode, .xattrs = xattrs, .n_xattrs = 1
        };
    return e;
}

static struct listing *with_edit(struct entry e, enum edit how)
{
    struct entry_xattr xattrs[2];
    struct entry x = edited(e, how, xattrs);
    return how == GONE ? LISTING(a_dir("d")) : LISTING(a_dir("d"), x);
}

/* Whether the answer to kinds is another after the edit. */
static bool differs(struct entry e, unsigned kinds, enum edit how)
{
    const char *const name = kinds & QUESTION_XATTR ? USER : NULL;
    AUTO(questions_free) struct questions *q = SET({ e.path, kinds, { name } });
    AUTO(listing_free) struct listing *before = with_edit(e, NOTHING);
    AUTO(listing_free) struct listing *now = with_edit(e, how);
    AUTO(buf_release) struct buf each_before = BUF_INIT;
    AUTO(buf_release) struct buf each_now = BUF_INIT;
    struct digest a = answer_of(q, before, &each_before), b = answer_of(q, now, &each_now);
    struct broken broken;
    bool same = digest_eq(&a, &b);
    assert_int_equal(each_before.len, ANSWER_LEN);
    assert_int_equal(each_now.len, ANSWER_LEN);
    assert_true(same == (memcmp(each_before.data, each_now.data, ANSWER_LEN) == 0));
    assert_true(same != questions_broken(q, (const struct listing *const[]){ now },
                                         each_before.data, each_before.len, &broken));
    return !same;
}

#define BIT(edit) (1u << (edit))
#define OF_ALL (BIT(MODE) | BIT(UID) | BIT(GID) | BIT(TYPE) | BIT(GONE))

static void assert_edits(struct entry e, unsigned kinds, unsigned possible, unsigned want)
{
    for (enum edit how = NOTHING; how < N_EDITS; how++) {
        if (!(possible >> how & 1))
            continue;
        if (differs(e, kinds, how) != (want >> how & 1))
            fail_msg("kinds %u of a '%c', edit %u", kinds, e.type, how);
    }
}

static void a_file_s_answers_change_with_what_was_asked_alone(void **state UNUSED)
{
    const unsigned possible = ~(BIT(DEVICE) | BIT(TARGET) | BIT(TARGET_LEN));
    const unsigned exist = OF_ALL | BIT(GROWN);
    struct entry e = a_file("d/f", "bytes");
    assert_edits(e, QUESTION_EXIST, possible, exist);
    assert_edits(e, QUESTION_STAT, possible, exist | BIT(CONTENT));
    assert_edits(e, QUESTION_READ, possible, exist | BIT(CONTENT));
    assert_edits(e, QUESTION_LINK, possible, exist);
    assert_edits(e, QUESTION_XLIST, possible, exist | BIT(XATTR_MORE) | BIT(XATTR_LESS));
    assert_edits(e, QUESTION_XATTR, possible, exist | BIT(XATTR_VALUE) | BIT(XATTR_LESS));
    assert_edits(e, QUESTION_NEG, possible, BIT(GONE));
    assert_edits(e, QUESTION_LIST, possible, BIT(TYPE) | BIT(GONE));
}

static void a_link_s_answers_change_with_what_was_asked_alone(void **state UNUSED)
{
    const unsigned possible = ~(BIT(DEVICE) | BIT(CONTENT) | BIT(GROWN) | BIT(MODE) | BIT(TYPE));
    const unsigned exist = BIT(UID) | BIT(GID) | BIT(GONE) | BIT(TARGET_LEN);
    struct entry e = a_link("d/l", "there");
    assert_edits(e, QUESTION_EXIST, possible, exist);
    assert_edits(e, QUESTION_STAT, possible, exist | BIT(TARGET));
    assert_edits(e, QUESTION_READ, possible, exist | BIT(TARGET));
    assert_edits(e, QUESTION_LINK, possible, exist | BIT(TARGET));
    assert_edits(e, QUESTION_NEG, possible, BIT(GONE));
}

static void a_device_s_answers_change_with_its_number(void **state UNUSED)
{
    const unsigned possible = ~(BIT(CONTENT) | BIT(GROWN) | BIT(TARGET) | BIT(TARGET_LEN));
    struct entry e = {
        .path = "d/c", .type = ENTRY_CHAR, .mode = 0600, .dev_major = 1, .dev_minor = 3
    };
    assert_edits(e, QUESTION_EXIST, possible, OF_ALL | BIT(DEVICE));
    assert_edits(e, QUESTION_STAT, possible, OF_ALL | BIT(DEVICE));
}

static void an_xattr_that_was_not_there_may_come(void **state UNUSED)
{
    struct entry e = a_file("d/f", "bytes");
    struct entry_xattr x[2] = { { CAP, "c", 1 }, { USER, "1", 1 } };
    struct entry with = e;
    with.xattrs = &x[0];
    with.n_xattrs = 1;
    AUTO(questions_free) struct questions *q = SET({ "d/f", QUESTION_XATTR, { USER } });
    AUTO(listing_free) struct listing *a = LISTING(a_dir("d"), e);
    AUTO(listing_free) struct listing *b = LISTING(a_dir("d"), with);
    with.n_xattrs = 2;
    AUTO(listing_free) struct listing *c = LISTING(a_dir("d"), with);
    struct digest none = answer_of(q, a, NULL), other = answer_of(q, b, NULL);
    struct digest now = answer_of(q, c, NULL);
    assert_true(digest_eq(&none, &other)); /* another xattr: nobody asked for it */
    assert_false(digest_eq(&none, &now));
    x[1].len = 0;
    AUTO(listing_free) struct listing *d = LISTING(a_dir("d"), with);
    struct digest empty = answer_of(q, d, NULL);
    assert_false(digest_eq(&none, &empty));
    assert_false(digest_eq(&now, &empty));
}

/* Of two layers to one question. */
static bool same_answer(const char *path, unsigned kinds, const struct listing *a,
                        const struct listing *b)
{
    AUTO(questions_free) struct questions *q = SET({ path, kinds, { NULL } });
    struct digest x = answer_of(q, a, NULL), y = answer_of(q, b, NULL);
    return digest_eq(&x, &y);
}

static void a_list_is_of_names_and_types_and_of_no_more(void **state UNUSED)
{
    AUTO(listing_free) struct listing *was = TREE(a_dir("e"));
    AUTO(listing_free) struct listing *content = TREE(a_dir("e"), a_file("d/f", "another one"));
    AUTO(listing_free) struct listing *deeper = TREE(a_dir("e"), a_file("d/sub/y", "y"));
    AUTO(listing_free) struct listing *more = TREE(a_dir("e"), a_file("d/g", ""));
    AUTO(listing_free) struct listing *type = TREE(a_dir("e"), a_link("d/f", "z"));
    AUTO(listing_free)
    struct listing *beside = TREE(a_dir("e"), a_file("d-", ""), a_file("da", ""));
    AUTO(listing_free) struct listing *in_e = TREE(a_dir("e"), a_file("e/f", ""));
    const struct listing *const others[] = { content, deeper, more, type, beside, in_e };
    static const struct {
        const char *path;
        bool same[6];
    } want[] = {
        { "d", { true, true, false, false, true, true } },
        { "d/sub", { true, false, true, true, true, true } },
        { "e", { true, true, true, true, true, false } },
        { "", { true, true, true, true, false, true } },
    };
    for (size_t i = 0; i < ARRAY_LEN(want); i++)
        for (size_t k = 0; k < ARRAY_LEN(others); k++)
            if (same_answer(want[i].path, QUESTION_LIST, was, others[k]) != want[i].same[k])
                fail_msg("list of '%s', edit %zu", want[i].path, k);
    AUTO(listing_free) struct listing *less = LISTING(a_dir("d"), a_file("d/f", "one"));
    assert_false(same_answer("d", QUESTION_LIST, was, less));
    assert_false(same_answer("d/sub", QUESTION_LIST, was, less));
}

static void a_name_that_was_not_there_may_come(void **state UNUSED)
{
    AUTO(listing_free) struct listing *was = TREE(a_dir("e"));
    AUTO(listing_free) struct listing *file = TREE(a_dir("e"), a_file("e/f", ""));
    AUTO(listing_free) struct listing *hidden = TREE(a_dir("e"), a_whiteout("e/f"));
    assert_false(same_answer("e/f", QUESTION_NEG, was, file));
    assert_false(same_answer("e/f", QUESTION_NEG, was, hidden));
    assert_true(same_answer("e/g", QUESTION_NEG, was, file));
    assert_true(same_answer("e/f/g", QUESTION_NEG, was, file));
}

static void a_directory_of_which_only_names_below_are_known_is_there(void **state UNUSED)
{
    AUTO(listing_free) struct listing *none = listing_empty();
    AUTO(listing_free) struct listing *implied = LISTING(a_file("a/b/c", ""));
    AUTO(listing_free)
    struct listing *said = LISTING(a_dir("a"), a_dir("a/b"), a_file("a/b/c", ""));
    static const char *const paths[] = { "", "a", "a/b" };
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        assert_true(same_answer(paths[i], QUESTION_STAT, implied, said));
        assert_true(same_answer(paths[i], QUESTION_LIST, implied, said));
        assert_true(same_answer(paths[i], QUESTION_NEG, implied, said));
        assert_int_equal(same_answer(paths[i], QUESTION_NEG, implied, none), i == 0);
        assert_int_equal(same_answer(paths[i], QUESTION_STAT, implied, none), i == 0);
    }
    AUTO(listing_free) struct listing *root = LISTING(a_dir(""), a_file("a/b/c", ""));
    assert_true(same_answer("", QUESTION_STAT, implied, root));
}

static void what_is_no_part_of_served_layers_is_another_answer(void **state UNUSED)
{
    AUTO(listing_free)
    struct listing *plain = LISTING(a_dir("d"), a_file("d/f", "x"), a_file("d/g", "x"));
    AUTO(listing_free)
    struct listing *opaque = LISTING(an_opaque_dir("d"), a_file("d/f", "x"), a_file("d/g", "x"));
    AUTO(listing_free)
    struct listing *linked = LISTING(a_dir("d"), a_file("d/f", "x"), a_hardlink("d/g", "d/f"));
    assert_false(same_answer("d", QUESTION_EXIST, plain, opaque));
    assert_false(same_answer("d", QUESTION_LIST, plain, opaque));
    assert_false(same_answer("d/f", QUESTION_EXIST, plain, linked));
    assert_false(same_answer("d/g", QUESTION_EXIST, plain, linked));
    assert_true(same_answer("d", QUESTION_EXIST, plain, linked));
}

static void a_whole_layer_is_its_content_and_its_links(void **state UNUSED)
{
    struct entry later = a_file("f", "x");
    later.mtime = 77;
    AUTO(listing_free)
    struct listing *was = LISTING(a_file("f", "x"), a_file("g", "x"), a_file("h", "x"));
    AUTO(listing_free) struct listing *time = LISTING(later, a_file("g", "x"), a_file("h", "x"));
    AUTO(listing_free)
    struct listing *content = LISTING(a_file("f", "y"), a_file("g", "x"), a_file("h", "x"));
    AUTO(listing_free)
    struct listing *fg = LISTING(a_file("f", "x"), a_hardlink("g", "f"), a_file("h", "x"));
    AUTO(listing_free)
    struct listing *fh = LISTING(a_file("f", "x"), a_file("g", "x"), a_hardlink("h", "f"));
    assert_true(same_answer("", QUESTION_WHOLE, was, time));
    assert_false(same_answer("", QUESTION_WHOLE, was, content));
    assert_false(same_answer("", QUESTION_WHOLE, was, fg));
    assert_false(same_answer("", QUESTION_WHOLE, fg, fh));
}

static void each_layer_answers_its_own_segment(void **state UNUSED)
{
    AUTO(questions_builder_free) struct questions_builder *b = questions_new();
    AUTO(buf_release) struct buf bytes = BUF_INIT;
    const struct asked ask = ASK("f", QUESTION_READ);
    for (int i = 0; i < 2; i++) {
        questions_segment(b);
        add_all(b, &ask, 1);
    }
    questions_write(b, &bytes);
    AUTO(questions_free) struct questions *q = open_bytes(&bytes);
    AUTO(listing_free) struct listing *x = LISTING(a_file("f", "x"));
    AUTO(listing_free) struct listing *y = LISTING(a_file("f", "y"));
    AUTO(buf_release) struct buf each = BUF_INIT;
    struct digest xy, yx, xx;
    struct broken broken;
    questions_answer(q, (const struct listing *const[]){ x, y }, &xy, &each);
    questions_answer(q, (const struct listing *const[]){ y, x }, &yx, NULL);
    questions_answer(q, (const struct listing *const[]){ x, x }, &xx, NULL);
    assert_false(digest_eq(&xy, &yx));
    assert_false(digest_eq(&xy, &xx));
    assert_int_equal(each.len, 2 * ANSWER_LEN);
    assert_true(
        questions_broken(q, (const struct listing *const[]){ x, x }, each.data, each.len, &broken));
    assert_int_equal(broken.segment, 1);
}

static void to_hex(const void *p, size_t n, struct buf *ret)
{
    for (size_t i = 0; i < n; i++)
        buf_addf(ret, "%02x", ((const unsigned char *)p)[i]);
}

static void assert_hex(const void *p, size_t n, const char *want)
{
    AUTO(buf_release) struct buf got = BUF_INIT;
    to_hex(p, n, &got);
    assert_string_equal(buf_str(&got), want);
}

static void the_example_of_the_format_s_page_is_right(void **state UNUSED)
{
    AUTO(questions_builder_free) struct questions_builder *b = questions_new();
    AUTO(buf_release) struct buf bytes = BUF_INIT;
    AUTO(buf_release) struct buf each = BUF_INIT;
    struct digest id;
    questions_segment(b);
    add_all(b,
            (const struct asked[]){
                ASK("", QUESTION_EXIST | QUESTION_LIST),
                ASK("src", QUESTION_EXIST),
                { "src/a.c", QUESTION_EXIST | QUESTION_READ | QUESTION_XATTR, { USER } },
                ASK("src/b.h", QUESTION_NEG),
            },
            4);
    questions_write(b, &bytes);
    assert_hex(bytes.data, bytes.len,
               "7368616c65717374010106757365722e6101040000090003737263010304"
               "2f612e638501010403622e6840");
    digest_of(bytes.data, bytes.len, &id);
    assert_string_equal(DIGEST_HEX(&id),
                        "6153e0fe27718decbd326fc67d5563bc11837441ce756bbf37c255927566afc1");
    AUTO(questions_free) struct questions *q = open_bytes(&bytes);
    AUTO(listing_free) struct listing *l = LISTING(a_dir("src"), a_file("src/a.c", "int x;\n"));
    struct digest d = answer_of(q, l, &each);
    assert_string_equal(DIGEST_HEX(&d),
                        "657adc3d85626b803df969316b930fe3b81d0ee875aabd69a210019fc3bd0f72");
    assert_hex(each.data, each.len,
               "1c12e97d65e6d33b1c12e97d5444a17d96a3dda5f9d2d35b59196b420f2e7dc6");
}

/* ---- what broke ---- */

/* What is said when the set that was answered by one listing meets another. */
static char *said(const struct questions *q, const struct listing *was, const struct listing *now)
{
    AUTO(buf_release) struct buf each = BUF_INIT;
    AUTO(buf_release) struct buf text = BUF_INIT;
    struct broken broken;
    (void)answer_of(q, was, &each);
    if (questions_broken(q, (const struct listing *const[]){ now }, each.data, each.len, &broken))
        broken_text(&broken, broken.question.path, &text);
    return buf_take(&text);
}

static void assert_said(const struct questions *q, const struct listing *was,
                        const struct listing *now, const char *want)
{
    AUTO(mem_free) char *got = said(q, was, now);
    assert_string_equal(got, want);
}

static void the_question_that_says_most_is_told(void **state UNUSED)
{
    const unsigned entry = QUESTION_EXIST | QUESTION_STAT;
    AUTO(questions_free)
    struct questions *q =
        SET(ASK("", entry | QUESTION_LIST), ASK("d", entry | QUESTION_LIST),
            ASK("d/f", entry | QUESTION_READ), ASK("d/g", QUESTION_NEG), ASK("d/z", entry));
    AUTO(listing_free) struct listing *was = TREE(a_dir("e"));
    AUTO(listing_free) struct listing *read = TREE(a_file("d/f", "2"), a_file("d/z", ""));
    AUTO(listing_free)
    struct listing *seen = TREE(a_dir("e"), a_file("d/z", ""), a_file("d/g", ""));
    AUTO(listing_free) struct listing *came = TREE(a_dir("e"), a_file("d/g", ""));
    AUTO(listing_free) struct listing *other = TREE(a_dir("e"), a_file("d/k", ""));
    AUTO(listing_free) struct listing *root = TREE(a_file("e", ""));
    AUTO(listing_free)
    struct listing *gone = LISTING(a_dir("d"), a_file("d/z", "zz"));
    struct entry d = a_dir("d");
    d.mode = 0700;
    AUTO(listing_free) struct listing *mode = TREE(a_dir("e"), d);
    assert_said(q, was, was, "");
    assert_said(q, was, read, "read d/f, which changed");
    assert_said(q, was, gone, "read d/f, which is gone");
    assert_said(q, was, seen, "looked at d/z, which changed");
    assert_said(q, was, mode, "looked at d, which changed");
    assert_said(q, was, came, "looked for d/g, which is there now");
    assert_said(q, was, other, "listed d, where names have come or gone");
    assert_said(q, was, root, "listed , where names have come or gone");
}

static void answers_of_another_set_tell_nothing(void **state UNUSED)
{
    AUTO(questions_free) struct questions *q = SET(ASK("d/f", QUESTION_READ));
    AUTO(listing_free) struct listing *l = TREE(a_dir("e"));
    struct broken broken;
    assert_false(questions_broken(q, (const struct listing *const[]){ l }, "1234567", 7, &broken));
    assert_true(questions_broken(q, (const struct listing *const[]){ l }, "12345678", 8, &broken));
    assert_int_equal(broken.question.kinds, QUESTION_READ);
}

static void whole_layers_and_control_characters_are_told(void **state UNUSED)
{
    AUTO(questions_free) struct questions *q = SET(ASK("", QUESTION_WHOLE));
    AUTO(questions_free) struct questions *odd = SET(ASK("a\nb", QUESTION_READ));
    AUTO(listing_free) struct listing *was = LISTING(a_file("a\nb", "1"));
    AUTO(listing_free) struct listing *now = LISTING(a_file("a\nb", "2"));
    assert_said(q, was, now, "needs all of , where something changed");
    assert_said(odd, was, now, "read a\\x0ab, which changed");
}

static void a_change_touches_what_was_asked_about(void **state UNUSED)
{
    AUTO(questions_free)
    struct questions *q = SET(ASK("", QUESTION_EXIST), ASK("d", QUESTION_EXIST | QUESTION_LIST),
                              ASK("d/f", QUESTION_READ), ASK("usr", QUESTION_NEG));
    AUTO(questions_free) struct questions *whole = SET(ASK("", QUESTION_WHOLE));
    AUTO(questions_free) struct questions *listed = SET(ASK("", QUESTION_LIST));
    static const struct {
        const char *path;
        bool came_or_went, touches;
    } want[] = {
        { "d/f", false, true },  { "d/f", true, true },         { "d", false, true },
        { "d/g", false, false }, { "d/g", true, true },         { "d/g/h", true, false },
        { "e", true, false },    { "usr/bin/x", true, true },   { "usr", true, true },
        { "usrx", true, false }, { "usr/bin/x", false, false }, { "", false, true },
    };
    for (size_t i = 0; i < ARRAY_LEN(want); i++)
        if (questions_touch(q, 0, want[i].path, want[i].came_or_went) != want[i].touches)
            fail_msg("'%s', %d", want[i].path, want[i].came_or_went);
    assert_true(questions_touch(whole, 0, "any/thing", false));
    assert_true(questions_touch(listed, 0, "x", true));
    assert_false(questions_touch(listed, 0, "x", false));
    assert_false(questions_touch(listed, 0, "x/y", true));
}

/* ---- at random, against a routine that is slow and plain ---- */

static unsigned draw(uint64_t *seed, unsigned n)
{
    *seed = *seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (unsigned)(*seed >> 33) % n;
}

/* In the order of listings. */
static const char *const parts[] = { "a", "a-", "b", "b.c", "usr" };

static void grow(struct listing_builder *b, const char *dir, unsigned depth, uint64_t *seed)
{
    static const struct entry_xattr xattrs[] = { { CAP, "1", 1 }, { USER, "22", 2 } };
    static const enum entry_type types[] = { ENTRY_FILE, ENTRY_FILE, ENTRY_LINK, ENTRY_DIR,
                                             ENTRY_DIR,  ENTRY_DIR,  ENTRY_CHAR, ENTRY_WHITEOUT };
    struct err err = ERR_INIT;
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        if (draw(seed, 3) == 0)
            continue;
        AUTO(mem_free) char *path = str_printf("%s%s%s", dir, *dir ? "/" : "", parts[i]);
        struct entry e = { .path = path, .type = types[draw(seed, ARRAY_LEN(types))] };
        e.mode = draw(seed, 8) ? 0755 : 0700;
        e.uid = draw(seed, 8) == 0;
        e.size = draw(seed, 6) == 0;
        e.content.b[0] = (uint8_t)(draw(seed, 6) == 0);
        e.target = draw(seed, 4) ? "t" : "u";
        e.opaque = draw(seed, 16) == 0;
        e.dev_major = draw(seed, 4) == 0;
        e.xattrs = xattrs + (draw(seed, 3) == 0);
        e.n_xattrs = draw(seed, 4) == 0;
        if (e.type == ENTRY_FILE && draw(seed, 24) == 0)
            e.hardlink = "a/a"; /* often there is no such file */
        if (e.type == ENTRY_DIR && depth > 0)
            grow(b, path, depth - 1, seed);
        if (e.type != ENTRY_DIR || draw(seed, 6))
            (void)listing_builder_add(b, &e, &err);
    }
}

static struct listing *random_layer(uint64_t seed)
{
    for (;; seed += 1000) { /* until all its links lead somewhere */
        struct err err = ERR_INIT;
        AUTO(listing_builder_free) struct listing_builder *b = listing_builder_new();
        AUTO(buf_release) struct buf bytes = BUF_INIT;
        uint64_t state = seed;
        grow(b, "", 2, &state);
        struct listing *l = NULL;
        if (listing_builder_write(b, &bytes, NULL, &err) == 0)
            l = listing_open_buf(&bytes, &err);
        if (l != NULL)
            return l;
    }
}

static void plain_entry(const struct listing *l, const struct entry *e, unsigned kinds,
                        const struct question *x, const struct questions *q, struct buf *out)
{
    unsigned names = 0;
    const char *first = e->hardlink ? e->hardlink : e->path;
    for (size_t i = 0; i < listing_len(l); i++) {
        struct entry other;
        listing_at(l, i, &other);
        names += str_eq(other.hardlink ? other.hardlink : other.path, first);
    }
    if (names == 0)
        names = 1;
    buf_addf(out, "%o %u %u %u %u %zu %u|", e->mode, e->uid, e->gid, e->dev_major, e->dev_minor,
             e->type == ENTRY_LINK ? strlen(e->target) : (size_t)e->size, names);
    if (kinds & (QUESTION_STAT | QUESTION_READ | QUESTION_LINK))
        buf_addf(out, "%s %s|",
                 kinds & (QUESTION_STAT | QUESTION_READ) ? DIGEST_HEX(&e->content) : "",
                 e->target ? e->target : "");
    for (size_t i = 0; i < e->n_xattrs; i++) {
        if (kinds & QUESTION_XLIST)
            buf_addf(out, "%s ", e->xattrs[i].name);
        for (size_t k = 0; k < 32; k++)
            if ((x->xattrs >> k & 1) && str_eq(questions_xattr(q, k), e->xattrs[i].name))
                buf_addf(out, "%s=%.*s ", e->xattrs[i].name, (int)e->xattrs[i].len,
                         (const char *)e->xattrs[i].value);
    }
}

static void plain_list(const struct listing *l, const char *dir, struct buf *out)
{
    char before[100] = "";
    for (size_t i = 0; i < listing_len(l); i++) {
        struct entry e;
        char name[100];
        listing_at(l, i, &e);
        if (!path_is_below(e.path, dir))
            continue;
        const char *rest = e.path + (*dir ? strlen(dir) + 1 : 0);
        size_t n = strcspn(rest, "/");
        snprintf(name, sizeof(name), "%.*s", (int)n, rest);
        if (!str_eq(name, before))
            buf_addf(out, "%s:%c ", name, rest[n] == '\0' ? e.type : 'd');
        snprintf(before, sizeof(before), "%s", name);
    }
}

/* A text that is another one exactly when the answer is. */
static char *plain_answer(const struct questions *q, const struct question *x,
                          const struct listing *l)
{
    AUTO(buf_release) struct buf out = BUF_INIT;
    struct entry e = { .path = x->path, .type = ENTRY_DIR, .mode = 0755 }, other;
    bool is_there = *x->path == '\0';
    for (size_t i = 0; i < listing_len(l); i++) {
        listing_at(l, i, &other);
        is_there = is_there || path_is_below(other.path, x->path);
        if (str_eq(other.path, x->path)) {
            e = other;
            is_there = true;
        }
    }
    buf_addf(&out, "%d|", is_there);
    if (is_there && x->kinds != QUESTION_NEG)
        buf_addf(&out, "%c%d|", e.type, e.opaque);
    if (is_there && (x->kinds & ~(unsigned)(QUESTION_NEG | QUESTION_LIST)))
        plain_entry(l, &e, x->kinds, x, q, &out);
    if (is_there && (x->kinds & QUESTION_LIST))
        plain_list(l, x->path, &out);
    return buf_take(&out);
}

static void ask_at_random(struct questions_builder *b, const char *dir, unsigned depth,
                          uint64_t *seed)
{
    static const char *const names[] = { CAP, USER, "user.none" };
    struct err err = ERR_INIT;
    unsigned kinds = draw(seed, 255) + 1, first = draw(seed, 3);
    if (draw(seed, 3) == 0)
        kinds = 1u << draw(seed, 8);
    if (draw(seed, 4) == 0)
        assert_ok(questions_add(b, dir, kinds, names + first,
                                kinds & QUESTION_XATTR ? 1 + draw(seed, 3 - first) : 0, &err),
                  &err);
    for (size_t i = 0; depth > 0 && i < ARRAY_LEN(parts); i++) {
        AUTO(mem_free) char *path = str_printf("%s%s%s", dir, *dir ? "/" : "", parts[i]);
        ask_at_random(b, path, depth - 1, seed);
    }
}

static bool compare_answers(const struct questions *q, const struct listing *a,
                            const struct listing *b, const struct buf *each_a,
                            const struct buf *each_b)
{
    bool all = true;
    for (size_t i = 0; i < questions_len(q, 0); i++) {
        struct question x;
        questions_at(q, 0, i, &x);
        AUTO(mem_free) char *one = plain_answer(q, &x, a);
        AUTO(mem_free) char *other = plain_answer(q, &x, b);
        bool same =
            memcmp(each_a->data + i * ANSWER_LEN, each_b->data + i * ANSWER_LEN, ANSWER_LEN) == 0;
        if (same != str_eq(one, other))
            fail_msg("'%s' %u: '%s', '%s'", x.path, x.kinds, one, other);
        all = all && same;
    }
    return all;
}

static void layers_at_random_answer_alike_exactly_when_each_answer_is_the_same(void **state UNUSED)
{
    unsigned same = 0, other = 0;
    for (uint64_t seed = 1; seed <= 3000; seed++) {
        uint64_t s = seed * 77;
        AUTO(questions_builder_free) struct questions_builder *b = questions_new();
        AUTO(buf_release) struct buf bytes = BUF_INIT;
        AUTO(buf_release) struct buf each_x = BUF_INIT;
        AUTO(buf_release) struct buf each_y = BUF_INIT;
        questions_segment(b);
        ask_at_random(b, "", draw(&s, 4), &s);
        questions_write(b, &bytes);
        AUTO(questions_free) struct questions *q = open_bytes(&bytes);
        assert_canonical(q, bytes.data, bytes.len);
        AUTO(listing_free) struct listing *x = random_layer(seed);
        AUTO(listing_free) struct listing *y = random_layer(seed + 1 + draw(&s, 3));
        struct digest dx = answer_of(q, x, &each_x), dy = answer_of(q, y, &each_y);
        assert_int_equal(each_x.len, questions_len(q, 0) * ANSWER_LEN);
        bool all = compare_answers(q, x, y, &each_x, &each_y);
        assert_int_equal(digest_eq(&dx, &dy), all);
        same += all;
        other += !all;
    }
    assert_true(same > 100 && other > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read_again),
        cmocka_unit_test(a_question_is_found_by_its_path),
        cmocka_unit_test(names_of_xattrs_are_sorted_whichever_came_first),
        cmocka_unit_test(what_cannot_be_asked_is_refused),
        cmocka_unit_test(what_was_refused_leaves_no_trace),
        cmocka_unit_test(more_names_of_xattrs_than_have_a_bit_are_refused),
        cmocka_unit_test(any_byte_may_be_damaged),
        cmocka_unit_test(a_set_that_is_cut_or_longer_is_refused),
        cmocka_unit_test(what_could_be_written_otherwise_is_refused),
        cmocka_unit_test(a_little_cannot_become_very_much),
        cmocka_unit_test(a_file_s_answers_change_with_what_was_asked_alone),
        cmocka_unit_test(a_link_s_answers_change_with_what_was_asked_alone),
        cmocka_unit_test(a_device_s_answers_change_with_its_number),
        cmocka_unit_test(an_xattr_that_was_not_there_may_come),
        cmocka_unit_test(a_list_is_of_names_and_types_and_of_no_more),
        cmocka_unit_test(a_name_that_was_not_there_may_come),
        cmocka_unit_test(a_directory_of_which_only_names_below_are_known_is_there),
        cmocka_unit_test(what_is_no_part_of_served_layers_is_another_answer),
        cmocka_unit_test(a_whole_layer_is_its_content_and_its_links),
        cmocka_unit_test(each_layer_answers_its_own_segment),
        cmocka_unit_test(the_example_of_the_format_s_page_is_right),
        cmocka_unit_test(the_question_that_says_most_is_told),
        cmocka_unit_test(answers_of_another_set_tell_nothing),
        cmocka_unit_test(whole_layers_and_control_characters_are_told),
        cmocka_unit_test(a_change_touches_what_was_asked_about),
        cmocka_unit_test(layers_at_random_answer_alike_exactly_when_each_answer_is_the_same),
    };
    return UNIT_RUN("cache_questions", tests);
}

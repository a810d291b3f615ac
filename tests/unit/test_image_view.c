#include "image/view.h"

#include "tests/unit/image_help.h"

#define VIEW(...)                                            \
    view_new((const struct listing *const[]){ __VA_ARGS__ }, \
             ARRAY_LEN(((const struct listing *const[]){ __VA_ARGS__ })))

static int add_text(void *arg, const struct entry *e, size_t layer, struct err *err)
{
    struct buf *b = arg;
    (void)err;
    buf_addf(b, "%s%c%zu %s", b->len ? "|" : "", e->type, layer, e->path);
    return 0;
}

/* "d0 a|f1 a/f": type, layer and path of what a walk shows. */
static void assert_walk(const struct view *v, const char *path, const char *want)
{
    struct err err = ERR_INIT;
    AUTO(buf_release) struct buf got = BUF_INIT;
    assert_ok(view_walk(v, path, add_text, &got, &err), &err);
    assert_string_equal(buf_str(&got), want);
}

static void an_empty_view_has_a_root(void **state)
{
    (void)state;
    AUTO(view_free) struct view *v = view_new(NULL, 0);
    struct entry e;
    assert_true(view_find(v, "", &e, NULL));
    assert_int_equal(e.type, ENTRY_DIR);
    assert_int_equal(e.mode, 0755);
    assert_false(view_find(v, "x", &e, NULL));
    assert_walk(v, "", "d0 ");
    assert_walk(v, "x", "");
}

static void upper_layers_hide_lower_ones(void **state)
{
    (void)state;
    AUTO(listing_free)
    struct listing *low =
        LISTING(a_dir("d"), a_file("d/a", "1"), a_file("d/b", "1"), a_dir("e"), a_file("e/x", "1"),
                a_dir("o"), a_file("o/x", "1"), a_file("f", "1"), a_dir("g"), a_file("g/x", ""));
    AUTO(listing_free)
    struct listing *mid = LISTING(a_file("d/b", "2"), a_whiteout("e"), an_opaque_dir("o"),
                                  a_file("o/y", "2"), a_dir("f"), a_file("g", "2"));
    AUTO(listing_free)
    struct listing *top =
        LISTING(a_dir("e"), a_file("e/z", "3"), a_whiteout("d/a"), a_file("g/y", "3"));
    AUTO(view_free) struct view *v = VIEW(low, mid, top);
    assert_walk(v, "", "d2 |d0 d|f1 d/b|d2 e|f2 e/z|d1 f|d2 g|f2 g/y|d1 o|f1 o/y");
    assert_walk(v, "o", "d1 o|f1 o/y");
    assert_walk(v, "e/x", "");
    assert_walk(v, "d/b", "f1 d/b");
    struct entry e;
    size_t layer = 9;
    assert_false(view_find(v, "e/x", &e, &layer));
    assert_int_equal(layer, 9);
    assert_true(view_find(v, "d/b", &e, &layer));
    assert_int_equal(layer, 1);
    assert_true(view_find(v, "d/b", NULL, NULL));
    assert_true(view_find(v, "", NULL, NULL)); /* implied */
    assert_false(view_find(v, "e/x", NULL, NULL));
}

static void a_hidden_name_of_a_hard_link_does_not_matter(void **state)
{
    (void)state;
    struct entry e, f = a_file("a", "text");
    AUTO(listing_free) struct listing *low = LISTING(f, a_hardlink("b", "a"));
    AUTO(listing_free) struct listing *top = LISTING(a_whiteout("a"));
    AUTO(view_free) struct view *v = VIEW(low, top);
    assert_true(view_find(v, "b", &e, NULL));
    assert_true(digest_eq(&e.content, &f.content));
    assert_int_equal(e.size, 4);
    assert_false(view_find(v, "a", &e, NULL));
}

static int stop(void *arg, const struct entry *e, size_t layer, struct err *err)
{
    (void)arg, (void)e, (void)layer;
    return err_set(err, ERR_CANCELLED, "enough");
}

static void a_walk_ends_when_told(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    AUTO(listing_free) struct listing *l = LISTING(a_file("a", ""), a_file("b", ""));
    AUTO(view_free) struct view *v = VIEW(l);
    assert_int_equal(view_walk(v, "", stop, NULL, &err), ERR_CANCELLED);
}

/* ---- Against a model: layers applied one after the other to a table of all names ---- */

#define NAMES 3
#define PATHS (1 + NAMES + NAMES * NAMES + NAMES * NAMES * NAMES)

struct thing {
    char type; /* 0: not there */
    size_t layer;
    bool implied; /* a directory that no entry says */
};

struct model {
    char path[PATHS][8];
    struct thing at[PATHS];
};

static int by_path(const void *a, const void *b)
{
    return path_cmp(a, b);
}

static void model_init(struct model *m)
{
    size_t n = 1;
    memset(m, 0, sizeof(*m));
    for (int i = 0; i < NAMES; i++) {
        snprintf(m->path[n++], 8, "%c", "a.b"[i] == '.' ? '-' : "a.b"[i]);
        for (int j = 0; j < NAMES; j++) {
            snprintf(m->path[n++], 8, "%c/%c", "a-b"[i], "a-b"[j]);
            for (int k = 0; k < NAMES; k++)
                snprintf(m->path[n++], 8, "%c/%c/%c", "a-b"[i], "a-b"[j], "a-b"[k]);
        }
    }
    qsort(m->path, PATHS, sizeof(m->path[0]), by_path);
    m->at[0] = (struct thing){ .type = 'd', .implied = true };
}

static void clear_below(struct model *m, size_t i)
{
    for (size_t k = 0; k < PATHS; k++)
        if (path_is_below(m->path[k], m->path[i]))
            m->at[k].type = 0;
}

static void apply_entry(struct model *m, const struct entry *e, size_t layer)
{
    size_t i = 0;
    while (strcmp(m->path[i], e->path) != 0) {
        if (path_is_below(e->path, m->path[i])) {
            struct thing *t = &m->at[i];
            if (t->type != 'd' || t->implied)
                *t = (struct thing){ .type = 'd', .layer = layer, .implied = true };
        }
        i++;
    }
    if (e->type != ENTRY_DIR || e->opaque || m->at[i].type != 'd')
        clear_below(m, i);
    m->at[i] =
        (struct thing){ .type = e->type == ENTRY_WHITEOUT ? 0 : (char)e->type, .layer = layer };
}

static struct listing *random_layer(const struct model *m, unsigned *seed)
{
    struct err err = ERR_INIT;
    AUTO(listing_builder_free) struct listing_builder *b = listing_builder_new();
    AUTO(buf_release) struct buf bytes = BUF_INIT;
    for (int n = rand_r(seed) % 12; n > 0; n--) {
        const char *path = m->path[1 + rand_r(seed) % (PATHS - 1)];
        struct entry kinds[] = { a_dir(path),         a_dir(path),       a_dir(path),
                                 an_opaque_dir(path), a_file(path, "x"), a_link(path, "t"),
                                 a_whiteout(path) };
        struct err none = ERR_INIT;
        (void)listing_builder_add(b, &kinds[rand_r(seed) % 7], &none); /* below a file: refused */
    }
    assert_ok(listing_builder_write(b, &bytes, NULL, &err), &err);
    struct listing *l = listing_open_buf(&bytes, &err);
    if (l == NULL)
        fail_msg("%s", err.msg);
    return l;
}

static void model_walk(const struct model *m, const char *top, struct buf *ret)
{
    for (size_t i = 0; i < PATHS; i++)
        if (m->at[i].type && (strcmp(m->path[i], top) == 0 || path_is_below(m->path[i], top)))
            buf_addf(ret, "%s%c%zu %s", ret->len ? "|" : "", m->at[i].type, m->at[i].layer,
                     m->path[i]);
}

static void compare(const struct view *v, const struct model *m)
{
    struct err err = ERR_INIT;
    for (size_t i = 0; i < PATHS; i++) {
        AUTO(buf_release) struct buf want = BUF_INIT;
        AUTO(strv_release) struct strv names = STRV_INIT;
        struct entry e;
        size_t layer = 0, n = 0;
        bool there = view_find(v, m->path[i], &e, &layer);
        model_walk(m, m->path[i], &want);
        assert_walk(v, m->path[i], buf_str(&want));
        assert_int_equal(there, m->at[i].type != 0);
        if (there)
            assert_true(e.type == (enum entry_type)m->at[i].type && layer == m->at[i].layer);
        if (m->at[i].type != 'd') {
            assert_int_equal(view_children(v, m->path[i], &names, &err), ERR_NOT_FOUND);
            continue;
        }
        assert_ok(view_children(v, m->path[i], &names, &err), &err);
        for (size_t k = 0; k < PATHS; k++)
            n += m->at[k].type && path_is_below(m->path[k], m->path[i]) &&
                 strlen(m->path[k]) == strlen(m->path[i]) + 1 + (i > 0);
        assert_int_equal(names.n, n);
    }
}

static void random_stacks_look_as_if_applied_one_by_one(void **state)
{
    (void)state;
    unsigned seed = 1;
    for (int round = 0; round < 1500; round++) {
        struct listing *layers[5];
        size_t n = (size_t)(1 + rand_r(&seed) % 5);
        struct model m;
        struct entry e;
        model_init(&m);
        for (size_t k = 0; k < n; k++) {
            layers[k] = random_layer(&m, &seed);
            for (size_t i = 0; i < listing_len(layers[k]); i++) {
                listing_at(layers[k], i, &e);
                apply_entry(&m, &e, k);
            }
        }
        AUTO(view_free) struct view *v = view_new((const struct listing *const *)layers, n);
        compare(v, &m);
        for (size_t k = 0; k < n; k++)
            listing_free(layers[k]);
    }
}

static void three_hundred_layers_are_no_trouble(void **state)
{
    (void)state;
    static struct listing *layers[300];
    struct entry e;
    size_t layer = 0;
    for (int k = 0; k < 300; k++) {
        char name[16];
        snprintf(name, sizeof(name), "d/f%d", k);
        layers[k] = LISTING(a_file(name, "x"));
    }
    AUTO(view_free) struct view *v = view_new((const struct listing *const *)layers, 300);
    AUTO(strv_release) struct strv names = STRV_INIT;
    struct err err = ERR_INIT;
    assert_true(view_find(v, "d/f7", &e, &layer));
    assert_int_equal(layer, 7);
    assert_ok(view_children(v, "d", &names, &err), &err);
    assert_int_equal(names.n, 300);
    assert_string_equal(names.v[1], "f1");
    assert_string_equal(names.v[2], "f10");
    for (int k = 0; k < 300; k++)
        listing_free(layers[k]);
}

/* ---- Resolving ---- */

static struct listing *links(void)
{
    return LISTING(a_dir("a"), a_dir("a/b"), a_file("a/b/f", "x"), a_link("abs", "/a/b"),
                   a_link("rel", "a/b/../b"), a_link("up", "../../../a"), a_link("root", "/"),
                   a_link("dead", "/dne/x"), a_link("self", "self"), a_link("a/here", "."),
                   a_link("two", "rel/../../abs"), a_link("slash", "a/b/f/"), a_link("f", "abs/f"));
}

static const struct way {
    const char *path, *real; /* real NULL: an error */
    bool follow;
    size_t missing;
    enum err_code code;
} ways[] = {
    { "", "", true, 0, 0 },
    { "/", "", true, 0, 0 },
    { "a/b/f", "a/b/f", true, 0, 0 },
    { "//a/.//b/../b/f", "a/b/f", true, 0, 0 },
    { "../../../../a/b", "a/b", true, 0, 0 },
    { "abs/f", "a/b/f", true, 0, 0 },
    { "abs", "a/b", true, 0, 0 },
    { "abs", "abs", false, 0, 0 },
    { "abs/", "a/b", false, 0, 0 },
    { "abs/.", "a/b", false, 0, 0 },
    { "rel/../here/b", "a/b", true, 0, 0 },
    { "up/b", "a/b", true, 0, 0 },
    { "root/root/root/a", "a", true, 0, 0 },
    { "root/..", "", true, 0, 0 },
    { "two/f", "a/b/f", true, 0, 0 },
    { "f", "a/b/f", true, 0, 0 },
    { "dead", "dne/x", true, 2, 0 },
    { "dead", "dead", false, 0, 0 },
    { "dead/y/z", "dne/x/y/z", true, 4, 0 },
    { "a/new/deep", "a/new/deep", true, 2, 0 },
    { "a/new/../b", "a/b", true, 0, 0 },
    { "new/../../a/x", "a/x", true, 1, 0 },
    { "self", NULL, true, 0, ERR_CORRUPT },
    { "self/x", NULL, false, 0, ERR_CORRUPT },
    { "a/b/f/x", NULL, true, 0, ERR_NOT_FOUND },
    { "a/b/f/..", NULL, true, 0, ERR_NOT_FOUND },
    { "a/b/f/", NULL, true, 0, ERR_NOT_FOUND },
    { "f/", NULL, true, 0, ERR_NOT_FOUND },
    { "slash", NULL, true, 0, ERR_NOT_FOUND },
};

static void paths_are_resolved_inside_the_root(void **state)
{
    (void)state;
    AUTO(listing_free) struct listing *l = links();
    AUTO(view_free) struct view *v = VIEW(l);
    for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
        AUTO(mem_free) char *real = NULL;
        AUTO(mem_free) char *strict = NULL;
        struct err err = ERR_INIT, none = ERR_INIT;
        size_t missing = 99;
        int code = view_resolve(v, ways[i].path, ways[i].follow, &real, &missing, &err);
        if (code != (int)ways[i].code)
            fail_msg("'%s': %d %s", ways[i].path, code, err.msg);
        if (code < 0)
            continue;
        assert_string_equal(real, ways[i].real);
        assert_int_equal(missing, ways[i].missing);
        code = view_resolve(v, ways[i].path, ways[i].follow, &strict, NULL, &none);
        assert_int_equal(code, missing ? ERR_NOT_FOUND : 0);
    }
}

static void the_255_links_are_counted_over_the_whole_walk(void **state)
{
    (void)state;
    AUTO(listing_free) struct listing *l = LISTING(a_dir("d"), a_link("d/l", "."));
    AUTO(view_free) struct view *v = VIEW(l);
    for (int n = 254; n <= 256; n++) {
        AUTO(buf_release) struct buf path = BUF_INIT;
        AUTO(mem_free) char *real = NULL;
        struct err err = ERR_INIT;
        buf_adds(&path, "d");
        for (int i = 0; i < n; i++)
            buf_adds(&path, "/l");
        int code = view_resolve(v, buf_str(&path), true, &real, NULL, &err);
        assert_int_equal(code, n <= 255 ? 0 : ERR_CORRUPT);
        if (code < 0)
            assert_non_null(strstr(err.msg, "too many levels of symbolic links"));
    }
}

static void a_link_that_an_upper_layer_replaced_is_not_followed(void **state)
{
    (void)state;
    AUTO(listing_free) struct listing *low = LISTING(a_link("l", "a"), a_dir("a"));
    AUTO(listing_free) struct listing *top = LISTING(a_file("l/f", ""));
    AUTO(view_free) struct view *v = VIEW(low, top);
    AUTO(mem_free) char *real = NULL;
    struct err err = ERR_INIT;
    assert_ok(view_resolve(v, "l/f", true, &real, NULL, &err), &err);
    assert_string_equal(real, "l/f");
}

static void carried_content_is_found_through_links(void **state)
{
    (void)state;
    size_t n = 0;
    AUTO(listing_free)
    struct listing *l =
        LISTING(a_file("usr/lib/os-release", "ID=x\n"),
                a_link("etc/os-release", "../usr/lib/os-release"), a_file("other", "text"));
    AUTO(listing_free) struct listing *top = LISTING(a_whiteout("usr"));
    AUTO(view_free) struct view *v = VIEW(l);
    AUTO(view_free) struct view *without = VIEW(l, top);
    const void *text = view_inline(v, "/etc/os-release", &n);
    assert_int_equal(n, 5);
    assert_memory_equal(text, "ID=x\n", 5);
    assert_null(view_inline(v, "other", &n));
    assert_null(view_inline(v, "none", &n));
    assert_null(view_inline(without, "etc/os-release", &n));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_view_has_a_root),
        cmocka_unit_test(upper_layers_hide_lower_ones),
        cmocka_unit_test(a_hidden_name_of_a_hard_link_does_not_matter),
        cmocka_unit_test(a_walk_ends_when_told),
        cmocka_unit_test(random_stacks_look_as_if_applied_one_by_one),
        cmocka_unit_test(three_hundred_layers_are_no_trouble),
        cmocka_unit_test(paths_are_resolved_inside_the_root),
        cmocka_unit_test(the_255_links_are_counted_over_the_whole_walk),
        cmocka_unit_test(a_link_that_an_upper_layer_replaced_is_not_followed),
        cmocka_unit_test(carried_content_is_found_through_links),
    };
    return UNIT_RUN("image_view", tests);
}

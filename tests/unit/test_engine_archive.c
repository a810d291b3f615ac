#include "tests/unit/store_scratch.h"

#include "engine/copy_internal.h"
#include "engine/engine.h"
#include "image/view.h"

/* A build with a context, and an image that consists of "base". */
struct place {
    char path[64];
    int fd;
    struct engine *engine;
    struct build build;
    struct context *context;
    struct build_stage stage;
    struct instr instr;
    struct copy copy;
    struct err err;
};

static void put_file(struct place *p, const char *name, const void *bytes, size_t n)
{
    AUTO(mem_free) char *full = str_printf("ctx/%s", name);
    AUTO(fd_close) int fd = openat(p->fd, full, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    assert_true(fd >= 0);
    assert_ok(fd_write_full(fd, bytes, n, &p->err), &p->err);
}

static void put_tar(struct place *p, const char *name, const struct tar_member *m, size_t n,
                    enum compression how)
{
    AUTO(buf_release) struct buf tar = BUF_INIT;
    AUTO(buf_release) struct buf packed = BUF_INIT;
    tar_make(&tar, m, n);
    compress_buf(&tar, how, &packed);
    put_file(p, name, packed.data, packed.len);
}

static const struct tar_member base[] = {
    { "data/", '5', 0755, 0, 0, NULL, 0, 0 },        { "data/sub/", '5', 0755, 0, 0, NULL, 0, 0 },
    { "data/sub/f", '0', 0644, 3, 4, "old", 0, 0 },  { "data/in", '2', 0777, 0, 0, "sub", 0, 0 },
    { "data/out", '2', 0777, 0, 0, "../etc", 0, 0 }, { "etc/", '5', 0755, 0, 0, NULL, 0, 0 },
};

static void add_base(struct place *p)
{
    AUTO(buf_release) struct buf tar = BUF_INIT;
    tar_make(&tar, base, ARRAY_LEN(base));
    AUTO(source_free) struct source *from = source_mem(tar.data, tar.len);
    const struct layer *l = layer_ingest(p->build.store, from, NULL, 0, NULL, &p->err);
    if (l == NULL)
        fail_msg("%s", p->err.msg);
    state_add_layer(&p->stage.state, l, NULL);
}

static int setup(void **state)
{
    struct place *p = mem_zalloc(sizeof(*p));
    p->fd = scratch_make(p->path);
    AUTO(mem_free) char *root = str_printf("%s/store", p->path);
    AUTO(mem_free) char *ctx = str_printf("%s/ctx", p->path);
    assert_ok(dir_make(p->fd, "ctx", 0755, &p->err), &p->err);
    p->engine = engine_open(root, NULL, NULL, &p->err);
    if (p->engine == NULL)
        fail_msg("%s", p->err.msg);
    p->build = (struct build){ .e = p->engine, .store = engine_store(p->engine) };
    p->context = context_open(ctx, NULL, p->build.store, engine_pool(p->engine),
                              engine_cancel(p->engine), &p->err);
    if (p->context == NULL)
        fail_msg("%s", p->err.msg);
    p->stage.b = &p->build;
    state_init(&p->stage.state);
    add_base(p);
    p->instr.kind = INSTR_ADD;
    strv_add(&p->instr.copy.sources, "t.tar");
    p->copy = (struct copy){ .st = &p->stage, .i = &p->instr, .from.context = p->context };
    p->copy.below = state_view(&p->stage.state);
    p->copy.plan = plan_new(p->build.store, p->copy.below, 0, 0, 0);
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct place *p = *state;
    copy_release(&p->copy);
    strv_release(&p->instr.copy.sources);
    state_release(&p->stage.state);
    context_free(p->context);
    engine_close(p->engine);
    scratch_remove(p->fd, p->path);
    mem_free(p);
    return 0;
}

/* What the context has under name. */
static struct entry find(struct place *p, const char *name)
{
    AUTO(strv_release) struct strv wants = STRV_INIT;
    const struct listing *l;
    struct entry e;
    strv_add(&wants, name);
    assert_ok(context_scan(p->context, &wants, &l, &p->err), &p->err);
    assert_true(listing_find(l, name, &e));
    return e;
}

static int is_archive(struct place *p, const char *name)
{
    struct entry e = find(p, name);
    return copy_is_archive(&p->copy, &e, 0, &p->err);
}

static int unpack(struct place *p, const struct tar_member *m, size_t n, const char *dest)
{
    put_tar(p, "t.tar", m, n, COMPRESSION_NONE);
    struct entry e = find(p, "t.tar");
    assert_ok(copy_add_archive(&p->copy, &e, 0, dest, &p->err), &p->err);
    return copy_unpack_archives(&p->copy, &p->err);
}

static void assert_planned(struct place *p, const char *path, enum entry_type type)
{
    struct entry e;
    if (!plan_find(p->copy.plan, path, &e))
        fail_msg("'%s' is not planned", path);
    assert_int_equal(e.type, type);
}

static const struct tar_member one[] = { { "f", '0', 0644, 0, 0, "x", 0, 0 } };

static void an_archive_is_told_by_its_content(void **state)
{
    struct place *p = *state;
    put_tar(p, "a", one, 1, COMPRESSION_NONE);
    put_tar(p, "b", one, 1, COMPRESSION_GZIP);
    put_tar(p, "c.txt", one, 1, COMPRESSION_ZSTD);
    assert_int_equal(is_archive(p, "a"), 1);
    assert_int_equal(is_archive(p, "b"), 1);
    assert_int_equal(is_archive(p, "c.txt"), 1);
}

static void what_only_looks_like_one_is_a_file(void **state)
{
    struct place *p = *state;
    static const char zeros[10240];
    AUTO(buf_release) struct buf tar = BUF_INIT;
    AUTO(buf_release) struct buf packed = BUF_INIT;
    buf_adds(&tar, "no tar in here, but it is compressed and long enough to be looked at");
    compress_buf(&tar, COMPRESSION_GZIP, &packed);
    put_file(p, "text.tar.gz", packed.data, packed.len);
    put_file(p, "broken.gz", packed.data, packed.len / 2);
    put_file(p, "zeros.tar", zeros, sizeof(zeros));
    put_file(p, "empty.tar", "", 0);
    tar_make(&tar, one, 1);
    tar.data[0] ^= 1;
    put_file(p, "damaged.tar", tar.data, tar.len);
    put_file(p, "short.tar", tar.data, 511);
    static const char *const names[] = { "text.tar.gz", "broken.gz",   "zeros.tar",
                                         "empty.tar",   "damaged.tar", "short.tar" };
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (is_archive(p, names[i]) != 0)
            fail_msg("%s was taken for an archive", names[i]);
}

static void members_go_through_links_that_stay_below_the_destination(void **state)
{
    struct place *p = *state;
    static const struct tar_member m[] = {
        { "in/new", '0', 0644, 0, 0, "x", 0, 0 },
        { "abs", '2', 0777, 0, 0, "/sub/made", 0, 0 },
        { "abs/f", '0', 0644, 0, 0, "y", 0, 0 },
    };
    assert_ok(unpack(p, m, ARRAY_LEN(m), "data"), &p->err);
    assert_planned(p, "data/sub/new", ENTRY_FILE);
    assert_planned(p, "data/sub/made/f", ENTRY_FILE);
    assert_planned(p, "data/abs", ENTRY_LINK);
}

static void a_link_out_of_the_destination_finds_nothing_above_it(void **state)
{
    struct place *p = *state;
    static const struct tar_member m[] = { { "out/f", '0', 0644, 0, 0, "x", 0, 0 } };
    assert_ok(unpack(p, m, 1, "data"), &p->err);
    assert_planned(p, "data/etc/f", ENTRY_FILE);
    assert_false(plan_find(p->copy.plan, "etc/f", NULL));
}

static void names_that_mean_something_in_layers_are_left_out(void **state)
{
    struct place *p = *state;
    static const struct tar_member m[] = {
        { "sub/.wh.f", '0', 0644, 0, 0, "x", 0, 0 },
        { "sub/.wh..wh..opq", '0', 0644, 0, 0, "x", 0, 0 },
        { ".wh.d/", '5', 0755, 0, 0, NULL, 0, 0 },
        { ".wh.d/in", '0', 0644, 0, 0, "x", 0, 0 },
        { "kept", '0', 0644, 0, 0, "x", 0, 0 },
    };
    assert_ok(unpack(p, m, ARRAY_LEN(m), "data"), &p->err);
    assert_planned(p, "data/kept", ENTRY_FILE);
    assert_planned(p, "data/sub/f", ENTRY_FILE);
    assert_false(plan_find(p->copy.plan, "data/sub/.wh.f", NULL));
    assert_false(plan_find(p->copy.plan, "data/.wh.d/in", NULL));
}

static void directories_that_are_only_implied_are_roots(void **state)
{
    struct place *p = *state;
    static const struct tar_member m[] = { { "x/y/f", '0', 0644, 3, 3, "x", 0, 0 } };
    struct entry e;
    p->copy.has_owner = true;
    p->copy.owner = (struct owner){ .uid = 5, .gid = 6 };
    plan_new_owner(p->copy.plan, 5, 6);
    assert_ok(unpack(p, m, 1, "data/made"), &p->err);
    assert_true(plan_find(p->copy.plan, "data/made", &e));
    assert_int_equal(e.uid, 5);
    assert_true(plan_find(p->copy.plan, "data/made/x/y", &e));
    assert_int_equal(e.uid, 0);
    assert_true(plan_find(p->copy.plan, "data/made/x/y/f", &e));
    assert_int_equal(e.uid, 5);
}

static void a_hard_links_header_counts_for_the_file(void **state)
{
    struct place *p = *state;
    static const struct tar_member m[] = {
        { "f", '0', 0644, 1, 1, "x", 0, 0 },
        { "h", '1', 0700, 9, 8, "f", 0, 0 },
    };
    struct entry e;
    assert_ok(unpack(p, m, 2, "data"), &p->err);
    const struct layer *l = plan_make(p->copy.plan, &p->err);
    if (l == NULL)
        fail_msg("%s", p->err.msg);
    assert_true(listing_find(l->listing, "data/f", &e));
    assert_int_equal(e.mode, 0700);
    assert_int_equal(e.uid, 9);
    assert_int_equal(e.gid, 8);
}

static void a_loop_of_links_is_refused(void **state)
{
    struct place *p = *state;
    static const struct tar_member m[] = {
        { "l", '2', 0777, 0, 0, "l", 0, 0 },
        { "l/f", '0', 0644, 0, 0, "x", 0, 0 },
    };
    assert_int_equal(unpack(p, m, 2, "data"), ERR_USAGE);
    assert_non_null(strstr(p->err.msg, "too many levels of symbolic links"));
}

static void members_replace_what_is_in_the_way(void **state)
{
    struct place *p = *state;
    static const struct tar_member m[] = {
        { "sub", '2', 0777, 0, 0, "elsewhere", 0, 0 },
        { "in/", '5', 0711, 0, 0, NULL, 0, 0 },
    };
    assert_ok(unpack(p, m, 2, "data"), &p->err);
    assert_planned(p, "data/sub", ENTRY_LINK);
    assert_planned(p, "data/in", ENTRY_DIR);
    assert_false(plan_find(p->copy.plan, "data/sub/f", NULL));
}

static void a_hard_link_reaches_a_file_of_the_image(void **state)
{
    struct place *p = *state;
    static const struct tar_member m[] = { { "h", '1', 0644, 0, 0, "sub/f", 0, 0 } };
    struct entry e;
    assert_ok(unpack(p, m, 1, "data"), &p->err);
    const struct layer *l = plan_make(p->copy.plan, &p->err);
    if (l == NULL)
        fail_msg("%s", p->err.msg);
    assert_true(listing_find(l->listing, "data/h", &e));
    assert_int_equal(e.uid, 0);
    assert_int_equal(e.size, 3);
    assert_true(listing_find(l->listing, "data/sub/f", &e));
    assert_string_equal(e.hardlink, "data/h");
}

static void a_hard_link_to_nothing_is_refused(void **state)
{
    struct place *p = *state;
    static const struct tar_member m[] = { { "h", '1', 0644, 0, 0, "nope", 0, 0 } };
    assert_int_equal(unpack(p, m, 1, "data"), ERR_USAGE);
    assert_string_equal(
        p->err.msg, "cannot unpack 't.tar': 'data/h': hard link to 'nope', which is no file there");
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

static void an_archive_waits_until_the_layer_is_made_only_when_it_is_alone(void **state)
{
    struct place *p = *state;
    const struct tar_member m[] = { { "f", '0', 0644, 0, 0, "new", 0, 0 } };
    put_tar(p, "t.tar", m, 1, COMPRESSION_NONE);
    struct entry e = find(p, "t.tar");
    assert_ok(copy_add_archive(&p->copy, &e, 0, "data", &p->err), &p->err);
    assert_int_equal(p->copy.n_archives, 1);
    assert_false(plan_find(p->copy.plan, "data/f", NULL));
    strv_add(&p->instr.copy.sources, "f");
    assert_ok(copy_add_archive(&p->copy, &e, 0, "etc", &p->err), &p->err);
    assert_int_equal(p->copy.n_archives, 1);
    assert_planned(p, "etc/f", ENTRY_FILE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(an_archive_is_told_by_its_content),
        CASE(what_only_looks_like_one_is_a_file),
        CASE(members_go_through_links_that_stay_below_the_destination),
        CASE(a_link_out_of_the_destination_finds_nothing_above_it),
        CASE(names_that_mean_something_in_layers_are_left_out),
        CASE(directories_that_are_only_implied_are_roots),
        CASE(a_hard_links_header_counts_for_the_file),
        CASE(a_loop_of_links_is_refused),
        CASE(members_replace_what_is_in_the_way),
        CASE(a_hard_link_reaches_a_file_of_the_image),
        CASE(a_hard_link_to_nothing_is_refused),
        CASE(an_archive_waits_until_the_layer_is_made_only_when_it_is_alone),
    };
    return UNIT_RUN("engine_archive", tests);
}

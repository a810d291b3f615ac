#include "tests/unit/image_help.h"
#include "tests/unit/store_scratch.h"

#include "cmd/looked_at.h"
#include "store/blob.h"

struct ask {
    const char *path;
    unsigned kinds;
};

#define FOUND QUESTION_EXIST

static struct step_report a_step(void)
{
    static char kind[] = "run", stage[] = "build";
    struct step_report r = {
        .kind = kind, .stage = stage, .number = 3, .total = 4, .has_key = true
    };
    r.key.d.b[0] = 7;
    return r;
}

static void put_listing(struct scratch *x, const struct entry *entries, size_t n,
                        struct blob_id *ret)
{
    AUTO(listing_builder_free) struct listing_builder *b = listing_builder_new();
    AUTO(buf_release) struct buf bytes = BUF_INIT;
    for (size_t i = 0; i < n; i++)
        assert_ok(listing_builder_add(b, &entries[i], &x->err), &x->err);
    assert_ok(listing_builder_write(b, &bytes, NULL, &x->err), &x->err);
    assert_ok(blob_put(x->store, bytes.data, bytes.len, ret, &x->err), &x->err);
}

/* A segment for each row of asks, which ends with one without a path. ids: of the layers; NULL:
 * they were not kept. */
static void observe(struct scratch *x, const struct ask *const *asks, size_t n,
                    const struct blob_id *ids)
{
    static const char *const caps[] = { "security.capability" };
    AUTO(questions_builder_free) struct questions_builder *b = questions_new();
    AUTO(buf_release) struct buf bytes = BUF_INIT;
    struct trace t = { .n_files = 656, .n_read = 1, .requests = 42 };
    for (size_t s = 0; s < n; s++) {
        questions_segment(b);
        for (const struct ask *a = asks[s]; a->path != NULL; a++)
            assert_ok(questions_add(b, a->path, a->kinds, caps, (a->kinds & QUESTION_XATTR) != 0,
                                    &x->err),
                      &x->err);
    }
    questions_write(b, &bytes);
    assert_ok(blob_put(x->store, bytes.data, bytes.len, &t.questions, &x->err), &x->err);
    if (ids != NULL)
        assert_ok(blob_put(x->store, ids, n * sizeof(*ids), &t.layers, &x->err), &x->err);
    t.run.b[0] = 1;
    t.key = a_step().key;
    assert_ok(trace_put(x->store, &t, &x->err), &x->err);
}

static void load(struct scratch *x, struct looked_at *ret)
{
    struct step_report r = a_step();
    assert_ok(looked_at_load(x->store, &r, ret, &x->err), &x->err);
}

static void words_say_what_was_asked_for_last(UNUSED void **state)
{
    static const struct {
        unsigned kinds;
        const char *words;
    } rows[] = {
        { FOUND, "exist" },
        { FOUND | QUESTION_STAT, "stat" },
        { FOUND | QUESTION_STAT | QUESTION_READ, "read" },
        { FOUND | QUESTION_STAT | QUESTION_LIST, "list" },
        { FOUND | QUESTION_LINK, "link" },
        { QUESTION_NEG, "absent" },
        { QUESTION_WHOLE, "whole" },
        { FOUND | QUESTION_READ | QUESTION_XATTR, "read,xattr" },
        { FOUND | QUESTION_XLIST, "exist,xlist" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO(buf_release) struct buf b = BUF_INIT;
        struct question q = { .path = "x", .kinds = rows[i].kinds };
        looked_at_words(&q, &b);
        assert_string_equal(buf_str(&b), rows[i].words);
    }
}

static void a_summary_has_each_path_once_by_kind(void **state)
{
    static const struct ask lower[] = { { "app", FOUND },
                                        { "app/d", FOUND | QUESTION_LIST },
                                        { "app/link", FOUND | QUESTION_LINK },
                                        { "app/no\x1b", QUESTION_NEG },
                                        { NULL, 0 } },
                            upper[] = { { "app", FOUND },
                                        { "app/a", FOUND | QUESTION_READ },
                                        { "app/d", QUESTION_NEG },
                                        { NULL, 0 } };
    struct scratch *x = *state;
    AUTO(looked_at_release) struct looked_at l = { .questions = NULL };
    AUTO(buf_release) struct buf b = BUF_INIT;
    struct step_report r = a_step();
    observe(x, (const struct ask *const[]){ lower, upper }, 2, NULL);
    load(x, &l);
    looked_at_summary(&l, &r, &b);
    assert_string_equal(buf_str(&b), "\nlooked at the copied files: read 1 of 656\n"
                                     "  read        /app/a\n"
                                     "  looked at   /app\n"
                                     "  listed      /app/d\n"
                                     "  links       /app/link\n"
                                     "  not found   /app/no\\x1b\n");
}

static void of_many_paths_the_first_are_shown(void **state)
{
    struct scratch *x = *state;
    struct ask asks[24] = { { NULL, 0 } };
    char paths[23][8];
    AUTO(looked_at_release) struct looked_at l = { .questions = NULL };
    AUTO(buf_release) struct buf b = BUF_INIT;
    struct step_report r = a_step();
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        snprintf(paths[i], sizeof(paths[i]), "f%02zu", i);
        asks[i] = (struct ask){ paths[i], FOUND | QUESTION_READ };
    }
    observe(x, (const struct ask *const[]){ asks }, 1, NULL);
    load(x, &l);
    looked_at_summary(&l, &r, &b);
    assert_non_null(strstr(buf_str(&b), "  read        /f00\n              /f01\n"));
    assert_non_null(strstr(buf_str(&b), "/f19\n              and 3 more; shale trace build:3 shows"
                                        " all\n"));
    assert_null(strstr(buf_str(&b), "/f20"));
}

static void files_are_read_seen_or_never_looked_at(void **state)
{
    static const struct ask first[] = { { "d", FOUND | QUESTION_LIST },
                                        { "d/e", FOUND | QUESTION_STAT },
                                        { "d/link", FOUND | QUESTION_LINK },
                                        { "r", FOUND | QUESTION_READ },
                                        { NULL, 0 } },
                            second[] = { { "", QUESTION_WHOLE }, { NULL, 0 } };
    static const struct {
        size_t segment;
        const char *path, *look;
    } rows[] = { { 0, "r", "read" },        { 0, "d/link", "read" },    { 0, "d/e", "seen" },
                 { 0, "d/x", "seen" },      { 0, "d/e/deep", "never" }, { 0, "other", "never" },
                 { 1, "anything", "whole" } };
    struct scratch *x = *state;
    AUTO(looked_at_release) struct looked_at l = { .questions = NULL };
    observe(x, (const struct ask *const[]){ first, second }, 2, NULL);
    load(x, &l);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_string_equal(look_name(looked_at_file(&l, rows[i].segment, rows[i].path)),
                            rows[i].look);
}

static void the_root_is_listed_like_any_directory(void **state)
{
    static const struct ask asks[] = { { "", FOUND | QUESTION_LIST }, { NULL, 0 } };
    struct scratch *x = *state;
    AUTO(looked_at_release) struct looked_at l = { .questions = NULL };
    observe(x, (const struct ask *const[]){ asks }, 1, NULL);
    load(x, &l);
    assert_int_equal(looked_at_file(&l, 0, "a"), LOOK_SEEN);
    assert_int_equal(looked_at_file(&l, 0, "a/b"), LOOK_NEVER);
}

static void the_layers_are_those_of_the_run(void **state)
{
    static const struct ask none[] = { { NULL, 0 } };
    struct scratch *x = *state;
    struct blob_id ids[2];
    const struct entry one[] = { a_file("a", "1") }, two[] = { a_dir("b"), a_file("b/c", "2") };
    AUTO(looked_at_release) struct looked_at l = { .questions = NULL };
    put_listing(x, one, 1, &ids[0]);
    put_listing(x, two, 2, &ids[1]);
    observe(x, (const struct ask *const[]){ none, none }, 2, ids);
    load(x, &l);
    assert_ok(looked_at_layers(x->store, &l, &x->err), &x->err);
    assert_int_equal(l.n_layers, 2);
    assert_true(listing_find(l.layers[0], "a", NULL));
    assert_true(listing_find(l.layers[1], "b/c", NULL));
}

static void layers_that_are_gone_are_an_error(void **state)
{
    static const struct ask none[] = { { NULL, 0 } };
    struct scratch *x = *state;
    const struct blob_id gone = { .d.b[0] = 1 };
    AUTO(looked_at_release) struct looked_at l = { .questions = NULL };
    observe(x, (const struct ask *const[]){ none }, 1, &gone);
    load(x, &l);
    assert_int_equal(looked_at_layers(x->store, &l, &x->err), ERR_NOT_FOUND);
    assert_string_equal(x->err.msg, "the layers that it looked at are gone");
}

static void a_file_that_is_compared_whole_has_its_name(void **state)
{
    static const struct ask first[] = { { "a", FOUND | QUESTION_READ }, { NULL, 0 } },
                            second[] = { { "", QUESTION_WHOLE }, { NULL, 0 } };
    const struct entry one[] = { a_file("a", "1") }, two[] = { a_dir("d"), a_file("d/b", "2") };
    struct scratch *x = *state;
    struct blob_id ids[2];
    struct question q;
    struct step_report r = a_step();
    AUTO(looked_at_release) struct looked_at l = { .questions = NULL };
    AUTO(buf_release) struct buf b = BUF_INIT;
    put_listing(x, one, 1, &ids[0]);
    put_listing(x, two, 2, &ids[1]);
    observe(x, (const struct ask *const[]){ first, second }, 2, ids);
    load(x, &l);
    looked_at_summary(&l, &r, &b);
    assert_string_equal(buf_str(&b), "\nlooked at the copied files: read 1 of 656\n"
                                     "  read        /a\n"
                                     "  whole       /d/b\n");
    assert_true(questions_find(l.questions, 1, "", &q));
    json_auto_t *j = question_json(&l, 1, &q);
    assert_string_equal(json_string_value(json_object_get(j, "path")), "/d/b");
    assert_int_equal(json_integer_value(json_object_get(j, "layer")), 2);
}

static void where_the_layer_is_gone_the_whole_has_no_name(void **state)
{
    static const struct ask asks[] = { { "", QUESTION_WHOLE }, { NULL, 0 } };
    struct scratch *x = *state;
    struct question q;
    AUTO(looked_at_release) struct looked_at l = { .questions = NULL };
    observe(x, (const struct ask *const[]){ asks }, 1, NULL);
    load(x, &l);
    assert_true(questions_find(l.questions, 0, "", &q));
    assert_string_equal(looked_at_about(&l, 0, &q), "");
    assert_int_equal(looked_at_layers(x->store, &l, &x->err), ERR_NOT_FOUND);
}

static void notes_say_what_is_known_of_the_run(void **state)
{
    static const struct ask none[] = { { NULL, 0 } };
    static const struct {
        struct trace_run known;
        const char *text;
    } rows[] = {
        { { .traced = 9, .wide = 2, .requests = 50001, .hits = 1 }, "" },
        { { .traced = 2, .requests = 50001 }, "" },
        { { .not_reproducible = true }, "\ntwo runs of it differed: it is not reproducible\n" },
        { { .wide = 3 }, "\nit reads nearly everything, and is not observed for now\n" },
        { { .traced = 3, .requests = 50001 },
          "\nit asks very much and was never reused, and is not observed for now\n" },
        { { .wide = 4, .not_reproducible = true },
          "\ntwo runs of it differed: it is not reproducible\n"
          "it reads nearly everything, and is not observed for now\n" },
    };
    struct scratch *x = *state;
    const struct digest run = { .b[0] = 1 };
    observe(x, (const struct ask *const[]){ none }, 1, NULL);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO(looked_at_release) struct looked_at l = { .questions = NULL };
        AUTO(buf_release) struct buf b = BUF_INIT;
        assert_ok(trace_run_put(x->store, &run, &rows[i].known, &x->err), &x->err);
        load(x, &l);
        looked_at_notes_text(&l, &b);
        assert_string_equal(buf_str(&b), rows[i].text);
    }
}

static void a_step_without_a_trace_says_so(void **state)
{
    struct scratch *x = *state;
    struct step_report r = a_step();
    AUTO(looked_at_release) struct looked_at l = { .questions = NULL };
    assert_int_equal(looked_at_load(x->store, &r, &l, &x->err), ERR_NOT_FOUND);
    assert_string_equal(x->err.msg, "nothing is known of what [build 3/4] looked at");
    r.kind = NULL;
    err_clear(&x->err);
    assert_int_equal(looked_at_load(x->store, &r, &l, &x->err), ERR_NOT_FOUND);
    assert_string_equal(x->err.msg, "[build 3/4] is no RUN: only commands look at files");
}

int main(void)
{
#define CASE(fn) cmocka_unit_test_setup_teardown(fn, scratch_setup, scratch_teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_say_what_was_asked_for_last),
        CASE(a_summary_has_each_path_once_by_kind),
        CASE(of_many_paths_the_first_are_shown),
        CASE(files_are_read_seen_or_never_looked_at),
        CASE(the_root_is_listed_like_any_directory),
        CASE(the_layers_are_those_of_the_run),
        CASE(layers_that_are_gone_are_an_error),
        CASE(a_file_that_is_compared_whole_has_its_name),
        CASE(where_the_layer_is_gone_the_whole_has_no_name),
        CASE(notes_say_what_is_known_of_the_run),
        CASE(a_step_without_a_trace_says_so),
    };
    return UNIT_RUN("cmd_looked_at", tests);
}

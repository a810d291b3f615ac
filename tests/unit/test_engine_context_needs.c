#include "tests/unit/image_help.h"
#include "tests/unit/store_scratch.h"

#include "cache/questions.h"
#include "engine/context_places_internal.h"
#include "store/blob.h"
#include "store/trace.h"

/* Two layers: "a" of app/a .. app/d/e, "b" of b/x. Their files in the context are called the same.
 */
struct site {
    struct layer a, b;
    struct context_places *p;
    struct run_note *run;
    struct step_report report;
    struct unused ret;
};

static void place_all(struct site *t, const struct layer *l, const char *paths)
{
    AUTO(strv_release) struct strv all = STRV_INIT;
    strv_split(&all, paths, ' ');
    for (size_t i = 0; i < all.n; i++)
        context_place(t->p, l, all.v[i], context_used(t->p, all.v[i]));
}

static void stand_on(struct site *t, const struct layer *l, bool is_soft, bool is_whole)
{
    struct holder h = { .is = l, .layer = l, .is_soft = is_soft, .is_whole = is_whole };
    context_stands_on(t->run, &h);
}

static void begin(struct site *t)
{
    static char stage[] = "build";
    *t = (struct site){ .p = context_places_new(), .run = mem_zalloc(sizeof(struct run_note)) };
    t->a.listing_id.d.b[0] = 'a';
    t->b.listing_id.d.b[0] = 'b';
    t->report = (struct step_report){ .stage = stage, .number = 2, .total = 3, .has_key = true };
    t->report.key.d.b[0] = 'k';
    t->run->report = &t->report;
    MEM_ROOM(t->p->runs, t->p->n_runs, t->p->cap_runs);
    t->p->runs[t->p->n_runs++] = t->run;
    place_all(t, &t->a, "app app/a app/b app/d app/d/e app/d/f");
    place_all(t, &t->b, "b b/x");
}

/* The needed ones of the context; the site is over. */
static void check(struct scratch *x, struct site *t, const char *want)
{
    AUTO(strv_release) struct strv needed = STRV_INIT;
    const char *path;
    void *value;
    context_need_looked_at(t->p, x->store, t->run, &t->ret);
    for (size_t i = 0; map_next(t->p->used, &i, &path, &value);)
        if (((const struct used *)value)->needed)
            strv_add(&needed, path);
    AUTO(mem_free) char *got = strv_join(&needed, " ");
    assert_string_equal(got, want);
    context_places_free(t->p);
    unused_release(&t->ret);
}

struct ask {
    const char *path;
    unsigned kinds;
};

/* The trace of the site's step: n segments, all questions in the last. layers: names of those that
 * were observed then. */
static void observe(struct scratch *x, size_t n, const struct ask *asks, size_t n_asks,
                    const char *layers)
{
    AUTO(questions_builder_free) struct questions_builder *b = questions_new();
    AUTO(buf_release) struct buf bytes = BUF_INIT, ids = BUF_INIT;
    struct trace t = { .n_files = 3 };
    for (size_t i = 0; i < n; i++)
        questions_segment(b);
    for (size_t i = 0; i < n_asks; i++)
        assert_ok(questions_add(b, asks[i].path, asks[i].kinds, NULL, 0, &x->err), &x->err);
    questions_write(b, &bytes);
    for (; *layers != '\0'; layers++) {
        struct blob_id id = { .d.b[0] = (uint8_t)*layers };
        buf_add(&ids, &id, sizeof(id));
    }
    assert_ok(blob_put(x->store, bytes.data, bytes.len, &t.questions, &x->err), &x->err);
    assert_ok(blob_put(x->store, buf_str(&ids), ids.len, &t.layers, &x->err), &x->err);
    t.run.b[0] = 'r';
    t.key.d.b[0] = 'k';
    assert_ok(trace_put(x->store, &t, &x->err), &x->err);
}

static void what_was_asked_about_is_needed(void **state)
{
    static const struct ask asks[] = { { "app", QUESTION_EXIST },
                                       { "app/a", QUESTION_EXIST | QUESTION_STAT | QUESTION_READ },
                                       { "app/d", QUESTION_EXIST | QUESTION_LIST },
                                       { "app/none", QUESTION_NEG } };
    struct scratch *x = *state;
    struct site t;
    begin(&t);
    stand_on(&t, &t.a, true, false);
    observe(x, 1, asks, 4, "a");
    check(x, &t, "app app/a app/d app/d/e app/d/f");
}

static void a_name_that_was_not_found_needs_nothing(void **state)
{
    static const struct ask asks[] = { { "app", QUESTION_NEG }, { "b", QUESTION_NEG } };
    struct scratch *x = *state;
    struct site t;
    begin(&t);
    stand_on(&t, &t.a, true, false);
    observe(x, 1, asks, 2, "a");
    check(x, &t, "");
}

static void a_listed_root_needs_what_is_in_it_alone(void **state)
{
    static const struct ask asks[] = { { "", QUESTION_LIST } };
    struct scratch *x = *state;
    struct site t;
    begin(&t);
    stand_on(&t, &t.a, true, false);
    observe(x, 1, asks, 1, "a");
    check(x, &t, "app");
}

static void a_layer_that_enters_whole_is_needed(void **state)
{
    static const struct ask asks[] = { { "", QUESTION_WHOLE } };
    struct scratch *x = *state;
    struct site t;
    begin(&t);
    stand_on(&t, &t.b, true, false);
    observe(x, 1, asks, 1, "b");
    check(x, &t, "b b/x");
}

static void a_command_that_was_not_observed_needs_all_that_it_stands_on(void **state)
{
    struct scratch *x = *state;
    struct site t;
    begin(&t);
    stand_on(&t, &t.b, true, false);
    context_need_looked_at(t.p, x->store, t.run, &t.ret);
    assert_int_equal(t.ret.unobserved.n, 1);
    assert_string_equal(t.ret.unobserved.v[0], "[build 2/3]");
    check(x, &t, "b b/x");
}

static void a_command_without_copied_files_is_not_named(void **state)
{
    struct scratch *x = *state;
    struct layer base = { .tar_size = 1 };
    struct site t;
    begin(&t);
    stand_on(&t, &base, false, false);
    context_need_looked_at(t.p, x->store, t.run, &t.ret);
    assert_int_equal(t.ret.unobserved.n, 0);
    check(x, &t, "");
}

/* After a reuse the trace has the layers of the run that it was reused from. */
static void layers_of_another_run_are_told_by_their_number(void **state)
{
    static const struct ask asks[] = { { "b/x", QUESTION_READ } };
    struct scratch *x = *state;
    struct site t;
    begin(&t);
    stand_on(&t, &t.a, true, false);
    stand_on(&t, &t.b, true, false);
    observe(x, 2, asks, 1, "cd");
    check(x, &t, "b/x");
}

static void a_layer_that_may_not_have_been_observed_counts_whole(void **state)
{
    static const struct ask asks[] = { { "b/x", QUESTION_READ } };
    struct scratch *x = *state;
    struct site t;
    begin(&t);
    stand_on(&t, &t.a, true, false);
    stand_on(&t, &t.b, true, false);
    observe(x, 1, asks, 1, "a");
    check(x, &t, "b b/x");
    begin(&t);
    stand_on(&t, &t.a, true, false);
    stand_on(&t, &t.b, true, false);
    observe(x, 1, asks, 1, "c");
    check(x, &t, "app app/a app/b app/d app/d/e app/d/f b b/x");
}

static void what_a_cache_begins_with_counts_whole(void **state)
{
    struct scratch *x = *state;
    struct site t;
    begin(&t);
    stand_on(&t, &t.a, true, false);
    stand_on(&t, &t.b, false, true);
    observe(x, 1, NULL, 0, "a");
    check(x, &t, "b b/x");
}

int main(void)
{
#define CASE(fn) cmocka_unit_test_setup_teardown(fn, scratch_setup, scratch_teardown)
    const struct CMUnitTest tests[] = {
        CASE(what_was_asked_about_is_needed),
        CASE(a_name_that_was_not_found_needs_nothing),
        CASE(a_listed_root_needs_what_is_in_it_alone),
        CASE(a_layer_that_enters_whole_is_needed),
        CASE(a_command_that_was_not_observed_needs_all_that_it_stands_on),
        CASE(a_command_without_copied_files_is_not_named),
        CASE(layers_of_another_run_are_told_by_their_number),
        CASE(a_layer_that_may_not_have_been_observed_counts_whole),
        CASE(what_a_cache_begins_with_counts_whole),
    };
    return UNIT_RUN("engine_context_needs", tests);
}

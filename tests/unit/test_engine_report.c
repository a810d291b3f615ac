#include "tests/unit/unit.h"

#include "engine/build_internal.h"
#include "engine/report.h"
#include "engine/why.h"

static struct step_report *add(struct build_report *r, const char *stage, int number,
                               const char *text)
{
    struct step_report *s = build_report_add(r);
    s->stage = str_dup(stage);
    s->number = number;
    s->total = 9;
    s->text = str_dup(text);
    s->source = str_dup(text);
    return s;
}

static void what_is_written_is_read_back(void **state UNUSED)
{
    AUTO(build_report_release) struct build_report r = { .v = NULL };
    AUTO(build_report_release) struct build_report got = { .v = NULL };
    AUTO(buf_release) struct buf text = BUF_INIT;
    struct err err = ERR_INIT;
    struct step_report *s = add(&r, "build", 2, "RUN echo \"\xff\"");
    s->answer = STEP_MADE;
    s->line = 7;
    s->kind = str_dup("run");
    s->why = str_dup("because");
    s->change = str_dup("a → b");
    s->cost_ms = 12;
    s->has_key = s->has_before = true;
    digest_of("k", 1, &s->key.d);
    digest_of("b", 1, &s->before.d);
    add(&r, "", 3, "COPY a b")->fields = str_dup("version: 2\n");
    struct step_report *reused = add(&r, "", 4, "RUN x");
    reused->answer = STEP_REUSED;
    reused->reused = str_dup("read 1 of 656 copied files");
    build_report_write(&r, &text);
    assert_ok(build_report_read(text.data, text.len, &got, &err), &err);
    assert_int_equal(got.n, 3);
    const struct step_report *x = got.v[0];
    assert_string_equal(x->stage, "build");
    assert_true(x->number == 2 && x->total == 9 && x->line == 7 && x->cost_ms == 12);
    assert_int_equal(x->answer, STEP_MADE);
    assert_string_equal(x->kind, "run");
    assert_string_equal(x->why, "because");
    assert_string_equal(x->change, "a → b");
    assert_true(x->has_key && digest_eq(&x->key.d, &s->key.d));
    assert_true(x->has_before && digest_eq(&x->before.d, &s->before.d));
    assert_string_equal(got.v[1]->source, "COPY a b");
    assert_string_equal(got.v[1]->fields, "version: 2\n");
    assert_int_equal(got.v[2]->answer, STEP_REUSED);
    assert_string_equal(got.v[2]->reused, "read 1 of 656 copied files");
    assert_true(!got.v[1]->has_key && got.v[1]->reused == NULL && got.v[1]->cost_ms == -1 &&
                got.v[1]->kind == NULL);
}

static void what_is_no_report_is_refused(void **state UNUSED)
{
    static const char *const bad[] = {
        "",
        "[]",
        "{\"version\":1}",
        "{\"version\":2,\"steps\":[]}",
        "{\"version\":1,\"steps\":[{\"stage\":\"\",\"instruction\":\"x\",\"answer\":\"odd\"}]}",
        "{\"version\":1,\"steps\":[{\"answer\":\"made\"}]}",
        "{\"version\":1,\"steps\":[7]}",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        AUTO(build_report_release) struct build_report r = { .v = NULL };
        struct err err = ERR_INIT;
        assert_int_equal(build_report_read(bad[i], strlen(bad[i]), &r, &err), ERR_CORRUPT);
        assert_int_equal(r.n, 0);
    }
}

static void steps_are_moved_and_counted(void **state UNUSED)
{
    AUTO(build_report_release) struct build_report a = { .v = NULL };
    AUTO(build_report_release) struct build_report b = { .v = NULL };
    AUTO(buf_release) struct buf place = BUF_INIT;
    add(&a, "x", 1, "A")->answer = STEP_CACHED;
    struct step_report *kept = add(&b, "", 2, "B");
    kept->answer = STEP_CACHED;
    build_report_move(&a, &b);
    assert_int_equal(b.n, 0);
    assert_int_equal(a.n, 2);
    assert_ptr_equal(a.v[1], kept);
    assert_int_equal(build_report_count(&a, STEP_CACHED), 2);
    add(&a, "", 3, "C")->answer = STEP_REUSED;
    add(&a, "", 4, "D")->answer = STEP_MADE;
    assert_int_equal(build_report_count(&a, STEP_CACHED), 2);
    assert_int_equal(build_report_known(&a), 3);
    step_report_place(a.v[0], &place);
    step_report_place(a.v[1], &place);
    assert_string_equal(place.data, "[x 1/9][2/9]");
}

/* Reasons. */

struct world {
    struct state state;
    struct build_report report;
};

static char *why(struct world *w, const char *before, const char *now)
{
    AUTO(key_fields_release) struct key_fields a = { .v = NULL };
    AUTO(key_fields_release) struct key_fields b = { .v = NULL };
    AUTO(buf_release) struct buf ret = BUF_INIT;
    key_fields_parse(before, strlen(before), &a);
    key_fields_parse(now, strlen(now), &b);
    why_fields(&a, &b, &w->state, &ret);
    return buf_take(&ret);
}

static int world_setup(void **state)
{
    struct world *w = mem_zalloc(sizeof(*w));
    state_init(&w->state);
    *state = w;
    return 0;
}

static int world_teardown(void **state)
{
    struct world *w = *state;
    state_release(&w->state);
    build_report_release(&w->report);
    mem_free(w);
    return 0;
}

static void a_variable_is_an_arg_unless_env_says_so(void **state)
{
    struct world *w = *state;
    state_declare_arg(&w->state, "A", NULL);
    state_declare_arg(&w->state, "B", NULL);
    env_set(&w->state.config.env, "B", "2");
    AUTO(mem_free) char *a = why(w, "run.env: A=1\n", "run.env: A=2\n");
    AUTO(mem_free) char *b = why(w, "run.env: B=1\n", "run.env: B=2\n");
    assert_string_equal(a, "ARG A 1 → 2");
    assert_string_equal(b, "ENV B 1 → 2");
}

static void long_values_are_cut_between_characters(void **state)
{
    struct world *w = *state;
    AUTO(mem_free)
    char *got = why(w, "run.env: A=\n", "run.env: A=123456789012345678901234567890123456789ü12\n");
    assert_string_equal(got, "ENV A \"\" → 123456789012345678901234567890123456789…");
}

static void several_reasons_are_one_line(void **state)
{
    struct world *w = *state;
    AUTO(mem_free)
    char *got = why(w,
                    "run.argv: a\nrun.argv: b\nrun.user: 1\nrun.cwd: /a\nrun.network: 0\n"
                    "mount.type: bind\n",
                    "run.argv: a\nrun.argv: c\nrun.user: 2\nrun.cwd: /b\nrun.network: 1\n"
                    "mount.type: tmpfs\n");
    assert_string_equal(got,
                        "the command changed; USER 1 → 2; working directory /a → /b; and 2 more");
}

static void the_order_of_variables_is_a_reason(void **state)
{
    struct world *w = *state;
    AUTO(mem_free)
    char *got = why(w, "run.env: A=1\nrun.env: B=1\n", "run.env: B=1\nrun.env: A=1\n");
    assert_string_equal(got, "the order of its variables changed");
}

static void the_lowest_layer_that_differs_says_why(void **state)
{
    struct world *w = *state;
    struct layer layer = { .tar_size = 0 };
    struct step_report *copy = add(&w->report, "", 2, "COPY . .");
    struct step_report *run = add(&w->report, "", 3, "RUN make");
    state_add_layer(&w->state, &layer, NULL);
    state_add_layer(&w->state, &layer, copy);
    state_add_layer(&w->state, &layer, run);
    copy->change = str_dup("a changed");
    copy->has_before = run->has_before = true;
    AUTO(mem_free) char *base = why(w, "below: 1\nbelow: 2\n", "below: 0\nbelow: 2\n");
    AUTO(mem_free)
    char *files = why(w, "below: 1\nbelow: 2\nbelow: 3\n", "below: 1\nbelow: 0\nbelow: 4\n");
    AUTO(mem_free)
    char *other = why(w, "below: 1\nbelow: 2\nbelow: 3\n", "below: 1\nbelow: 2\nbelow: 4\n");
    AUTO(mem_free)
    char *fewer =
        why(w, "below: 1\nbelow: 2\nbelow: 3\nbelow: 4\n", "below: 1\nbelow: 2\nbelow: 3\n");
    run->has_before = false;
    AUTO(mem_free) char *added = why(w, "below: 1\nbelow: 2\n", "below: 1\nbelow: 2\nbelow: 3\n");
    assert_string_equal(base, "base image is another one");
    assert_string_equal(files, "a changed (COPY . .)");
    assert_string_equal(other, "other files were made by RUN make");
    assert_string_equal(fewer, "there are fewer steps before it");
    assert_string_equal(added, "new before it: RUN make");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read_back),
        cmocka_unit_test(what_is_no_report_is_refused),
        cmocka_unit_test(steps_are_moved_and_counted),
        cmocka_unit_test_setup_teardown(a_variable_is_an_arg_unless_env_says_so, world_setup,
                                        world_teardown),
        cmocka_unit_test_setup_teardown(long_values_are_cut_between_characters, world_setup,
                                        world_teardown),
        cmocka_unit_test_setup_teardown(several_reasons_are_one_line, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(the_order_of_variables_is_a_reason, world_setup,
                                        world_teardown),
        cmocka_unit_test_setup_teardown(the_lowest_layer_that_differs_says_why, world_setup,
                                        world_teardown),
    };
    return UNIT_RUN("engine_report", tests);
}

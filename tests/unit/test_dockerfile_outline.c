/* What a target takes from outside. */
#include "dockerfile/outline.h"
#include "tests/unit/unit.h"
#include <string.h>

static void base_env(void *arg UNUSED, const char *name, struct strv *ret)
{
    if (str_eq(name, "known"))
        env_set(ret, "LANG", "C");
}

struct made {
    struct dockerfile *df;
    struct outline o;
    struct strv given;
};

static void made_release(struct made *m)
{
    outline_release(&m->o);
    dockerfile_free(m->df);
    strv_release(&m->given);
}
DEFINE_AUTO_VALUE(struct made, made_release);

static int make(struct made *m, const char *text, const char *target, struct err *err)
{
    AUTO(strv_release) struct strv globals = STRV_INIT;
    strv_add(&globals, "TARGETARCH=amd64");
    struct outline_options options = {
        .build_args = &m->given, .globals = &globals, .target = target, .base_env = base_env
    };
    m->df = dockerfile_parse(text, strlen(text), err);
    assert_non_null(m->df);
    return outline_make(m->df, &options, &m->o, err);
}

/* "NAME=VALUE# DESCRIPTION @LINE" for each, one a line. */
static char *shown(const struct outline_items *items)
{
    struct buf b = BUF_INIT;
    for (size_t i = 0; i < items->n; i++) {
        const struct outline_item *item = &items->v[i];
        buf_addf(&b, "%s", item->name);
        if (item->value != NULL)
            buf_addf(&b, "=%s", item->value);
        if (item->description != NULL)
            buf_addf(&b, " # %s", item->description);
        buf_addf(&b, "%s @%d\n", item->required ? " required" : "", item->line);
    }
    return buf_take(&b);
}

static void assert_args(const char *text, const char *target, const char *want)
{
    struct err err = ERR_INIT;
    AUTO(made_release) struct made m = { .df = NULL };
    assert_int_equal(make(&m, text, target, &err), 0);
    AUTO(mem_free) char *have = shown(&m.o.args);
    assert_string_equal(have, want);
}

static void arguments_of_the_needed_stages_are_told(void **state UNUSED)
{
    static const char text[] = "FROM scratch AS one\n"
                               "# A says what\n"
                               "ARG A=1 B\n"
                               "FROM scratch AS unused\n"
                               "ARG C=3\n"
                               "FROM scratch AS three\n"
                               "ARG D=$A\n"
                               "FROM three\n"
                               "COPY --from=one /a /b\n"
                               "ARG E=${D}x\n";
    assert_args(text, NULL, "A=1 # says what @3\nB @3\nD= @7\nE=x @10\n");
    assert_args(text, "unused", "C=3 @5\n");
}

static void arguments_before_the_first_stage_are_told_when_used(void **state UNUSED)
{
    static const char text[] = "ARG base=known\n"
                               "ARG never=$base\n"
                               "# tag is the version\n"
                               "ARG tag=1-$base\n"
                               "ARG plain=p\n"
                               "FROM image:$tag\n"
                               "ARG plain\n"
                               "ARG TARGETARCH\n"
                               "ARG never2\n";
    assert_args(text, NULL,
                "base=known @1\ntag=1-known # is the version @4\nplain=p @5\nnever2 @9\n");
}

static void the_last_definition_counts_and_needs_what_all_did(void **state UNUSED)
{
    assert_args("ARG X=1\nARG Y=y\nARG X=$X$Y\nARG Z=$X\nARG X=$X$Z\nFROM scratch\nARG X\n"
                "ARG V=1\nARG V=${V}2\n",
                NULL, "Y=y @2\nZ=1y @4\nX=1y1y @5\nV=12 @9\n");
}

static void a_base_s_variables_count_where_they_are_known(void **state UNUSED)
{
    assert_args("FROM known\nENV a=$LANG.x\nARG b=$a\n", NULL, "b=C.x @3\n");
    assert_args("FROM other\nARG b=$LANG\n", NULL, "b= @2\n");
}

static void what_is_given_is_the_value(void **state UNUSED)
{
    struct err err = ERR_INIT;
    AUTO(made_release) struct made m = { .df = NULL };
    strv_add(&m.given, "A=given");
    strv_add(&m.given, "G=also");
    assert_int_equal(make(&m, "ARG G=1\nFROM scratch\nARG A=${x?never}\nARG G\n", NULL, &err), 0);
    AUTO(mem_free) char *have = shown(&m.o.args);
    assert_string_equal(have, "A=given @3\nG=also @4\n");
}

static void secrets_and_agents_are_told_once(void **state UNUSED)
{
    struct err err = ERR_INIT;
    AUTO(made_release) struct made m = { .df = NULL };
    static const char text[] =
        "# one is first\n"
        "FROM scratch AS one\n"
        "ARG N=2\n"
        "RUN --mount=type=secret,target=/etc/passwd,required --mount=type=ssh true\n"
        "RUN --mount=type=secret,id=x$N --mount=type=secret,id=passwd --mount=type=ssh,id=k true\n";
    assert_int_equal(make(&m, text, "ONE", &err), 0);
    AUTO(mem_free) char *secrets = shown(&m.o.secrets);
    AUTO(mem_free) char *ssh = shown(&m.o.ssh);
    assert_string_equal(secrets, "passwd required @4\nx2 @5\n");
    assert_string_equal(ssh, "default @4\nk @5\n");
    assert_string_equal(m.o.name, "one");
    assert_string_equal(m.o.description, "is first");
}

static void defaults_that_were_replaced_still_count(void **state UNUSED)
{
    assert_args("ARG a=1\nARG b=$a\nARG b=2\nFROM scratch AS x\nFROM $b AS y\n", NULL,
                "a=1 @1\nb=2 @3\n");
}

static void the_target_is_an_argument_too(void **state UNUSED)
{
    assert_args("ARG a=$TARGETSTAGE\nFROM scratch AS x\nFROM $a AS last\n", NULL, "a=last @1\n");
    assert_args("ARG a=$TARGETSTAGE\nFROM scratch AS x\nFROM $a AS last\n", "LAST", "a=LAST @1\n");
}

/* Each names the one before; and one names itself: neither is gone through once for each way. */
static void long_rows_of_defaults_are_told(void **state UNUSED)
{
    struct err err = ERR_INIT;
    AUTO(buf_release) struct buf b = BUF_INIT;
    AUTO(made_release) struct made m = { .df = NULL };
    buf_adds(&b, "ARG a0=1\n");
    for (int i = 1; i < 4000; i++)
        buf_addf(&b, "ARG a%d=$a%d\nARG me=$me\n", i, i - 1);
    buf_adds(&b, "FROM image-$a3999$me\n");
    assert_int_equal(make(&m, buf_str(&b), NULL, &err), 0);
    assert_int_equal(m.o.args.n, 4001);
}

static void a_target_that_is_none_is_refused(void **state UNUSED)
{
    static const struct {
        const char *target, *error;
    } rows[] = {
        { "buidl", "target stage \"buidl\" could not be found (did you mean build?)" },
        { "0", "target stage \"0\" could not be found" },
        { "stage-1", "target stage \"stage-1\" could not be found" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err err = ERR_INIT;
        AUTO(made_release) struct made m = { .df = NULL };
        assert_int_equal(make(&m, "FROM scratch AS build\nFROM scratch\n", rows[i].target, &err),
                         ERR_USAGE);
        assert_string_equal(err.msg, rows[i].error);
    }
}

static void circles_are_refused_with_the_line_that_closes_them(void **state UNUSED)
{
    static const struct {
        const char *text, *error;
        int line;
    } rows[] = {
        { "FROM scratch AS a\nCOPY --from=a /x /y\n", "circular dependency detected on stage: a",
          2 },
        { "FROM scratch\nCOPY --from=0 /x /y\n", "circular dependency detected on stage: stage-0",
          2 },
        { "FROM scratch AS a\nRUN --mount=from=b,target=/x x\nFROM scratch AS b\n"
          "COPY --from=a /x /y\n",
          "circular dependency detected on stage: a", 4 },
        { "FROM scratch AS a\nCOPY --from=b /x /y\nFROM a AS b\n",
          "circular dependency detected on stage: a", 3 },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err err = ERR_INIT;
        AUTO(made_release) struct made m = { .df = NULL };
        assert_int_equal(make(&m, rows[i].text, NULL, &err), ERR_USAGE);
        assert_string_equal(err.msg, rows[i].error);
        assert_int_equal(err.line, rows[i].line);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arguments_of_the_needed_stages_are_told),
        cmocka_unit_test(arguments_before_the_first_stage_are_told_when_used),
        cmocka_unit_test(the_last_definition_counts_and_needs_what_all_did),
        cmocka_unit_test(a_base_s_variables_count_where_they_are_known),
        cmocka_unit_test(what_is_given_is_the_value),
        cmocka_unit_test(secrets_and_agents_are_told_once),
        cmocka_unit_test(defaults_that_were_replaced_still_count),
        cmocka_unit_test(the_target_is_an_argument_too),
        cmocka_unit_test(long_rows_of_defaults_are_told),
        cmocka_unit_test(a_target_that_is_none_is_refused),
        cmocka_unit_test(circles_are_refused_with_the_line_that_closes_them),
    };
    return UNIT_RUN("dockerfile_outline", tests);
}

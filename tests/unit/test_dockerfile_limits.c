/* Texts meant to be expensive: each is refused in one sentence with its line, or gone through. */
#include "dockerfile/lint.h"
#include "dockerfile/outline.h"
#include "tests/unit/unit.h"
#include <string.h>

struct hostile {
    const char *what;
    const char *head;
    const char *again; /* repeated so many times ... */
    size_t times;
    const char *tail;
    const char *error; /* how it begins; NULL: it is fine */
    int line;
};

static void repeat(struct buf *b, const char *s, size_t times)
{
    for (size_t i = 0; i < times; i++)
        buf_adds(b, s);
}

static int check(const struct buf *b, struct lint_report *report, struct err *err)
{
    struct lint_check check = { .error = false };
    struct lint_options options = { .all_stages = true };
    return lint(buf_str(b), b->len, &check, &options, report, err);
}

static void one(const struct hostile *h)
{
    struct err err = ERR_INIT;
    AUTO(buf_release) struct buf b = BUF_INIT;
    AUTO(lint_report_release) struct lint_report report = { .n = 0 };
    buf_adds(&b, h->head);
    repeat(&b, h->again, h->times);
    buf_adds(&b, h->tail);
    int rc = check(&b, &report, &err);
    if (h->error == NULL && rc < 0)
        fail_msg("%s: %s", h->what, err.msg);
    if (h->error != NULL && (rc == 0 || !str_starts(err.msg, h->error) || err.line != h->line))
        fail_msg("%s: line %d: %s", h->what, err.line, err.msg);
}

#define SCRATCH "FROM scratch\n"
#define K60 60000

static void many_of_anything_are_refused_or_gone_through(void **state UNUSED)
{
    static const struct hostile rows[] = {
        { "instructions at the limit", SCRATCH, "USER x\n", 9999, "", NULL, 0 },
        { "one more", SCRATCH, "USER x\n", 10000, "", "more than 10000 instructions", 10001 },
        { "stages at the limit", "", "FROM scratch\n", 1000, "", NULL, 0 },
        { "one more", "", "FROM scratch\n", 1001, "", "more than 1000 stages", 1001 },
        { "a file that is too long", SCRATCH, "#\n", 1 << 19, "", "dockerfile is larger than", 0 },
        { "continuations", SCRATCH "RUN a \\\n", "b \\\n", 200000, "c\n", NULL, 0 },
        { "empty continuations", SCRATCH "RUN a \\\n", "\n", 900000, "c\n", NULL, 0 },
        { "comments in a continuation", SCRATCH "RUN a \\\n", "#\n", 400000, "c\n", NULL, 0 },
        { "variables", SCRATCH "ENV ", "a=b ", 16000, "\n", NULL, 0 },
        { "variables at the limit", "ARG a=$a\n" SCRATCH, "ARG a a a a\n", 4999,
          "ENV b=c d=e f=g\n", NULL, 0 },
        { "one more", SCRATCH, "LABEL a=1 b=2 c=3 d=4\n", 5000, "ARG a\n",
          "more than 20000 variables and labels", 5002 },
        { "unset variables", SCRATCH "ENV e=", "$u", 30000, "\n", NULL, 0 },
        { "wrong keywords", SCRATCH, "Run x\nrUN y\n", 4900, "", NULL, 0 },
        { "the last of many", SCRATCH, "CMD x\n", 9999, "", NULL, 0 },
        { "triggers", SCRATCH, "ONBUILD RUN x\n", 9000, "", NULL, 0 },
        { "ports", SCRATCH "EXPOSE ", "1-65535 ", 8000, "\n", NULL, 0 },
        { "heredocs of one name", SCRATCH "COPY ", "<<E ", 16000, "/x/\n", "unterminated heredoc",
          2 },
        { "an array in arrays", SCRATCH "RUN ", "[", K60, "\n", NULL, 0 },
        { "quotes", SCRATCH "ENV a=", "\"'\"", 20000, "\n", NULL, 0 },
        { "exclusions", SCRATCH "COPY ", "--exclude=**/*a*/**/*b ", 2500, "a b\n", NULL, 0 },
        { "mounts", SCRATCH "RUN ", "--mount=type=tmpfs,target=/a ", 2200, "x\n", NULL, 0 },
        { "fields of a mount", SCRATCH "RUN --mount=target=/x", ",id=a", 12000, " x\n", NULL, 0 },
        { "an instruction that is none", SCRATCH, "x", K60, "\n",
          "dockerfile parse error on line 2: unknown instruction: xxxx", 2 },
        { "a flag that is none", SCRATCH "COPY --", "x", K60, " a b\n",
          "dockerfile parse error on line 2: unknown flag: --xxxx", 2 },
        { "a duration", SCRATCH "HEALTHCHECK --interval=", "1h", 20000, " CMD x\n", NULL, 0 },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        one(&rows[i]);
}

static void lines_are_bounded(void **state UNUSED)
{
    struct hostile row = { "a line at the limit", SCRATCH "RUN ", "x", 65531, "\n", NULL, 0 };
    one(&row);
    row.what = "one byte more";
    row.times++;
    row.error = "dockerfile line greater than max allowed size of 65535";
    row.line = 2;
    one(&row);
}

static void values_are_bounded_one_by_one_and_together(void **state UNUSED)
{
    static const struct hostile rows[] = {
        { "doubling", SCRATCH "ENV a=0123456789abcdef\n", "ENV a=$a$a\n", 17, "",
          "failed to process \"$a$a\": expanded value is larger than 1 MiB", 19 },
        { "doubling as far as one may", SCRATCH "ENV a=0123456789abcdef\n", "ENV a=$a$a\n", 15, "",
          NULL, 0 },
        { "nesting", SCRATCH "ENV a=", "${a:-", 101, "\n", "failed to process", 2 },
        { "a pattern of many stars", SCRATCH "ENV a=b\nENV b=${a//", "*a", 20000, "/x}\n", NULL,
          0 },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        one(&rows[i]);
}

/* head, then "WORD<i>=$b" for each i where b has 960,000 bytes. */
static void many_values(const char *head, const char *word, const char *tail, const char *error)
{
    struct err err = ERR_INIT;
    AUTO(buf_release) struct buf b = BUF_INIT;
    AUTO(lint_report_release) struct lint_report report = { .n = 0 };
    buf_addf(&b, "%s%s a=", head, word);
    repeat(&b, "x", K60);
    buf_addf(&b, "\n%s b=$a$a$a$a$a$a$a$a$a$a$a$a$a$a$a$a\n", word);
    for (int i = 0; i < 900; i++)
        buf_addf(&b, "%s c%d=$b\n", word, i);
    buf_adds(&b, tail);
    assert_int_equal(check(&b, &report, &err), ERR_USAGE);
    assert_string_equal(err.msg, error);
    assert_true(err.line > 3 && err.line < 60);
}

static void a_stage_s_variables_are_bounded_together(void **state UNUSED)
{
    many_values(SCRATCH, "ENV", "", "the environments of the stages are too large");
}

static void arguments_before_the_first_stage_are_bounded_together(void **state UNUSED)
{
    many_values("", "ARG", SCRATCH, "the ARGs before the first FROM are too large");
}

static void what_stages_inherit_counts_for_each_of_them(void **state UNUSED)
{
    struct err err = ERR_INIT;
    AUTO(buf_release) struct buf b = BUF_INIT;
    AUTO(lint_report_release) struct lint_report report = { .n = 0 };
    buf_adds(&b, "FROM scratch AS s0\nENV a=");
    repeat(&b, "x", K60);
    for (int i = 1; i < 999; i++)
        buf_addf(&b, "\nFROM s%d AS s%d", i - 1, i);
    assert_int_equal(check(&b, &report, &err), ERR_USAGE);
    assert_string_equal(err.msg, "the environments of the stages are too large");
    assert_true(report.too_large);
}

static void patterns_over_long_values_are_refused(void **state UNUSED)
{
    struct err err = ERR_INIT;
    AUTO(buf_release) struct buf b = BUF_INIT;
    AUTO(lint_report_release) struct lint_report report = { .n = 0 };
    buf_adds(&b, SCRATCH "ENV v=");
    repeat(&b, "a", K60);
    buf_adds(&b, "\nENV b=${v//");
    repeat(&b, "*a", 2000);
    buf_adds(&b, "b/x}\n");
    assert_int_equal(check(&b, &report, &err), ERR_USAGE);
    assert_true(strstr(err.msg, "pattern in substitution takes too many steps") != NULL);
    assert_int_equal(err.line, 3);
}

static void circles_of_stages_end(void **state UNUSED)
{
    struct err err = ERR_INIT;
    AUTO(buf_release) struct buf b = BUF_INIT;
    AUTO(lint_report_release) struct lint_report report = { .n = 0 };
    for (int i = 0; i < 1000; i++)
        buf_addf(&b, "FROM scratch AS s%d\nCOPY --from=s%d /a /b\n", i, (i + 999) % 1000);
    assert_int_equal(check(&b, &report, &err), ERR_USAGE);
    assert_string_equal(err.msg, "circular dependency detected on stage: s0");
    assert_int_equal(err.line, 4); /* s1 takes from s0, which is where it began */
}

static void ignore_patterns_are_counted(void **state UNUSED)
{
    struct err err = ERR_INIT;
    AUTO(buf_release) struct buf b = BUF_INIT;
    repeat(&b, "**/*a*b?[c-d]/**\n", 10000);
    AUTO(ignore_free) struct ignore *most = ignore_parse(buf_str(&b), b.len, &err);
    assert_non_null(most);
    assert_false(ignore_match(most, "a/very/long/way/to/a/file/that/is/not/ignored"));
    buf_adds(&b, "one more\n");
    AUTO(ignore_free) struct ignore *more = ignore_parse(buf_str(&b), b.len, &err);
    assert_null(more);
    assert_string_equal(err.msg, "more than 10000 ignore patterns");
    assert_int_equal(err.line, 10001);
}

/* Whole minutes, if each pattern were run over each path. */
static void paths_without_a_pattern_s_literals_cost_little(void **state UNUSED)
{
    struct err err = ERR_INIT;
    AUTO(buf_release) struct buf b = BUF_INIT;
    for (int i = 0; i < 9000; i++)
        buf_addf(&b, "**/*.extension%d\n", i);
    AUTO(ignore_free) struct ignore *ig = ignore_parse(buf_str(&b), b.len, &err);
    assert_non_null(ig);
    for (int i = 0; i < 2000; i++) {
        AUTO(buf_release) struct buf path = BUF_INIT;
        repeat(&path, "a/long/way/", 20);
        buf_addf(&path, "file%d", i);
        assert_false(ignore_match(ig, buf_str(&path)));
    }
}

/* Ten ways from each stage to those before it: as many walks as there are ways would not end. */
static void ways_between_stages_are_not_walked_one_by_one(void **state UNUSED)
{
    struct err err = ERR_INIT;
    AUTO(buf_release) struct buf b = BUF_INIT;
    buf_adds(&b, "FROM scratch AS s0\nARG FIRST=1\n");
    for (int i = 1; i < 900; i++) {
        buf_addf(&b, "FROM scratch AS s%d\n", i);
        for (int k = i > 9 ? i - 9 : 0; k < i; k++)
            buf_addf(&b, "COPY --from=s%d /a /b\n", k);
    }
    AUTO(dockerfile_free) struct dockerfile *df = dockerfile_parse(buf_str(&b), b.len, &err);
    AUTO(outline_release) struct outline o = { .name = NULL };
    struct outline_options options = { .target = NULL };
    assert_non_null(df);
    assert_int_equal(outline_make(df, &options, &o, &err), 0);
    assert_int_equal(o.args.n, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_of_anything_are_refused_or_gone_through),
        cmocka_unit_test(lines_are_bounded),
        cmocka_unit_test(values_are_bounded_one_by_one_and_together),
        cmocka_unit_test(a_stage_s_variables_are_bounded_together),
        cmocka_unit_test(arguments_before_the_first_stage_are_bounded_together),
        cmocka_unit_test(what_stages_inherit_counts_for_each_of_them),
        cmocka_unit_test(patterns_over_long_values_are_refused),
        cmocka_unit_test(circles_of_stages_end),
        cmocka_unit_test(ignore_patterns_are_counted),
        cmocka_unit_test(paths_without_a_pattern_s_literals_cost_little),
        cmocka_unit_test(ways_between_stages_are_not_walked_one_by_one),
    };
    return UNIT_RUN("dockerfile_limits", tests);
}

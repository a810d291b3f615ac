#include "tests/unit/unit.h"

#include "cmd/trace_options.h"

static const struct option_spec specs[] = {
    { .name = "trace", .kind = OPTION_TEXT },
    { .name = "trace-max-age", .kind = OPTION_TEXT },
    { .name = "trace-sample", .kind = OPTION_TEXT },
    { .name = NULL },
};

static int no_variables(void **state UNUSED)
{
    unsetenv("SHALE_TRACE");
    unsetenv("SHALE_TRACE_MAX_AGE");
    unsetenv("SHALE_TRACE_SAMPLE");
    return 0;
}

/* arg NULL: none; text: of shale.conf. */
static int take(const char *arg, const char *text, struct build_options *ret, struct err *err)
{
    AUTO(config_release) struct config config = { .has_docs = false };
    AUTO(options_release) struct options options = { .help = false };
    AUTO(mem_free) char *word = str_dup(arg);
    char *const argv[] = { word, NULL };
    *ret = (struct build_options){ .context = NULL };
    assert_ok(config_parse(text, strlen(text), "shale.conf", &config, err), err);
    assert_ok(options_parse(specs, true, arg != NULL, argv, &options, err), err);
    return trace_options_take(ret, &options, &config, err);
}

static void steps_are_reused_where_nothing_is_said(void **state UNUSED)
{
    struct build_options b;
    struct err err = ERR_INIT;
    assert_ok(take(NULL, "", &b, &err), &err);
    assert_int_equal(b.trace, TRACE_ON);
    assert_int_equal(b.trace_max_age_s, 604800);
    assert_int_equal(b.trace_sample, 0);
}

static void an_option_goes_before_a_variable_and_that_before_the_file(void **state UNUSED)
{
    static const char file[] = "trace = off \ntrace-sample = 7%\ntrace-max-age=2h\n";
    struct build_options b;
    struct err err = ERR_INIT;
    assert_ok(take(NULL, file, &b, &err), &err);
    assert_int_equal(b.trace, TRACE_OFF);
    assert_int_equal(b.trace_sample, 7);
    assert_int_equal(b.trace_max_age_s, 7200);
    setenv("SHALE_TRACE", "verify", 1);
    setenv("SHALE_TRACE_SAMPLE", "", 1); /* as if it were not there */
    setenv("SHALE_TRACE_MAX_AGE", "30s", 1);
    assert_ok(take(NULL, file, &b, &err), &err);
    assert_int_equal(b.trace, TRACE_VERIFY);
    assert_int_equal(b.trace_sample, 7);
    assert_int_equal(b.trace_max_age_s, 30);
    assert_ok(take("--trace=on", file, &b, &err), &err);
    assert_int_equal(b.trace, TRACE_ON);
    assert_int_equal(b.trace_max_age_s, 30);
}

static void what_is_overruled_may_be_wrong(void **state UNUSED)
{
    struct build_options b;
    struct err err = ERR_INIT;
    setenv("SHALE_TRACE", "nonsense", 1);
    assert_ok(take("--trace=off", "trace = nonsense\n", &b, &err), &err);
    assert_int_equal(b.trace, TRACE_OFF);
}

static void a_wrong_value_is_said_with_where_it_stands(void **state UNUSED)
{
    struct build_options b;
    struct err option = ERR_INIT, variable = ERR_INIT, file = ERR_INIT;
    assert_int_equal(take("--trace=maybe", "", &b, &option), ERR_USAGE);
    assert_string_equal(option.msg, "invalid --trace \"maybe\": it must be on, off or verify");
    assert_int_equal(take(NULL, "trace-sample =\n", &b, &file), ERR_USAGE);
    assert_string_equal(file.msg, "invalid trace-sample \"\" in the configuration: it must be a "
                                  "whole number of percent from 0 to 100");
    setenv("SHALE_TRACE_MAX_AGE", "7", 1);
    assert_int_equal(take(NULL, "", &b, &variable), ERR_USAGE);
    assert_string_equal(variable.msg,
                        "invalid SHALE_TRACE_MAX_AGE \"7\": it must be a whole number "
                        "with s, m, h, d or w behind it, or 0");
}

static void ages_have_a_unit(void **state UNUSED)
{
    static const struct {
        const char *text;
        int64_t seconds; /* -1: it is none */
    } rows[] = {
        { "0", 0 },
        { "0s", 0 },
        { "90s", 90 },
        { "5m", 300 },
        { "2h", 7200 },
        { "7d", 604800 },
        { "2w", 1209600 },
        { "999999999w", 604799999395200 },
        { "", -1 },
        { "7", -1 },
        { "d", -1 },
        { "-1d", -1 },
        { "7 d", -1 },
        { "7D", -1 },
        { "1d2h", -1 },
        { "1.5d", -1 },
        { "9999999999s", -1 },
        { "7days", -1 },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct build_options b = { .trace_max_age_s = -1 };
        bool good = trace_max_age_parse(rows[i].text, &b);
        if (good != (rows[i].seconds >= 0) || b.trace_max_age_s != rows[i].seconds)
            fail_msg("'%s': %lld", rows[i].text, (long long)b.trace_max_age_s);
    }
}

static void samples_are_whole_percents(void **state UNUSED)
{
    static const struct {
        const char *text;
        int percent; /* -1: it is none */
    } rows[] = {
        { "0", 0 },    { "5", 5 },     { "5%", 5 },   { "100%", 100 },      { "007%", 7 },
        { "", -1 },    { "%", -1 },    { "101", -1 }, { "-5", -1 },         { "5 %", -1 },
        { "5%%", -1 }, { "0.5%", -1 }, { "all", -1 }, { "9999999999", -1 },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct build_options b = { .trace_sample = 42 };
        bool good = trace_sample_parse(rows[i].text, &b);
        if (good != (rows[i].percent >= 0) ||
            b.trace_sample != (good ? (unsigned)rows[i].percent : 42))
            fail_msg("'%s': %u", rows[i].text, b.trace_sample);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(steps_are_reused_where_nothing_is_said, no_variables),
        cmocka_unit_test_setup(an_option_goes_before_a_variable_and_that_before_the_file,
                               no_variables),
        cmocka_unit_test_setup(what_is_overruled_may_be_wrong, no_variables),
        cmocka_unit_test_setup(a_wrong_value_is_said_with_where_it_stands, no_variables),
        cmocka_unit_test(ages_have_a_unit),
        cmocka_unit_test(samples_are_whole_percents),
    };
    return UNIT_RUN("cmd_trace_options", tests);
}

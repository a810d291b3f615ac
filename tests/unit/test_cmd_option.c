#include "tests/unit/unit.h"

#include "cmd/option.h"

static const struct option_spec specs[] = {
    { "file", 'f', OPTION_TEXT, .help = "x" },
    { "tag", 't', OPTION_LIST, .help = "x" },
    { "quiet", 'q', OPTION_FLAG, .help = "x" },
    { "interactive", 'i', OPTION_FLAG, .help = "x" },
    { "rm", 0, OPTION_FLAG, STANDING_VOID, .initial = "true", .help = NULL },
    { "progress", 0, OPTION_TEXT, .initial = "auto", .help = "x" },
    { "push", 0, OPTION_FLAG, STANDING_REFUSED, .help = "x" },
    { "sbom", 0, OPTION_TEXT, STANDING_REFUSED, .harmless = "false 0", .help = "x" },
    { .name = NULL },
};

/* Splits at spaces; "_" stands for an empty word. */
static int parse_as(const char *line, bool interspersed, struct options *o, struct err *err)
{
    AUTO(strv_release) struct strv argv = STRV_INIT;
    strv_split(&argv, line, ' ');
    for (size_t i = 0; i < argv.n; i++) {
        if (str_eq(argv.v[i], "_"))
            argv.v[i][0] = '\0';
    }
    return options_parse(specs, interspersed, (int)argv.n, argv.v, o, err);
}

static void assert_refused(const char *line, const char *message)
{
    struct err err = ERR_INIT;
    struct options o = { .specs = NULL };
    assert_int_equal(parse_as(line, true, &o, &err), ERR_USAGE);
    assert_string_equal(err.msg, message);
}

static void values_are_read_in_every_spelling(void **state UNUSED)
{
    static const char *const lines[] = {
        "-f x", "-fx", "-f=x", "--file x", "--file=x", "-qf x", "--file y --file x"
    };
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        struct err err = ERR_INIT;
        AUTO(options_release) struct options o = { .specs = NULL };
        assert_ok(parse_as(lines[i], true, &o, &err), &err);
        assert_string_equal(option_str(&o, "file"), "x");
        assert_true(option_given(&o, "file"));
        assert_int_equal(o.args.n, 0);
    }
}

static void flags_bundle_and_take_booleans(void **state UNUSED)
{
    struct err err = ERR_INIT;
    AUTO(options_release) struct options o = { .specs = NULL };
    assert_ok(parse_as("-qi --rm=false", true, &o, &err), &err);
    assert_true(option_on(&o, "quiet") && option_on(&o, "interactive"));
    assert_false(option_on(&o, "rm"));
    AUTO(options_release) struct options p = { .specs = NULL };
    assert_ok(parse_as("-q=0", true, &p, &err), &err);
    assert_false(option_on(&p, "quiet"));
    assert_true(option_given(&p, "quiet"));
    assert_true(option_on(&p, "rm"));
}

static void lists_keep_every_value_in_order(void **state UNUSED)
{
    struct err err = ERR_INIT;
    AUTO(options_release) struct options o = { .specs = NULL };
    assert_ok(parse_as("-t a . --tag=b -tc", true, &o, &err), &err);
    AUTO(mem_free) char *tags = strv_join(option_list(&o, "tag"), "|");
    assert_string_equal(tags, "a|b|c");
    assert_int_equal(o.args.n, 1);
    assert_string_equal(o.args.v[0], ".");
}

static void a_double_dash_ends_options_and_a_lone_dash_is_an_argument(void **state UNUSED)
{
    struct err err = ERR_INIT;
    AUTO(options_release) struct options o = { .specs = NULL };
    assert_ok(parse_as("- -f - -- -q --file", true, &o, &err), &err);
    AUTO(mem_free) char *args = strv_join(&o.args, "|");
    assert_string_equal(args, "-|-q|--file");
    assert_string_equal(option_str(&o, "file"), "-");
    assert_false(option_on(&o, "quiet"));
}

static void what_follows_the_first_argument_can_be_left_alone(void **state UNUSED)
{
    struct err err = ERR_INIT;
    AUTO(options_release) struct options o = { .specs = NULL };
    assert_ok(parse_as("-q image -x --help", false, &o, &err), &err);
    AUTO(mem_free) char *args = strv_join(&o.args, "|");
    assert_string_equal(args, "image|-x|--help");
    assert_false(o.help);
}

static void an_option_not_given_has_its_initial_value(void **state UNUSED)
{
    struct err err = ERR_INIT;
    AUTO(options_release) struct options o = { .specs = NULL };
    assert_ok(parse_as("x", true, &o, &err), &err);
    assert_string_equal(option_str(&o, "progress"), "auto");
    assert_null(option_str(&o, "file"));
    assert_false(option_given(&o, "progress"));
}

static void what_cannot_be_read_is_said_as_docker_says_it(void **state UNUSED)
{
    assert_refused("--nope", "unknown flag: --nope");
    assert_refused("--nope=x", "unknown flag: --nope");
    assert_refused("--quie", "unknown flag: --quie (did you mean --quiet?)");
    assert_refused("-qz", "unknown shorthand flag: 'z' in -qz");
    assert_refused("--file", "flag needs an argument: --file");
    assert_refused("-qf", "flag needs an argument: 'f' in -qf");
    assert_refused("---", "bad flag syntax: ---");
    assert_refused("--=x", "bad flag syntax: --=x");
    assert_refused("-q=maybe",
                   "invalid argument \"maybe\" for \"-q, --quiet\" flag: invalid syntax");
    assert_refused("--push=maybe",
                   "invalid argument \"maybe\" for \"--push\" flag: invalid syntax");
}

static void help_is_taken_before_what_follows_it_is_looked_at(void **state UNUSED)
{
    struct err err = ERR_INIT;
    AUTO(options_release) struct options o = { .specs = NULL };
    assert_ok(parse_as("--help --nope", true, &o, &err), &err);
    assert_true(o.help);
    AUTO(options_release) struct options p = { .specs = NULL };
    assert_ok(parse_as("-h", true, &p, &err), &err);
    assert_true(p.help);
}

static void what_is_not_built_yet_is_refused_unless_it_asks_for_nothing(void **state UNUSED)
{
    static const struct {
        const char *line;
        int code;
    } cases[] = {
        { "--push", ERR_UNSUPPORTED },
        { "--push=false", 0 },
        { "--sbom=false", 0 },
        { "--sbom=0", 0 },
        { "--sbom=true", ERR_UNSUPPORTED },
        { "--rm", 0 },
        { "-q", 0 },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err = ERR_INIT;
        AUTO(options_release) struct options o = { .specs = NULL };
        assert_ok(parse_as(cases[i].line, true, &o, &err), &err);
        assert_int_equal(options_check_standing(&o, &err), cases[i].code);
    }
}

static void help_lists_rows_with_text_aligned(void **state UNUSED)
{
    AUTO(buf_release) struct buf b = BUF_INIT;
    options_help(specs, &b);
    assert_non_null(strstr(buf_str(&b), "  -f, --file string       x\n"));
    assert_non_null(strstr(buf_str(&b), "      --progress string   x (default \"auto\")\n"));
    assert_non_null(strstr(buf_str(&b), "      --push              x (not supported yet)\n"));
    assert_null(strstr(buf_str(&b), "--rm"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_read_in_every_spelling),
        cmocka_unit_test(flags_bundle_and_take_booleans),
        cmocka_unit_test(lists_keep_every_value_in_order),
        cmocka_unit_test(a_double_dash_ends_options_and_a_lone_dash_is_an_argument),
        cmocka_unit_test(what_follows_the_first_argument_can_be_left_alone),
        cmocka_unit_test(an_option_not_given_has_its_initial_value),
        cmocka_unit_test(what_cannot_be_read_is_said_as_docker_says_it),
        cmocka_unit_test(help_is_taken_before_what_follows_it_is_looked_at),
        cmocka_unit_test(what_is_not_built_yet_is_refused_unless_it_asks_for_nothing),
        cmocka_unit_test(help_lists_rows_with_text_aligned),
    };
    return UNIT_RUN("cmd_option", tests);
}

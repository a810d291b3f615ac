#include "tests/unit/unit.h"
#include "dockerfile/expand.h"

struct row {
    const char *word, *want; /* NULL: an error */
};

static void make_env(struct strv *env)
{
    strv_add(env, "HOME=/home/me");
    strv_add(env, "EMPTY=");
    strv_add(env, "BARE");
    strv_add(env, "P=/a/b/c.tar.gz");
    strv_add(env, "W=one two");
    strv_add(env, "L=first");
    strv_add(env, "L=last");
    strv_add(env, "NL=ab\ncd");
    strv_add(env, "U=\xC3\xA9\xE2\x82\xAC");
}

static void assert_rows(const struct row *rows, size_t n)
{
    AUTO(strv_release) struct strv env = STRV_INIT;
    make_env(&env);
    struct env_lookup lookup = env_lookup_strv(&env);
    for (size_t i = 0; i < n; i++) {
        struct err err = ERR_INIT;
        AUTO(mem_free) char *s = expand_word(rows[i].word, &lookup, '\\', NULL, &err);
        if (s == NULL && rows[i].want != NULL)
            fail_msg("%s: %s", rows[i].word, err.msg);
        if (s != NULL && (rows[i].want == NULL || strcmp(s, rows[i].want) != 0))
            fail_msg("%s gave %s", rows[i].word, s);
    }
}

static void variables_are_replaced_and_quotes_removed(void **state)
{
    static const struct row rows[] = {
        { "$HOME/x", "/home/me/x" },
        { "${HOME}x", "/home/mex" },
        { "a$NONE-b", "a-b" },
        { "$L", "last" },
        { "[$BARE]", "[]" },
        { "'$HOME'", "$HOME" },
        { "\"$HOME\"", "/home/me" },
        { "\\$HOME", "$HOME" },
        { "a\\ b\\c", "a bc" },
        { "\"a\\b\\\"c\\$d\"", "a\\b\"c$d" },
        { "$", "$" },
        { "a$/b", "a$/b" },
        { "$1$@$*$#$?$-$$$!", "" },
        { "$12x", "x" },
        { "end\\", "end" },
        { "\xEF\xBB\xBFx", "x" },
        { "'open", NULL },
        { "\"open", NULL },
        { "${HOME", NULL },
        { "${}", NULL },
        { "${HOME^}", NULL },
        { "${HOME:=x}", NULL },
        { "$\xC3\xA9t\xC3\xA9!", "!" },
    };
    (void)state;
    assert_rows(rows, ARRAY_LEN(rows));
}

static void defaults_and_demands_look_at_unset_and_empty(void **state)
{
    static const struct row rows[] = {
        { "${NONE-d}${EMPTY-d}", "d" },
        { "${NONE:-d}${EMPTY:-d}", "dd" },
        { "${NONE+a}${EMPTY+a}", "a" },
        { "${HOME:+a}${EMPTY:+a}", "a" },
        { "${NONE:-${NIX:-${L}}}", "last" },
        { "${NONE:-\"a }b\"}", "a }b" },
        { "${HOME?x}${EMPTY?x}", "/home/me" },
        { "${EMPTY:?is $L}", NULL },
        { "${NONE?}", NULL },
    };
    struct err err = ERR_INIT;
    struct env_lookup none = env_lookup_none();
    (void)state;
    assert_rows(rows, ARRAY_LEN(rows));
    assert_null(expand_word("${A:?needs 'a'}", &none, '\\', NULL, &err));
    assert_string_equal(err.msg, "failed to process \"${A:?needs 'a'}\": A: needs a");
}

static void patterns_trim_and_replace(void **state)
{
    static const struct row rows[] = {
        { "${P#*/}", "a/b/c.tar.gz" },
        { "${P##*/}", "c.tar.gz" },
        { "${P%.*}", "/a/b/c.tar" },
        { "${P%%.*}", "/a/b/c" },
        { "${P#/?/}", "b/c.tar.gz" },
        { "${P%z?}", "/a/b/c.tar.gz" },
        { "${P/\\//_}", "_a/b/c.tar.gz" },
        { "${P//\\//_}", "_a_b_c.tar.gz" },
        { "${P//?/x}", "xxxxxxxxxxxxx" },
        { "${W/ */}", "one" },
        { "${P/nothing/x}", "/a/b/c.tar.gz" },
        { "${NONE#x}", "" },
        { "${NL#*}", "ab\ncd" },
        { "${NL##*}", "\ncd" },
        { "${U#?}", "\xE2\x82\xAC" },
        { "${U%?}", "\xC3\xA9" },
        { "${P//./[$0]}", "/a/b/c[]tar[]gz" },
        { "${P//./\\$0}", "/a/b/c\\.tar\\.gz" },
        { "${P:#/}", NULL },
        { "${P#\\x}", NULL },
        { "${P/a}", NULL },
        { "${L//*/x}", "x" },
        { "${L//l*s/\\*}", "\\*t" },
    };
    (void)state;
    assert_rows(rows, ARRAY_LEN(rows));
}

static void words_split_at_unquoted_space_also_of_values(void **state)
{
    struct err err = ERR_INIT;
    AUTO(strv_release) struct strv env = STRV_INIT;
    AUTO(strv_release) struct strv words = STRV_INIT;
    AUTO(strv_release) struct strv unmatched = STRV_INIT;
    (void)state;
    make_env(&env);
    struct env_lookup lookup = env_lookup_strv(&env);
    assert_ok(expand_words(" a $W\"$W\" '' b\\ c $X $X", &lookup, '\\', &unmatched, &words, &err),
              &err);
    assert_int_equal(words.n, 4);
    assert_string_equal(words.v[1], "one");
    assert_string_equal(words.v[2], "twoone two");
    assert_string_equal(words.v[3], "b c");
    assert_int_equal(unmatched.n, 1);
    assert_string_equal(unmatched.v[0], "X");
}

static void names_are_reported_also_when_it_fails(void **state)
{
    struct err err = ERR_INIT;
    AUTO(strv_release) struct strv env = STRV_INIT;
    AUTO(expand_result_release) struct expand_result r = EXPAND_RESULT_INIT;
    struct expand_options options = { .escape = '\\' };
    (void)state;
    make_env(&env);
    struct env_lookup lookup = env_lookup_strv(&env);
    assert_int_equal(expand("$HOME $B $A ${Z?}", &lookup, &options, &r, &err), ERR_USAGE);
    assert_int_equal(r.matched.n, 1);
    assert_int_equal(r.unmatched.n, 3);
    assert_string_equal(r.unmatched.v[0], "A");
    assert_null(r.word);
}

static void the_other_escape_character_works(void **state)
{
    struct err err = ERR_INIT;
    struct env_lookup none = env_lookup_none();
    (void)state;
    AUTO(mem_free) char *s = expand_word("c:\\x`$y`` \"`\"\"", &none, '`', NULL, &err);
    assert_non_null(s);
    assert_string_equal(s, "c:\\x$y` \"");
}

static void bodies_of_here_documents_keep_their_quotes(void **state)
{
    struct err err = ERR_INIT;
    AUTO(strv_release) struct strv env = STRV_INIT;
    (void)state;
    make_env(&env);
    struct env_lookup lookup = env_lookup_strv(&env);
    AUTO(mem_free)
    char *s = expand_heredoc("it's \"$L\" \\$L \\\\ << x\n  y\n", &lookup, NULL, &err);
    assert_non_null(s);
    assert_string_equal(s, "it's \"last\" $L \\ << x\n  y\n");
}

static char *repeat(const char *what, size_t n, const char *end)
{
    AUTO(buf_release) struct buf b = BUF_INIT;
    for (size_t i = 0; i < n; i++)
        buf_adds(&b, what);
    buf_adds(&b, end);
    return buf_take(&b);
}

static void assert_refused(const char *word, const struct strv *env, const char *why)
{
    struct err err = ERR_INIT;
    struct env_lookup lookup = env_lookup_strv(env);
    assert_null(expand_word(word, &lookup, '\\', NULL, &err));
    assert_non_null(strstr(err.msg, why));
}

static void work_and_results_are_bounded(void **state)
{
    AUTO(strv_release) struct strv env = STRV_INIT;
    AUTO(mem_free) char *big = repeat("a", 40000, "");
    AUTO(mem_free) char *many = repeat("$V", 40, "");
    AUTO(mem_free) char *deep = repeat("${X:-", 5000, "");
    AUTO(mem_free) char *stars = repeat("*a", 5000, "b}");
    AUTO(mem_free) char *pattern = str_printf("${V##%s", stars);
    (void)state;
    strv_add(&env, "");
    mem_free(env.v[0]);
    env.v[0] = str_printf("V=%s", big);
    assert_refused(many, &env, "larger than 1 MiB");
    assert_refused(deep, &env, "");
    assert_refused(pattern, &env, "too many steps");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(variables_are_replaced_and_quotes_removed),
        cmocka_unit_test(defaults_and_demands_look_at_unset_and_empty),
        cmocka_unit_test(patterns_trim_and_replace),
        cmocka_unit_test(words_split_at_unquoted_space_also_of_values),
        cmocka_unit_test(names_are_reported_also_when_it_fails),
        cmocka_unit_test(the_other_escape_character_works),
        cmocka_unit_test(bodies_of_here_documents_keep_their_quotes),
        cmocka_unit_test(work_and_results_are_bounded),
    };
    return UNIT_RUN("dockerfile_expand", tests);
}

#include "tests/unit/unit.h"
#include "dockerfile/ignore.h"

static struct ignore *rules(const char *text)
{
    struct err err = ERR_INIT;
    struct ignore *ig = ignore_parse(text, strlen(text), &err);
    if (ig == NULL)
        fail_msg("%s", err.msg);
    return ig;
}

/* The verdict that a walk from the top comes to. */
static bool walked(const struct ignore *ig, const char *path)
{
    uint8_t a[16], b[16], *parent = NULL, *own = a;
    bool matched = false;
    assert_true(ignore_state_size(ig) <= sizeof(a));
    for (size_t i = 0;; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        AUTO(mem_free) char *part = str_ndup(path, i);
        matched = ignore_match_in(ig, part, parent, own);
        parent = own;
        own = own == a ? b : a;
        if (path[i] == '\0')
            return matched;
    }
}

static void patterns_match_as_in_docker(void **state)
{
    static const struct {
        const char *rules, *path;
        bool ignored;
    } rows[] = {
        { "node_modules\n", "node_modules/a/b", true },
        { "node_modules\n", "x/node_modules", false },
        { "**/node_modules\n", "x/y/node_modules/z", true },
        { "*.o\n", "a.o", true },
        { "*.o\n", "d/a.o", false },
        { "**/*.o\n", "d/e/a.o", true },
        { "**/*.o\n", "a.o", true },
        { "a/**\n", "a", false },
        { "a/**\n", "a/b/c", true },
        { "a/**/z\n", "a/z", true },
        { "a/**/z\n", "a/b/c/z", true },
        { "a/**/z\n", "a/bz", false },
        { "a?c\n", "abc", true },
        { "a?c\n", "a/c", false },
        { "a?c\n",
          "a\xE2\x82\xAC"
          "c",
          true },
        { "[a-c]x\n", "bx", true },
        { "[^a-c]x\n", "bx", false },
        { "a\\*b\n", "a*b", true },
        { "a\\*b\n", "axb", false },
        { "a*/bcd\n", "ax/bcd/deep", true },
        { "a/**/bcd/*x\n", "a/bcd/yx", true },
        { "a/**/bcd/*x\n", "a/bc/yx", false },
        { "q*[b]cd\n", "qbcd", true },
        { "q*[^b]cd\n", "qxcd", true },
        { "[a*]b\n", "]b", true },
        { "\xC3\xA9*z\n", "\xC3\xA9z", true },
        { "\\\\z\n", "z", false },
        { "/top\n", "top", true },
        { "./a/../b/\n", "b/c", true },
        { "a.b+(c)\n", "a.b+(c)", true },
        { "a.b*\n", "axb", false },
        { "*\n!keep\n", "keep/x", false },
        { "*\n!keep\nkeep/x\n", "keep/x", true },
        { "*\n!**/*.md\n", "d/e.md", false },
        { "!a\na\n", "a", true },
        { "# a\n #b\n", "#b", true },
        { "# a\n", "# a", false },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO(ignore_free) struct ignore *ig = rules(rows[i].rules);
        if (ignore_match(ig, rows[i].path) != rows[i].ignored ||
            walked(ig, rows[i].path) != rows[i].ignored)
            fail_msg("%s with %s", rows[i].path, rows[i].rules);
    }
}

static void files_are_read_line_by_line(void **state)
{
    struct err err = ERR_INIT;
    AUTO(strv_release) struct strv list = STRV_INIT;
    static const char text[] = "\xEF\xBB\xBFone\r\n\n# no\n  /two/ \n! /three//x/.\n!\n";
    (void)state;
    assert_ok(ignore_read(text, sizeof(text) - 1, &list, &err), &err);
    AUTO(mem_free) char *all = strv_join(&list, "|");
    assert_string_equal(all, "one|two|!three/x|!");
    assert_null(ignore_parse(text, sizeof(text) - 1, &err));
    assert_string_equal(err.msg, "illegal exclusion pattern: \"!\"");
    assert_int_equal(err.line, 6);
}

static void bad_patterns_are_named_with_their_line(void **state)
{
    static const char *const bad[] = { "[", "[]a]", "[a-]", "a\\", "[^", "x[b-a]*", "\\y" };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct err err = ERR_INIT;
        AUTO(mem_free) char *text = str_printf("ok\n%s\n", bad[i]);
        AUTO(mem_free)
        char *want = str_printf("bad ignore pattern '%s': syntax error in pattern", bad[i]);
        assert_null(ignore_parse(text, strlen(text), &err));
        assert_string_equal(err.msg, want);
        assert_int_equal(err.line, 2);
    }
}

static void an_ignored_directory_is_entered_only_for_an_exception(void **state)
{
    static const struct {
        const char *rules, *dir;
        bool may;
    } rows[] = {
        { "*\n", "a", false },
        { "*\n!a/b/c\n", "a", true },
        { "*\n!a/b/c\n", "a/b", true },
        { "*\n!a/b/c\n", "a/x", false },
        { "*\n!a/b/c\n", "ab", false },
        { "*\n!a/*/c\n", "a/x", true },
        { "*\n!a/*/c\n", "a/x/y", false },
        { "*\n!**/k\n", "deep/down", true },
        { "*\n!a/**\n", "a/b", true },
        { "*\n!a/**\n", "b", false },
        { "*\n!src/**/*.c\n", "src/x/y", true },
        { "*\n!src/**/*.c\n", "doc", false },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO(ignore_free) struct ignore *ig = rules(rows[i].rules);
        if (ignore_may_match_below(ig, rows[i].dir) != rows[i].may)
            fail_msg("%s with %s", rows[i].dir, rows[i].rules);
    }
}

static void the_patterns_can_be_listed(void **state)
{
    AUTO(ignore_free) struct ignore *ig = rules("a\n!b/c\n");
    bool exception;
    (void)state;
    assert_int_equal(ignore_len(ig), 2);
    assert_string_equal(ignore_pattern(ig, 1, &exception), "b/c");
    assert_true(exception);
}

static void many_stars_do_not_take_for_ever(void **state)
{
    AUTO(buf_release) struct buf pattern = BUF_INIT;
    AUTO(buf_release) struct buf path = BUF_INIT;
    (void)state;
    for (int i = 0; i < 200; i++)
        buf_adds(&pattern, "*a**/");
    buf_adds(&pattern, "b\n");
    for (int i = 0; i < 2000; i++)
        buf_adds(&path, "a");
    AUTO(ignore_free) struct ignore *ig = rules(buf_str(&pattern));
    assert_false(ignore_match(ig, buf_str(&path)));
}

static void globs_match_as_go_does(void **state)
{
    static const struct {
        const char *pattern, *name;
        int want; /* -1: bad pattern */
    } rows[] = {
        { "a*c", "abbc", 1 },
        { "a*c", "ab/c", 0 },
        { "*.tar.gz", "x.tar.gz", 1 },
        { "*a*b*c", "xaybzc", 1 },
        { "a*", "a", 1 },
        { "?", "\xC3\xA9", 1 },
        { "[a-z][0-9]", "q7", 1 },
        { "[^x]", "x", 0 },
        { "\\*", "*", 1 },
        { "a[", "b", -1 },
        { "[-]", "-", -1 },
        { "*", "a/b", 0 },
        { "", "", 1 },
        { "x", "", 0 },
        { "*/b", "a/b", 1 },
        { "a*b[", "zzz", -1 },
        { "[\\]]", "]", 1 },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err err = ERR_INIT;
        bool matched = false;
        int rc = glob_match(rows[i].pattern, rows[i].name, &matched, &err);
        if ((rc < 0 ? -1 : matched) != rows[i].want)
            fail_msg("%s with %s", rows[i].name, rows[i].pattern);
    }
    assert_true(glob_has_magic("a[b]"));
    assert_false(glob_has_magic("a\\*"));
}

static void a_path_becomes_the_line_that_means_it(UNUSED void **state)
{
    static const struct {
        const char *path, *line, *other;
    } rows[] = {
        { "docs", "docs", "x/docs" },
        { "docs/a b.md", "docs/a b.md", "docs/a" },
        { "a*b", "a\\*b", "axb" },
        { "a**", "a\\*\\*", "ab" },
        { "what?", "what\\?", "whatx" },
        { "[ab]", "\\[ab\\]", "a" },
        { "a\\b", "a\\\\b", "ab" },
        { "!a", "\\!a", "a" },
        { "#a", "\\#a", "a" },
        { "a!#", "a!#", "a" },
        { "^a*", "\\^a\\*", "ax" },
        { "a+(b)|{c}$.d*", "a+(b)|{c}$.d\\*", "aab" },
        { " a", "[ ]a", "a" },
        { "a ", "a[ ]", "a" },
        { "  ", "[ ][ ]", " " },
        { "a\t", "a[\t]", "a" },
        { "a\xC2\xA0", "a[\xC2\xA0]", "a" },
        { "\xC3\xA4?", "\xC3\xA4\\?", "\xC3\xA4x" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO(buf_release) struct buf line = BUF_INIT;
        assert_true(ignore_line(rows[i].path, &line));
        assert_string_equal(buf_str(&line), rows[i].line);
        buf_adds(&line, i % 2 ? "\n" : "/\n"); /* as a directory is written */
        AUTO(ignore_free) struct ignore *ig = rules(buf_str(&line));
        AUTO(mem_free) char *below = str_printf("%s/below", rows[i].path);
        assert_true(ignore_match(ig, rows[i].path));
        assert_true(walked(ig, rows[i].path));
        assert_true(ignore_match(ig, below));
        assert_false(ignore_match(ig, rows[i].other));
    }
}

static void a_path_that_no_line_can_say_gives_none(UNUSED void **state)
{
    static const char *const paths[] = { "", "a\nb", "a\xFF", "\xEF\xBB\xBFhidden" };
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        AUTO(buf_release) struct buf line = BUF_INIT;
        assert_false(ignore_line(paths[i], &line));
        assert_int_equal(line.len, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_path_becomes_the_line_that_means_it),
        cmocka_unit_test(a_path_that_no_line_can_say_gives_none),
        cmocka_unit_test(patterns_match_as_in_docker),
        cmocka_unit_test(files_are_read_line_by_line),
        cmocka_unit_test(bad_patterns_are_named_with_their_line),
        cmocka_unit_test(an_ignored_directory_is_entered_only_for_an_exception),
        cmocka_unit_test(the_patterns_can_be_listed),
        cmocka_unit_test(many_stars_do_not_take_for_ever),
        cmocka_unit_test(globs_match_as_go_does),
    };
    return UNIT_RUN("dockerfile_ignore", tests);
}

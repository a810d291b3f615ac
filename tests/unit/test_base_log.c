#include "tests/unit/unit.h"

#include "base/log.h"

/* What fd 2 gets while body runs. */
static void capture(void (*body)(void), char *ret, size_t size)
{
    int ends[2], saved = dup(2);

    assert_int_equal(pipe(ends), 0);
    assert_true(dup2(ends[1], 2) == 2);
    fd_close(ends[1]);
    body();
    dup2(saved, 2);
    fd_close(saved);
    ssize_t n = read(ends[0], ret, size - 1);
    fd_close(ends[0]);
    ret[n > 0 ? n : 0] = '\0';
}

static void escaped(const char *s, size_t n, const char *want)
{
    AUTO(buf_release) struct buf b = BUF_INIT;

    log_escape(&b, s, n);
    assert_string_equal(buf_str(&b), want);
}

static void a_terminal_is_safe_from_others_text(void **state UNUSED)
{
    escaped("plain\ttext", 10, "plain\ttext");
    escaped("\x1b[2J", 4, "\\x1b[2J");
    escaped("a\nb\r\0c\x7f", 7, "a\\x0ab\\x0d\\x00c\\x7f");
    escaped("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x8e\x89", 15,
            "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x8e\x89");
    escaped("\xc2\x9b"
            "2J",
            4, "\\xc2\\x9b2J"); /* CSI as a character */
    escaped("\x9b"
            "2J",
            3, "\\x9b2J"); /* and as a byte */
    escaped("\xc3", 1, "\\xc3");
    escaped("\xc0\x9b", 2, "\\xc0\\x9b");          /* overlong */
    escaped("\xed\xa0\x80", 3, "\\xed\\xa0\\x80"); /* a surrogate */
    escaped("", 0, "");
}

static void say(void)
{
    log_error("store", "cannot open '%s'", "a\nb");
    log_warn("remote", "slow");
    log_info("remote", "not shown");
    log_debug("remote", "not shown %d", 1);
}

static void lines_have_level_and_component(void **state UNUSED)
{
    char text[512];

    log_set_level(LOG_WARN);
    capture(say, text, sizeof(text));
    assert_string_equal(text, "shale: error: [store] cannot open 'a\\x0ab'\n"
                              "shale: warning: [remote] slow\n");
}

static void the_level_decides_what_is_shown(void **state UNUSED)
{
    char text[512];

    log_set_level(LOG_DEBUG);
    capture(say, text, sizeof(text));
    assert_non_null(strstr(text, "shale: info: [remote] not shown\n"));
    assert_non_null(strstr(text, "shale: debug: [remote] not shown 1\n"));
    log_set_level(LOG_ERROR);
    assert_int_equal(log_level(), LOG_ERROR);
    capture(say, text, sizeof(text));
    assert_null(strstr(text, "warning"));
}

int main(void)
{
    setenv("SHALE_LOG", "info", 1);
    if (log_level() != LOG_INFO) { /* looked at once, so it cannot be a case */
        fprintf(stderr, "SHALE_LOG was not obeyed\n");
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_terminal_is_safe_from_others_text),
        cmocka_unit_test(lines_have_level_and_component),
        cmocka_unit_test(the_level_decides_what_is_shown),
    };

    return UNIT_RUN("base_log", tests);
}

#include "tests/unit/unit.h"

#include "cmd/csv.h"
#include "cmd/frame.h"
#include "cmd/human.h"
#include "cmd/log_lines.h"
#include "cmd/table.h"
#include "cmd/terminal_text.h"

static const struct {
    const char *in, *out;
} filtered[] = {
    { "plain\ttext\n", "plain\ttext\n" },
    { "\033[31mred\033[0m\033[K", "\033[31mred\033[0m\033[K" },
    { "\033[38;5;196mx\033[38:2:1:2:3m", "\033[38;5;196mx\033[38:2:1:2:3m" },
    { "\033[2J\033[Hgone", "\\x1b[2J\\x1b[Hgone" },
    { "\033]0;title\007", "\\x1b]0;title\\x07" },
    { "\033\033[1mx", "\\x1b\033[1mx" },
    { "\033[31\nx", "\\x1b[31\nx" },
    { "50%\r100%\r\n", "50%\r100%\n" },
    { "a\r\r\nb", "a\r\nb" },
    { "a\bb\177", "a\\x08b\\x7f" },
    { "caf\xc3\xa9 \xc2\xa9", "caf\xc3\xa9 \xc2\xa9" },
    { "csi \xc2\x9b"
      "2J",
      "csi \\xc2\\x9b2J" },
    { "latin \xe9\xff", "latin \xe9\xff" },
    { "\xc2\033]0;title\xc2\033\\", "\xc2\\x1b]0;title\xc2\\x1b\\" },
    { "\xc2\n\xc2\xc2\x9b\xc2\r\xc2", "\xc2\n\xc2\\xc2\\x9b\xc2\r\xc2" },
    { "\033[1111111111111111111111111111m", "\\x1b[1111111111111111111111111111m" },
};

static void output_of_others_keeps_colours_and_loses_other_controls(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_LEN(filtered); i++) {
        AUTO(buf_release) struct buf b = BUF_INIT;
        struct terminal_filter f = { .n_held = 0 };
        terminal_filter_add(&f, filtered[i].in, strlen(filtered[i].in), &b);
        terminal_filter_end(&f, &b);
        assert_string_equal(buf_str(&b), filtered[i].out);
    }
}

static void output_may_be_cut_anywhere(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_LEN(filtered); i++) {
        size_t n = strlen(filtered[i].in);
        for (size_t cut = 0; cut <= n; cut++) {
            AUTO(buf_release) struct buf b = BUF_INIT;
            struct terminal_filter f = { .n_held = 0 };
            terminal_filter_add(&f, filtered[i].in, cut, &b);
            terminal_filter_add(&f, filtered[i].in + cut, n - cut, &b);
            terminal_filter_end(&f, &b);
            assert_string_equal(buf_str(&b), filtered[i].out);
        }
    }
}

static void an_unfinished_sequence_comes_out_escaped(void **state UNUSED)
{
    AUTO(buf_release) struct buf b = BUF_INIT;
    struct terminal_filter f = { .n_held = 0 };
    terminal_filter_add(&f, "x\033[3", 4, &b);
    assert_string_equal(buf_str(&b), "x");
    terminal_filter_end(&f, &b);
    assert_string_equal(buf_str(&b), "x\\x1b[3");
}

static void a_flattened_line_is_what_a_terminal_would_show(void **state UNUSED)
{
    AUTO(buf_release) struct buf b = BUF_INIT;
    terminal_flatten("old\r\033[1mnew\033[0m\tx", &b);
    assert_string_equal(buf_str(&b), "new     x");
}

static void text_is_cut_at_columns_not_bytes(void **state UNUSED)
{
    assert_int_equal(text_width("caf\xc3\xa9"), 4);
    assert_int_equal(text_width("\xe6\x97\xa5\xe6\x9c\xac"), 4);
    assert_int_equal(text_fit("caf\xc3\xa9!", 4), 5);
    assert_int_equal(text_fit("\xe6\x97\xa5\xe6\x9c\xac", 3), 3);
    assert_int_equal(text_fit("abc", 9), 3);
}

static void what_is_not_utf8_is_replaced(void **state UNUSED)
{
    AUTO(buf_release) struct buf b = BUF_INIT;
    text_add_utf8(&b, "a\xff\xc3\xa9\xed\xa0\x80\xc0\x80", 10);
    assert_string_equal(buf_str(&b), "a\xef\xbf\xbd\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
                                     "\xef\xbf\xbd\xef\xbf\xbd");
}

static void csv_fields_are_split_as_go_splits_them(void **state UNUSED)
{
    static const struct {
        const char *in, *out; /* NULL: refused */
    } cases[] = {
        { "a,b", "a|b" },         { "", "" },      { "a,,b,", "a||b|" }, { "\"a,b\",c", "a,b|c" },
        { "\"a\"\"b\"", "a\"b" }, { "\"a", NULL }, { "\"a\"b", NULL },   { "a\"b", NULL },
        { "x=\"y\"", NULL },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err = ERR_INIT;
        AUTO(strv_release) struct strv fields = STRV_INIT;
        int code = csv_parse(cases[i].in, &fields, &err);
        assert_int_equal(code, cases[i].out == NULL ? ERR_USAGE : 0);
        if (cases[i].out == NULL)
            continue;
        AUTO(mem_free) char *all = strv_join(&fields, "|");
        assert_string_equal(all, cases[i].out);
    }
}

static void sizes_read_as_docker_writes_them(void **state UNUSED)
{
    static const struct {
        uint64_t bytes;
        const char *size, *progress;
    } cases[] = {
        { 0, "0B", "0B" },
        { 999, "999B", "999B" },
        { 1000, "1kB", "1.00kB" },
        { 1190, "1.19kB", "1.19kB" },
        { 12345, "12.3kB", "12.35kB" },
        { 100050, "100kB", "100.05kB" },
        { 1982000, "1.98MB", "1.98MB" },
        { 20000000, "20MB", "20.00MB" },
        { 999999, "1000kB", "1000.00kB" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[HUMAN_LEN];
        assert_string_equal(human_size(cases[i].bytes, text), cases[i].size);
        assert_string_equal(human_bytes(cases[i].bytes, text), cases[i].progress);
    }
}

static void durations_read_as_docker_writes_them(void **state UNUSED)
{
    static const struct {
        int64_t s;
        const char *text;
    } cases[] = {
        { -5, "Less than a second" }, { 0, "Less than a second" }, { 1, "1 second" },
        { 59, "59 seconds" },         { 60, "About a minute" },    { 121, "2 minutes" },
        { 3599, "59 minutes" },       { 3600, "About an hour" },   { 47 * 3600, "47 hours" },
        { 48 * 3600, "2 days" },      { 14 * 86400, "2 weeks" },   { 60 * 86400, "2 months" },
        { 730 * 86400, "2 years" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[HUMAN_LEN];
        assert_string_equal(human_duration(cases[i].s, text), cases[i].text);
    }
    char text[HUMAN_LEN];
    assert_string_equal(human_log_time(103, text), "0.103");
    assert_string_equal(human_log_time(12345, text), "12.35");
    assert_string_equal(human_log_time(123456, text), "123.5");
}

#define FIVE "l1\nl2\nl3\nl4\nl5"
#define RULE "--------------------\n"

static void a_frame_shows_two_lines_around_one_and_one_around_several(void **state UNUSED)
{
    static const struct {
        int first, last;
        const char *text;
    } cases[] = {
        { 3, 3,
          "D:3\n" RULE "   1 |     l1\n   2 |     l2\n   3 | >>> l3\n   4 |     l4\n"
          "   5 |     l5\n" RULE },
        { 1, 0, "D:1\n" RULE "   1 | >>> l1\n   2 |     l2\n   3 |     l3\n" RULE },
        { 5, 5, "D:5\n" RULE "   3 |     l3\n   4 |     l4\n   5 | >>> l5\n" RULE },
        { 3, 4, "D:3\n" RULE "   2 |     l2\n   3 | >>> l3\n   4 | >>> l4\n   5 |     l5\n" RULE },
        { 5, 9, "D:5\n" RULE "   3 |     l3\n   4 |     l4\n   5 | >>> l5\n" RULE },
        { 6, 6, "" },
        { 0, 0, "" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO(buf_release) struct buf b = BUF_INIT;
        frame_add(&b, "D", FIVE, strlen(FIVE), cases[i].first, cases[i].last);
        assert_string_equal(buf_str(&b), cases[i].text);
    }
}

static void a_frame_is_safe_for_terminals(void **state UNUSED)
{
    AUTO(buf_release) struct buf b = BUF_INIT;
    const char *text = "RUN \033[2J\r\n";
    frame_add(&b, "D\n", text, strlen(text), 1, 1);
    assert_string_equal(buf_str(&b),
                        "D\\x0a:1\n" RULE "   1 | >>> RUN \\x1b[2J\n   2 |     \n" RULE);
}

static void the_last_lines_of_a_log_are_kept(void **state UNUSED)
{
    struct log_lines l = { .max_lines = 3 };
    for (int i = 0; i < 1000; i++) {
        char text[32];
        int n = snprintf(text, sizeof(text), "line %d\n", i);
        log_lines_add(&l, text, 3, i);
        log_lines_add(&l, text + 3, (size_t)n - 3, i + 1);
    }
    log_lines_add(&l, "tail", 4, 1000);
    assert_int_equal(l.n - l.first, 3);
    assert_string_equal(l.v[l.first].text, "line 997");
    assert_int_equal(l.v[l.first].ms, 997);
    log_lines_end(&l);
    assert_string_equal(l.v[l.n - 1].text, "tail");
    log_lines_release(&l);
}

static void a_log_is_bounded_in_bytes(void **state UNUSED)
{
    struct log_lines l = { .max_lines = 0 };
    char block[4096];
    memset(block, 'x', sizeof(block));
    for (int i = 0; i < 2048; i++)
        log_lines_add(&l, block, sizeof(block), 0);
    assert_true(l.bytes + l.partial.len <= 3 << 20);
    assert_true(l.n > l.first);
    log_lines_release(&l);
}

static void table_columns_are_aligned(void **state UNUSED)
{
    AUTO(strv_release) struct strv cells = STRV_INIT;
    AUTO(buf_release) struct buf b = BUF_INIT;
    strv_split(&cells, "REPOSITORY,TAG,SIZE,busybox,latest,1B,a/very/long/name,x,20MB", ',');
    table_add(&b, &cells, 3);
    assert_string_equal(buf_str(&b), "REPOSITORY         TAG       SIZE\n"
                                     "busybox            latest    1B\n"
                                     "a/very/long/name   x         20MB\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(output_of_others_keeps_colours_and_loses_other_controls),
        cmocka_unit_test(output_may_be_cut_anywhere),
        cmocka_unit_test(an_unfinished_sequence_comes_out_escaped),
        cmocka_unit_test(a_flattened_line_is_what_a_terminal_would_show),
        cmocka_unit_test(text_is_cut_at_columns_not_bytes),
        cmocka_unit_test(what_is_not_utf8_is_replaced),
        cmocka_unit_test(csv_fields_are_split_as_go_splits_them),
        cmocka_unit_test(sizes_read_as_docker_writes_them),
        cmocka_unit_test(durations_read_as_docker_writes_them),
        cmocka_unit_test(a_frame_shows_two_lines_around_one_and_one_around_several),
        cmocka_unit_test(a_frame_is_safe_for_terminals),
        cmocka_unit_test(the_last_lines_of_a_log_are_kept),
        cmocka_unit_test(a_log_is_bounded_in_bytes),
        cmocka_unit_test(table_columns_are_aligned),
    };
    return UNIT_RUN("cmd_text", tests);
}

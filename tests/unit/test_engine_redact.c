/* Secrets in what a step prints. */
#include "tests/unit/unit.h"

#include "base/buf.h"
#include "engine/redact.h"
#include <string.h>

/* What came out, by stream. */
struct shown {
    struct buf of[3];
    struct redactor *r;
};

static void show(void *arg, int stream, const char *p, size_t n)
{
    struct shown *s = arg;

    buf_add(&s->of[stream], p, n);
}

static void begin(struct shown *s, const char *const *values, size_t n)
{
    *s = (struct shown){ .r = redactor_new(show, s) };
    for (size_t i = 0; i < n; i++)
        redactor_add(s->r, values[i], strlen(values[i]));
}

static void end(struct shown *s)
{
    redactor_free(s->r);
    for (size_t i = 0; i < ARRAY_LEN(s->of); i++)
        buf_release(&s->of[i]);
}

/* text in up to three pieces, cut at a and b. */
static void expect(const char *const *values, size_t n, const char *text, const char *want,
                   size_t a, size_t b)
{
    struct shown s;

    begin(&s, values, n);
    redactor_pass(s.r, 1, text, a);
    redactor_pass(s.r, 1, text + a, b - a);
    redactor_pass(s.r, 1, text + b, strlen(text) - b);
    redactor_end(s.r);
    if (strcmp(buf_str(&s.of[1]), want) != 0)
        fail_msg("'%s' cut at %zu and %zu: '%s', not '%s'", text, a, b, buf_str(&s.of[1]), want);
    end(&s);
}

static void expect_in_all_pieces(const char *const *values, size_t n, const char *text,
                                 const char *want)
{
    for (size_t a = 0; a <= strlen(text); a++)
        for (size_t b = a; b <= strlen(text); b++)
            expect(values, n, text, want, a, b);
}

static void values_are_found_however_the_text_is_cut(void **state)
{
    static const char *const values[] = { "hunter22\n", "hunter22-and-more", "12345678", "short" };
    static const struct {
        const char *text, *want;
    } rows[] = {
        { "", "" },
        { "hunter22", "***" },
        { "a hunter22 b\n", "a *** b\n" },
        { "hunter22hunter22", "******" },
        { "hunter22-and-more!", "***!" },
        { "hunter22-and-mor", "***-and-mor" },
        { "hunter22-and-12345678", "***-and-***" },
        { "hunter2 2 short", "hunter2 2 short" },
        { "huntehunter22", "hunte***" },
        { "1234567123456789", "1234567***9" },
        { "hunter2", "hunter2" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        expect_in_all_pieces(values, ARRAY_LEN(values), rows[i].text, rows[i].want);
}

static void each_line_of_a_value_is_one(void **state)
{
    static const char *const values[] = { "-----BEGIN KEY-----\r\n  b3BlbnNzaC1r\nxy\n\n" };

    (void)state;
    expect_in_all_pieces(values, 1, "b3BlbnNzaC1r xy", "*** xy");
    expect(values, 1, "-----BEGIN KEY-----\r\n  b3BlbnNzaC1r\nxy\n", "***\r\n  ***\nxy\n", 3, 30);
}

static void bytes_of_any_kind_are_found(void **state)
{
    static const char value[] = "\xff\0\x80secret";
    struct shown s;

    (void)state;
    begin(&s, NULL, 0);
    redactor_add(s.r, value, sizeof(value) - 1);
    redactor_pass(s.r, 2, value, 2);
    redactor_pass(s.r, 2, value + 2, sizeof(value) - 3);
    redactor_end(s.r);
    assert_string_equal(buf_str(&s.of[2]), "***");
    end(&s);
}

static void no_more_than_a_beginning_is_held_back(void **state)
{
    static const char *const values[] = { "password-of-the-test" };
    struct shown s;

    (void)state;
    begin(&s, values, 1);
    redactor_pass(s.r, 1, "Enter password", 14);
    assert_string_equal(buf_str(&s.of[1]), "Enter ");
    redactor_pass(s.r, 2, "-of-the-test", 12);
    assert_string_equal(buf_str(&s.of[2]), "-of-the-test");
    redactor_pass(s.r, 1, ": ", 2);
    assert_string_equal(buf_str(&s.of[1]), "Enter password: ");
    end(&s);
}

/* The longest secret there may be, of one line, and of as many as there can be. */
static void large_values_are_found(void **state)
{
    enum { SIZE = 500 << 10 };
    AUTO(mem_free) char *line = mem_alloc(SIZE);
    struct shown s;

    (void)state;
    for (size_t i = 0; i < SIZE; i++)
        line[i] = (char)('a' + (i / 7 + i * i) % 26);
    for (int lines = 0; lines < 2; lines++) {
        for (size_t i = 8; lines && i < SIZE; i += 9)
            line[i] = '\n';
        begin(&s, NULL, 0);
        redactor_add(s.r, line, SIZE);
        for (size_t at = 0; at < SIZE; at += 64 << 10)
            redactor_pass(s.r, 1, line + at, SIZE - at < 64 << 10 ? SIZE - at : 64 << 10);
        redactor_end(s.r);
        for (const char *p = buf_str(&s.of[1]); *p != '\0'; p++)
            if (*p != '*' && *p != '\n')
                fail_msg("'%.20s' is shown", p);
        assert_true(s.of[1].len > 1000);
        end(&s);
    }
}

static void messages_are_changed_in_place(void **state)
{
    static const char *const values[] = { "hunter22", "canary-of-the-test" };
    static const char *const rows[][2] = {
        { "", "" },
        { "a hunter22hunter22 b", "a ****** b" },
        { "x=canary-of-the-test", "x=***" },
        { "x=canary-of-the", "x=***" },
        { "x=canary-", "x=canary-" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct shown s;
        AUTO(mem_free) char *text = str_dup(rows[i][0]);
        begin(&s, values, ARRAY_LEN(values));
        redactor_message(s.r, text);
        assert_string_equal(text, rows[i][1]);
        end(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_found_however_the_text_is_cut),
        cmocka_unit_test(each_line_of_a_value_is_one),
        cmocka_unit_test(bytes_of_any_kind_are_found),
        cmocka_unit_test(no_more_than_a_beginning_is_held_back),
        cmocka_unit_test(large_values_are_found),
        cmocka_unit_test(messages_are_changed_in_place),
    };

    return UNIT_RUN("engine_redact", tests);
}

#include "tests/unit/unit.h"

#include "base/clock.h"

static void format_leaves_out_trailing_zeros(void **state UNUSED)
{
    static const struct {
        struct clock_time t;
        const char *want;
    } rows[] = {
        { { 0, 0 }, "1970-01-01T00:00:00Z" },
        { { 1704164645, 123456789 }, "2024-01-02T03:04:05.123456789Z" },
        { { 1704164645, 120000000 }, "2024-01-02T03:04:05.12Z" },
        { { 1704164645, 1 }, "2024-01-02T03:04:05.000000001Z" },
        { { -62135596800, 0 }, "0001-01-01T00:00:00Z" },
        { { 253402300799, 999999999 }, "9999-12-31T23:59:59.999999999Z" },
    };
    char text[CLOCK_STR_LEN];

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err err = ERR_INIT;
        struct clock_time back;
        assert_string_equal(clock_format(rows[i].t, text), rows[i].want);
        assert_ok(clock_parse(text, &back, &err), &err);
        assert_true(back.s == rows[i].t.s && back.ns == rows[i].t.ns);
    }
}

static void parse_takes_any_offset(void **state UNUSED)
{
    static const struct {
        const char *text;
        int64_t s;
        int32_t ns;
    } rows[] = {
        { "2024-01-02T03:04:05+01:00", 1704161045, 0 },
        { "2024-01-02T03:04:05.5-05:30", 1704184445, 500000000 },
        { "2024-02-29t00:00:00z", 1709164800, 0 },
        { "2000-02-29T23:59:59.1234567899Z", 951868799, 123456789 },
        { "0000-03-01T00:00:00Z", -62162035200, 0 },
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err err = ERR_INIT;
        struct clock_time t;
        assert_ok(clock_parse(rows[i].text, &t, &err), &err);
        assert_true(t.s == rows[i].s);
        assert_int_equal(t.ns, rows[i].ns);
    }
}

static void parse_refuses_what_is_no_time(void **state UNUSED)
{
    static const char *const rows[] = {
        "",
        "now",
        "2024-01-02",
        "2024-01-02 03:04:05Z",
        "2024-13-02T03:04:05Z",
        "2023-02-29T03:04:05Z",
        "1900-02-29T03:04:05Z",
        "2024-04-31T03:04:05Z",
        "2024-01-00T03:04:05Z",
        "2024-01-02T24:04:05Z",
        "2024-01-02T03:04:60Z",
        "2024-01-02T03:04:05",
        "2024-01-02T03:04:05.Z",
        "2024-01-02T03:04:05Zx",
        "2024-01-02T03:04:05+1:00",
        "2024-01-02T03:04:05+01:60",
        "2024-01-02T03:04:05+24:00",
        "24-01-02T03:04:05Z",
    };
    struct clock_time t = { 1, 2 };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err err = ERR_INIT;
        if (clock_parse(rows[i], &t, &err) != ERR_CORRUPT)
            fail_msg("'%s' was taken", rows[i]);
    }
    assert_true(t.s == 1 && t.ns == 2);
}

static void clocks_move_forward(void **state UNUSED)
{
    int64_t ms = clock_mono_ms(), us = clock_mono_us();

    usleep(2000);
    assert_true(clock_mono_ms() > ms);
    assert_true(clock_mono_us() >= us + 2000);
    assert_true(clock_wall_s() > 1600000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(format_leaves_out_trailing_zeros),
        cmocka_unit_test(parse_takes_any_offset),
        cmocka_unit_test(parse_refuses_what_is_no_time),
        cmocka_unit_test(clocks_move_forward),
    };

    return UNIT_RUN("base_clock", tests);
}

#include "dockerfile/instr_internal.h"
#include "dockerfile/runes_internal.h"
#include <ctype.h>
#include <string.h>

static const struct unit {
    const char *name;
    int64_t ns;
} units[] = {
    { "ns", 1 },
    { "us", 1000 },
    { "\xC2\xB5s", 1000 }, /* micro sign */
    { "\xCE\xBCs", 1000 }, /* Greek mu */
    { "ms", 1000000 },
    { "s", 1000000000 },
    { "m", 60 * (int64_t)1000000000 },
    { "h", 3600 * (int64_t)1000000000 },
};

static int invalid(const char *what, const char *s, struct err *err)
{
    AUTO(buf_release) struct buf quoted = BUF_INIT;
    text_quote(&quoted, s);
    return err_set(err, ERR_USAGE, "time: %s duration %s", what, buf_str(&quoted));
}

static int64_t unit_of(const char *s, size_t n)
{
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (strlen(units[i].name) == n && memcmp(units[i].name, s, n) == 0)
            return units[i].ns;
    }
    return 0;
}

/* "1h", "1.5s": one number with its unit, added to *sum. */
static int add_part(const char **s, const char *whole, uint64_t *sum, struct err *err)
{
    uint64_t value = 0, part = 0;
    double fraction = 0, scale = 1;
    const char *p = *s, *start = p;
    for (; isdigit((unsigned char)*p); p++) {
        if (__builtin_mul_overflow(value, 10u, &value) ||
            __builtin_add_overflow(value, (uint64_t)(*p - '0'), &value))
            return invalid("invalid", whole, err);
    }
    bool has_digits = p > start;
    if (*p == '.') {
        for (p++; isdigit((unsigned char)*p); p++) {
            fraction = fraction * 10 + (*p - '0');
            scale *= 10;
            has_digits = true;
        }
    }
    if (!has_digits)
        return invalid("invalid", whole, err);
    size_t n = strcspn(p, ".0123456789");
    int64_t unit = unit_of(p, n);
    if (n == 0)
        return invalid("missing unit in", whole, err);
    if (unit == 0) {
        AUTO(buf_release) struct buf what = BUF_INIT;
        AUTO(mem_free) char *name = str_ndup(p, n);
        buf_adds(&what, "unknown unit ");
        text_quote(&what, name);
        buf_adds(&what, " in");
        return invalid(buf_str(&what), whole, err);
    }
    if (__builtin_mul_overflow(value, (uint64_t)unit, &part) ||
        __builtin_add_overflow(part, (uint64_t)(fraction * ((double)unit / scale)), &part) ||
        __builtin_add_overflow(*sum, part, sum) || *sum > INT64_MAX)
        return invalid("invalid", whole, err);
    *s = p + n;
    return 0;
}

int duration_parse(const char *s, int64_t *ret, struct err *err)
{
    const char *p = s;
    bool negative = *p == '-';
    uint64_t sum = 0;
    p += *p == '-' || *p == '+';
    if (strcmp(p, "0") == 0) {
        *ret = 0;
        return 0;
    }
    if (*p == '\0')
        return invalid("invalid", s, err);
    while (*p != '\0') {
        if (add_part(&p, s, &sum, err) < 0)
            return err->code;
    }
    *ret = negative ? -(int64_t)sum : (int64_t)sum;
    return 0;
}

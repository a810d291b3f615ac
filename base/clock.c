#include "base/clock.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static int64_t mono_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t clock_mono_ms(void)
{
    return mono_ns() / 1000000;
}

int64_t clock_mono_us(void)
{
    return mono_ns() / 1000;
}

int64_t clock_wall_s(void)
{
    return clock_now().s;
}

struct clock_time clock_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (struct clock_time){ .s = t.tv_sec, .ns = (int32_t)t.tv_nsec };
}

const char *clock_format(struct clock_time t, char ret[CLOCK_STR_LEN])
{
    time_t s = t.s;
    struct tm tm = { .tm_mday = 1 };
    char fraction[16] = "";

    gmtime_r(&s, &tm);
    if (t.ns > 0 && t.ns < 1000000000) {
        size_t len = (size_t)snprintf(fraction, sizeof(fraction), ".%09d", (int)t.ns);
        while (fraction[len - 1] == '0')
            fraction[--len] = '\0';
    }
    snprintf(ret, CLOCK_STR_LEN, "%04d-%02d-%02dT%02d:%02d:%02d%sZ", tm.tm_year + 1900,
             tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, fraction);
    return ret;
}

/* Exactly n digits at *s, then the character after (0: none); moves *s. */
static bool number(const char **s, int n, char after, int min, int max, int *ret)
{
    int v = 0;

    for (int i = 0; i < n; i++, (*s)++) {
        if (**s < '0' || **s > '9')
            return false;
        v = v * 10 + (**s - '0');
    }
    if (after != '\0' && *(*s)++ != after)
        return false;
    *ret = v;
    return v >= min && v <= max;
}

/* Days since 1970-01-01 in the proleptic Gregorian calendar; years begin in March here. */
static int64_t days_from_civil(int year, int month, int day)
{
    int y = month <= 2 ? year - 1 : year;
    int era = (y >= 0 ? y : y - 399) / 400;
    int yoe = y - era * 400;
    int doy = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;

    return (int64_t)era * 146097 + doe - 719468;
}

static int days_in_month(int year, int month)
{
    static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

    return days[month - 1] + (month == 2 && leap);
}

/* ".5" and so on; digits beyond the ninth are dropped. */
static bool parse_fraction(const char **s, int32_t *ret_ns)
{
    int32_t unit = 100000000;

    *ret_ns = 0;
    if (**s != '.')
        return true;
    const char *first = ++*s;
    for (; **s >= '0' && **s <= '9'; (*s)++, unit /= 10)
        *ret_ns += (**s - '0') * unit;
    return *s != first;
}

/* "Z" or "+hh:mm", to the end of the text. */
static bool parse_offset(const char *s, int *ret_s)
{
    int hours = 0, minutes = 0;
    int sign = *s == '-' ? -1 : 1;

    *ret_s = 0;
    if (*s == 'Z' || *s == 'z')
        return s[1] == '\0';
    if (*s != '+' && *s != '-')
        return false;
    s++;
    if (!number(&s, 2, ':', 0, 23, &hours) || !number(&s, 2, 0, 0, 59, &minutes) || *s != '\0')
        return false;
    *ret_s = sign * (hours * 3600 + minutes * 60);
    return true;
}

int clock_parse(const char *text, struct clock_time *ret, struct err *err)
{
    const char *s = text;
    int year, month, day, hour, minute, second, offset;
    int32_t ns;

    bool date = number(&s, 4, '-', 0, 9999, &year) && number(&s, 2, '-', 1, 12, &month) &&
                number(&s, 2, 0, 1, 31, &day) && day <= days_in_month(year, month) &&
                (*s == 'T' || *s == 't');
    if (!date)
        return err_set(err, ERR_CORRUPT, "bad time '%.60s'", text);
    s++;
    bool time = number(&s, 2, ':', 0, 23, &hour) && number(&s, 2, ':', 0, 59, &minute) &&
                number(&s, 2, 0, 0, 59, &second) && parse_fraction(&s, &ns) &&
                parse_offset(s, &offset);
    if (!time)
        return err_set(err, ERR_CORRUPT, "bad time '%.60s'", text);
    ret->s =
        days_from_civil(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - offset;
    ret->ns = ns;
    return 0;
}

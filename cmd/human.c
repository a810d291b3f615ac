#include "cmd/human.h"
#include "base/own.h"
#include <stdio.h>

static const char *const units[] = { "B", "kB", "MB", "GB", "TB", "PB", "EB" };

static double scale(uint64_t bytes, size_t *ret_unit)
{
    double value = (double)bytes;
    size_t i = 0;
    while (value >= 1000 && i + 1 < ARRAY_LEN(units)) {
        value /= 1000;
        i++;
    }
    *ret_unit = i;
    return value;
}

const char *human_size(uint64_t bytes, char ret[HUMAN_LEN])
{
    size_t unit;
    double value = scale(bytes, &unit);
    /* %.3g would turn 999.6 into 1e+03. */
    snprintf(ret, HUMAN_LEN, value >= 999.5 ? "%.0f%s" : "%.3g%s", value, units[unit]);
    return ret;
}

const char *human_bytes(uint64_t bytes, char ret[HUMAN_LEN])
{
    size_t unit;
    double value = scale(bytes, &unit);
    snprintf(ret, HUMAN_LEN, "%.*f%s", unit == 0 ? 0 : 2, value, units[unit]);
    return ret;
}

const char *human_duration(int64_t s, char ret[HUMAN_LEN])
{
    int64_t m = s / 60, h = (s + 1800) / 3600;
    static const struct {
        int64_t below_hours, hours;
        const char *name;
    } spans[] = {
        { 48, 1, "hours" },
        { 24 * 7 * 2, 24, "days" },
        { 24 * 30 * 2, 24 * 7, "weeks" },
        { 24 * 365 * 2, 24 * 30, "months" },
        { INT64_MAX, 24 * 365, "years" },
    };
    if (s < 1)
        snprintf(ret, HUMAN_LEN, "Less than a second");
    else if (s == 1)
        snprintf(ret, HUMAN_LEN, "1 second");
    else if (s < 60)
        snprintf(ret, HUMAN_LEN, "%d seconds", (int)s);
    else if (m == 1)
        snprintf(ret, HUMAN_LEN, "About a minute");
    else if (m < 60)
        snprintf(ret, HUMAN_LEN, "%d minutes", (int)m);
    else if (h == 1)
        snprintf(ret, HUMAN_LEN, "About an hour");
    else {
        size_t i = 0;
        while (h >= spans[i].below_hours && i + 1 < ARRAY_LEN(spans))
            i++;
        snprintf(ret, HUMAN_LEN, "%lld %s", (long long)(h / spans[i].hours), spans[i].name);
    }
    return ret;
}

const char *human_log_time(int64_t ms, char ret[HUMAN_LEN])
{
    double s = (double)(ms > 0 ? ms : 0) / 1000;
    snprintf(ret, HUMAN_LEN, "%.*f", s < 10 ? 3 : s < 100 ? 2 : 1, s);
    return ret;
}

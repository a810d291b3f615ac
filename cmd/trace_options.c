#include "cmd/trace_options.h"

#include <stdlib.h>
#include <string.h>

#define DIGITS "0123456789"
#define DIGITS_MAX 9 /* of a number: no product with a unit overflows */

bool trace_mode_parse(const char *text, struct build_options *b)
{
    static const char *const modes[] = {
        [TRACE_ON] = "on", [TRACE_OFF] = "off", [TRACE_VERIFY] = "verify"
    };
    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        if (str_eq(modes[i], text)) {
            b->trace = (enum build_trace)i;
            return true;
        }
    }
    return false;
}

/* The number at the beginning; NULL: there is none. Else what follows it. */
static const char *read_number(const char *text, int64_t *ret)
{
    size_t n = strspn(text, DIGITS);
    if (n == 0 || n > DIGITS_MAX)
        return NULL;
    *ret = strtoll(text, NULL, 10);
    return text + n;
}

bool trace_max_age_parse(const char *text, struct build_options *b)
{
    static const struct {
        const char *name;
        int64_t seconds;
    } units[] = { { "s", 1 }, { "m", 60 }, { "h", 3600 }, { "d", 86400 }, { "w", 7 * 86400 } };
    int64_t n;
    const char *unit = read_number(text, &n);
    if (unit == NULL)
        return false;
    if (*unit == '\0' && n == 0) {
        b->trace_max_age_s = 0;
        return true;
    }
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (str_eq(units[i].name, unit)) {
            b->trace_max_age_s = n * units[i].seconds;
            return true;
        }
    }
    return false;
}

bool trace_sample_parse(const char *text, struct build_options *b)
{
    int64_t n;
    const char *rest = read_number(text, &n);
    if (rest == NULL || n > 100 || (*rest != '\0' && !str_eq(rest, "%")))
        return false;
    b->trace_sample = (unsigned)n;
    return true;
}

/* An option of that name, its variable, and what a value of it is. */
struct switch_of {
    const char *name, *variable, *wanted;
    bool (*parse)(const char *text, struct build_options *b);
};

static int take(struct build_options *b, const struct options *o, const struct switch_of *s,
                const char *configured, struct err *err)
{
    const char *given = option_str(o, s->name), *value = getenv(s->variable);
    if (option_given(o, s->name))
        return s->parse(given, b) ? 0
                                  : err_set(err, ERR_USAGE, "invalid --%s \"%s\": it must be %s",
                                            s->name, given, s->wanted);
    if (value != NULL && *value != '\0')
        return s->parse(value, b) ? 0
                                  : err_set(err, ERR_USAGE, "invalid %s \"%s\": it must be %s",
                                            s->variable, value, s->wanted);
    if (configured != NULL && !s->parse(configured, b))
        return err_set(err, ERR_USAGE, "invalid %s \"%s\" in the configuration: it must be %s",
                       s->name, configured, s->wanted);
    return 0;
}

int trace_options_take(struct build_options *b, const struct options *o, const struct config *c,
                       struct err *err)
{
    static const struct switch_of mode = { "trace", "SHALE_TRACE", "on, off or verify",
                                           trace_mode_parse };
    static const struct switch_of age = { "trace-max-age", "SHALE_TRACE_MAX_AGE",
                                          "a whole number with s, m, h, d or w behind it, or 0",
                                          trace_max_age_parse };
    static const struct switch_of sample = { "trace-sample", "SHALE_TRACE_SAMPLE",
                                             "a whole number of percent from 0 to 100",
                                             trace_sample_parse };
    b->trace = TRACE_ON;
    b->trace_max_age_s = TRACE_MAX_AGE_S;
    b->trace_sample = 0;
    if (take(b, o, &mode, c->trace, err) < 0 || take(b, o, &age, c->trace_max_age, err) < 0 ||
        take(b, o, &sample, c->trace_sample, err) < 0)
        return err->code;
    return 0;
}

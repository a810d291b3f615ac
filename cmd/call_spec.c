#include "cmd/call.h"
#include "cmd/csv.h"
#include <string.h>

/* As Go's strconv.ParseBool. */
static int parse_bool(const char *text, bool *ret, struct err *err)
{
    static const char *const yes[] = { "1", "t", "T", "true", "TRUE", "True" };
    static const char *const no[] = { "0", "f", "F", "false", "FALSE", "False" };
    for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
        if (str_eq(text, yes[i]) || str_eq(text, no[i])) {
            *ret = str_eq(text, yes[i]);
            return 0;
        }
    }
    return err_set(err, ERR_USAGE, "invalid ignorestatus print value: %s", text);
}

static int parse_field(const char *field, const char *whole, const char **name, struct call *ret,
                       struct err *err)
{
    if (str_starts(field, "ignorestatus="))
        return parse_bool(strchr(field, '=') + 1, &ret->ignore_status, err);
    if (str_starts(field, "format=")) {
        ret->json = str_eq(strchr(field, '=') + 1, "json");
        return 0;
    }
    if (strchr(field, '=') != NULL)
        return err_set(err, ERR_USAGE, "invalid print field: %s", field);
    if (*name != NULL && **name != '\0')
        return err_set(err, ERR_USAGE, "invalid print value: %s", whole);
    *name = field;
    return 0;
}

static int find_method(const char *name, enum call_method *ret, struct err *err)
{
    static const struct {
        const char *name;
        enum call_method method;
    } methods[] = {
        { "build", CALL_BUILD },     { "check", CALL_CHECK },
        { "lint", CALL_CHECK },      { "outline", CALL_OUTLINE },
        { "targets", CALL_TARGETS }, { "subrequests.describe", CALL_METHODS },
    };
    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        if (str_eq(methods[i].name, name)) {
            *ret = methods[i].method;
            return 0;
        }
    }
    return err_set(err, ERR_USAGE,
                   "failed to build: failed to solve: unsupported request frontend.%s", name);
}

int call_parse(const struct options *o, struct call *ret, struct err *err)
{
    AUTO(strv_release) struct strv fields = STRV_INIT;
    const char *text = option_given(o, "print") ? option_str(o, "print") : option_str(o, "call");
    const char *name = NULL;
    struct call call = { .method = CALL_BUILD };
    if (text != NULL && *text != '\0') {
        if (csv_parse(text, &fields, err) < 0)
            return err->code;
        for (size_t i = 0; i < fields.n; i++) {
            if (parse_field(fields.v[i], text, &name, &call, err) < 0)
                return err->code;
        }
        if (find_method(name != NULL ? name : "", &call.method, err) < 0 && !option_on(o, "check"))
            return err->code;
    }
    if (option_on(o, "check"))
        call.method = CALL_CHECK;
    err_clear(err);
    *ret = call;
    return 0;
}

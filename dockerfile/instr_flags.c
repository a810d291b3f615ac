#include "dockerfile/instr_internal.h"
#include "dockerfile/suggest.h"
#include <assert.h>
#include <string.h>
#include <strings.h>

static int unknown_flag(const char *name, const struct flag_spec *specs, size_t n_specs,
                        struct err *err)
{
    const char *names[FLAGS_MAX];
    for (size_t i = 0; i < n_specs; i++)
        names[i] = specs[i].name;
    err_set(err, ERR_USAGE, "unknown flag: --%s", name);
    suggest_add(err, name, names, n_specs, false);
    return err->code;
}

static int set_bool(const char *name, const char *value, const char **ret, struct err *err)
{
    if (value == NULL || strcasecmp(value, "true") == 0)
        *ret = "true";
    else if (strcasecmp(value, "false") == 0)
        *ret = "false";
    else if (*value == '\0')
        return err_set(err, ERR_USAGE, "missing a value on flag: --%s", name);
    else
        return err_set(err, ERR_USAGE, "expecting boolean value for flag --%s, not: %s", name,
                       value);
    return 0;
}

static int parse_flag(const char *flag, const struct flag_spec *specs, size_t n_specs,
                      struct flag_values *ret, struct err *err)
{
    const char *equals = strchr(flag, '=');
    const char *value = equals != NULL ? equals + 1 : NULL;
    AUTO(mem_free) char *name = str_ndup(flag, equals ? (size_t)(equals - flag) : strlen(flag));
    size_t i = 0;
    while (i < n_specs && strcmp(specs[i].name, name) != 0)
        i++;
    if (i == n_specs)
        return unknown_flag(name, specs, n_specs, err);
    if (ret->v[i] != NULL && specs[i].type != FLAG_LIST)
        return err_set(err, ERR_USAGE, "duplicate flag specified: --%s", name);
    if (specs[i].type == FLAG_BOOL)
        return set_bool(name, value, &ret->v[i], err);
    if (value == NULL)
        return err_set(err, ERR_USAGE, "missing a value on flag: --%s", name);
    ret->v[i] = value;
    return 0;
}

int flags_parse(const struct strv *given, const struct flag_spec *specs, size_t n_specs,
                struct flag_values *ret, struct err *err)
{
    assert(n_specs <= FLAGS_MAX);
    *ret = (struct flag_values){ { NULL } };
    for (size_t i = 0; i < given->n; i++) {
        if (parse_flag(given->v[i] + 2, specs, n_specs, ret, err) < 0)
            return err->code;
    }
    return 0;
}

void flags_list(const struct strv *given, const char *name, struct strv *ret)
{
    size_t n = strlen(name);
    for (size_t i = 0; i < given->n; i++) {
        const char *flag = given->v[i] + 2;
        if (strncmp(flag, name, n) == 0 && flag[n] == '=')
            strv_add(ret, flag + n + 1);
    }
}

void flags_names(const struct strv *given, struct strv *ret)
{
    for (size_t i = 0; i < given->n; i++) {
        const char *flag = given->v[i] + 2;
        AUTO(mem_free) char *name = str_ndup(flag, strcspn(flag, "="));
        if (!strv_has(ret, name))
            strv_add(ret, name);
    }
}

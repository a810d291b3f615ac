#include "cmd/cache_spec.h"

#include "base/log.h"
#include "cmd/csv.h"
#include "image/name.h"
#include <string.h>

static int add_name(const char *text, struct strv *ret, struct err *err)
{
    AUTO(image_name_release) struct image_name name = { .domain = NULL };
    if (image_name_parse(text, &name, err) < 0)
        return err_wrap(err, "invalid --cache-from \"%s\"", text);
    strv_take(ret, image_name_canonical(&name));
    return 0;
}

/* buildx takes a text without any "=" for names. */
static int add_names(const struct strv *fields, struct strv *ret, struct err *err)
{
    for (size_t i = 0; i < fields->n; i++)
        if (add_name(fields->v[i], ret, err) < 0)
            return err->code;
    return 0;
}

/* The value of a field, or NULL. */
static const char *field(const struct strv *fields, const char *name)
{
    size_t n = strlen(name);
    for (size_t i = 0; i < fields->n; i++)
        if (strncmp(fields->v[i], name, n) == 0 && fields->v[i][n] == '=')
            return fields->v[i] + n + 1;
    return NULL;
}

static int add_one(const char *text, struct strv *ret, bool *warned, struct err *err)
{
    AUTO(strv_release) struct strv fields = STRV_INIT;
    if (csv_parse(text, &fields, err) < 0)
        return err->code;
    if (strchr(text, '=') == NULL)
        return add_names(&fields, ret, err);
    const char *type = field(&fields, "type"), *ref = field(&fields, "ref");
    if (type == NULL)
        return err_set(err, ERR_USAGE, "type required form> \"%s\"", text);
    if (str_eq(type, "registry") && ref == NULL)
        return err_set(err, ERR_USAGE, "--cache-from type=registry needs ref=NAME");
    if (str_eq(type, "registry"))
        return add_name(ref, ret, err);
    if (!*warned)
        log_warn("cmd", "--cache-from type=%s is not supported yet; going on without it", type);
    *warned = true;
    return 0;
}

int cache_from_take(const struct strv *given, struct strv *ret, struct err *err)
{
    bool warned = false;
    for (size_t i = 0; i < given->n; i++)
        if (add_one(given->v[i], ret, &warned, err) < 0)
            return err->code;
    if (ret->n > 0)
        log_warn("cmd", "--cache-from: results of steps are not read yet, only what the images say "
                        "of their layers");
    return 0;
}

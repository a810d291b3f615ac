#include "engine/describe.h"

#include "engine/build_internal.h"
#include "engine/lint_use.h"
#include <string.h>

void description_release(struct description *d)
{
    mem_free(d->path);
    buf_release(&d->text);
    outline_release(&d->outline);
    dockerfile_free(d->df);
}

struct asking {
    struct engine *e;
    const struct platform *platform;
};

/* Nobody is asked for an image that is not here: its variables count for little in an outline. */
static void base_env(void *arg, const char *name, struct strv *ret)
{
    const struct asking *a = arg;
    struct err ignored = ERR_INIT;
    AUTO(found_image_release) struct found_image f = { 0 };
    struct find_options here = { .platform = a->platform, .offline = true };
    if (find_image(a->e, name, &here, &f, &ignored) < 0)
        return;
    for (size_t i = 0; i < f.config.env.n; i++) {
        const char *pair = f.config.env.v[i], *equals = strchr(pair, '=');
        AUTO(mem_free) char *key = str_ndup(pair, strcspn(pair, "="));
        env_set(ret, key, equals != NULL ? equals + 1 : "");
    }
}

static int make_outline(struct engine *e, const struct build_options *o, struct description *d,
                        struct err *err)
{
    AUTO(strv_release) struct strv globals = STRV_INIT;
    struct platform platform = build_first_platform(o);
    struct asking asking = { .e = e, .platform = &platform };
    lint_add_globals(asking.platform, &globals);
    struct outline_options options = { .build_args = &o->build_args,
                                       .globals = &globals,
                                       .target = o->target,
                                       .arg = &asking,
                                       .base_env = base_env };
    return outline_make(d->df, &options, &d->outline, err);
}

int engine_describe(struct engine *e, const struct build_options *o, bool outline,
                    struct description *ret, struct err *err)
{
    AUTO(check_result_release) struct check_result read = { .path = NULL };
    int rc = outline ? lint_target(e, o, &read, err) : lint_load(e, o, &read, err);
    ret->path = TAKE(read.path);
    ret->text = read.text;
    read.text = (struct buf)BUF_INIT;
    if (rc < 0)
        return rc;
    ret->df = dockerfile_parse(buf_str(&ret->text), ret->text.len, err);
    return ret->df == NULL || (outline && make_outline(e, o, ret, err) < 0) ? err->code : 0;
}

#include "engine/push_output.h"

#include <string.h>

int output_attr_bool(const struct build_output *o, const char *name, bool *ret, struct err *err)
{
    static const char *const words[][6] = { { "0", "f", "F", "false", "FALSE", "False" },
                                            { "1", "t", "T", "true", "TRUE", "True" } };
    const char *value = o->attrs != NULL ? map_get(o->attrs, name) : NULL;
    if (value == NULL)
        return 0;
    for (int yes = 0; yes < 2; yes++)
        for (size_t i = 0; i < ARRAY_LEN(words[yes]); i++)
            if (str_eq(value, words[yes][i])) {
                *ret = yes;
                return 0;
            }
    return err_set(err, ERR_USAGE, "non-bool value specified for %s", name);
}

/* As buildx: -t takes the place of the output's own name. */
static int names_of(const struct build *b, const struct build_output *o, struct strv *ret,
                    struct err *err)
{
    AUTO(strv_release) struct strv own = STRV_INIT;
    const char *name = o->attrs != NULL ? map_get(o->attrs, "name") : NULL;
    if (name != NULL)
        strv_split(&own, name, ',');
    const struct strv *given = b->o->tags.n > 0 ? &b->o->tags : &own;
    if (build_canonical_names(given, ret, err) < 0)
        return err->code;
    return ret->n > 0 ? 0 : err_set(err, ERR_USAGE, "tag is needed when pushing to registry");
}

int push_output_options(const struct build_output *o, enum compression *c, struct doc_options *ret,
                        struct err *err)
{
    *ret = (struct doc_options){ .compression = c };
    return build_output_compression(o, c, err);
}

static int open_one(struct build *b, size_t i, struct err *err)
{
    const struct build_output *o = &b->o->outputs[i];
    bool push = false, insecure = false;
    enum compression c;
    struct doc_options how;
    AUTO(strv_release) struct strv names = STRV_INIT;
    if (!str_eq(o->type, "image"))
        return 0;
    if (output_attr_bool(o, "push", &push, err) < 0 ||
        output_attr_bool(o, "registry.insecure", &insecure, err) < 0)
        return err->code;
    if (!push)
        return 0;
    if (names_of(b, o, &names, err) < 0 || push_output_options(o, &c, &how, err) < 0)
        return err->code;
    b->pushers[i] = pusher_open(b->e, &names, &how, insecure, err);
    return b->pushers[i] != NULL ? 0 : err->code;
}

int build_open_pushers(struct build *b, struct err *err)
{
    b->pushers = mem_calloc(b->o->n_outputs + 1, sizeof(*b->pushers));
    for (size_t i = 0; i < b->o->n_outputs; i++) {
        if (open_one(b, i, err) < 0)
            return err->code;
        b->pushes = b->pushes || b->pushers[i] != NULL;
    }
    return 0;
}

void build_free_pushers(struct build *b)
{
    for (size_t i = 0; b->pushers != NULL && i < b->o->n_outputs; i++)
        pusher_free(b->pushers[i]);
    mem_free(TAKE(b->pushers));
}

struct pusher *build_pusher(const struct build *b, const struct build_output *o)
{
    return b->pushers[o - b->o->outputs];
}

void build_send(struct build_stage *st, const struct layer *l)
{
    struct build *b = st->b;
    if (!b->pushes || b->is_dry || !build_is_of_image(st))
        return;
    for (size_t i = 0; i < b->o->n_outputs; i++)
        if (b->pushers[i] != NULL)
            pusher_layer(b->pushers[i], l);
}

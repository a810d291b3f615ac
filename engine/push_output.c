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

static void free_one(struct push_output *p)
{
    if (p == NULL)
        return;
    pusher_free(p->pusher);
    output_options_release(&p->options);
    mem_free(p);
}

static int open_pusher(struct build *b, struct push_output *p, const struct build_output *o,
                       struct err *err)
{
    struct output_options *x = &p->options;
    if (output_options_parse(x, o, b->o, err) < 0)
        return err->code;
    if (!x->push)
        return 0;
    if (x->names.n == 0)
        return err_set(err, ERR_USAGE, "tag is needed when pushing to registry");
    p->pusher = pusher_open(b->e, &x->names, &x->docs, x->insecure, err);
    return p->pusher != NULL ? 0 : err->code;
}

static int open_one(struct build *b, size_t i, struct err *err)
{
    const struct build_output *o = &b->o->outputs[i];
    if (!str_eq(o->type, "image"))
        return 0;
    struct push_output *p = mem_zalloc(sizeof(*p));
    output_options_init(&p->options);
    int rc = open_pusher(b, p, o, err);
    if (p->pusher != NULL)
        b->pushers[i] = p;
    else
        free_one(p);
    return rc;
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
        free_one(b->pushers[i]);
    mem_free(TAKE(b->pushers));
}

const struct push_output *build_push_output(const struct build *b, const struct build_output *o)
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
            pusher_layer(b->pushers[i]->pusher, l);
}

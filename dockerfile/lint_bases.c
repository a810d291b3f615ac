/* What is known of base images: asked for once each. */
#include "dockerfile/lint_internal.h"
#include <string.h>

struct known_base {
    struct err err; /* code ERR_NONE: it is known */
    struct lint_base base;
};

static void known_free(void *p)
{
    struct known_base *k = p;
    lint_base_release(&k->base);
    mem_free(k);
}

void lint_bases_free(struct linter *l)
{
    map_free(l->bases);
}

const struct lint_base *lint_base_of(struct linter *l, size_t stage, struct err *err)
{
    while (l->stages[stage].base_stage >= 0)
        stage = (size_t)l->stages[stage].base_stage;
    const struct stage_facts *s = &l->stages[stage];
    if (l->o->base == NULL || str_eq(s->base, "scratch")) {
        err_set(err, ERR_NOT_FOUND, "'%s' is not known", s->base);
        return NULL;
    }
    if (l->bases == NULL)
        l->bases = map_new(known_free);
    AUTO(mem_free) char *key = str_printf("%s %s", s->base, s->platform.shown);
    struct known_base *k = map_get(l->bases, key);
    if (k == NULL) {
        k = mem_zalloc(sizeof(*k));
        l->o->base(l->o->arg, s->base, &s->platform, &k->base, &k->err);
        map_set(l->bases, key, k);
    }
    if (k->err.code == ERR_NONE)
        return &k->base;
    err_copy(err, &k->err);
    return NULL;
}

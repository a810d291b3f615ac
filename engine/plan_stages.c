/* Stages before anything is done: what each begins with, which of them the target needs. */
#include "engine/build_internal.h"

#include "engine/contexts.h"
#include "engine/entitlement.h"
#include <stdlib.h>
#include <string.h>

static bool makes_layer(enum instr_kind kind)
{
    return kind == INSTR_RUN || kind == INSTR_COPY || kind == INSTR_ADD || kind == INSTR_WORKDIR;
}

size_t build_stage_index(const struct build_stage *st, int number)
{
    return st->target->first + (size_t)number;
}

/* A number of the Dockerfile, or -1, as an index. */
static int index_of(const struct build_stage *st, int number)
{
    return number < 0 ? -1 : (int)build_stage_index(st, number);
}

static size_t number_of(const struct build_stage *st)
{
    return st->index - st->target->first;
}

int build_stage_ref(const struct build_stage *st, const char *from)
{
    return index_of(st, dockerfile_stage_ref(st->b->df, from, number_of(st)));
}

struct build_stage *build_target_stage(const struct build *b, size_t i)
{
    return &b->stages[b->targets[i].stage];
}

/* In BuildKit whatever is copied from or mounted is a stage too, and then none goes without name.
 */
static bool stands_alone(const struct dockerfile *df)
{
    const struct stage *only = &df->stages[0];
    bool alone = df->n_stages == 1;
    for (size_t k = 0; alone && k < only->n_instrs; k++) {
        const struct instr *i = only->instrs[k];
        if (i->kind == INSTR_COPY)
            alone = i->copy.from == NULL || *i->copy.from == '\0';
        else if (i->kind == INSTR_RUN)
            alone = i->run.mount_specs.n == 0;
    }
    return alone;
}

/* What FROM means: a stage, a named context or an image. A stage that a context replaces is that
 * context. */
static void find_base(struct build *b, struct build_stage *st)
{
    const char *name = st->def->name;
    st->base_stage = -1;
    st->replaced = name != NULL && contexts_has(b, name, &st->platform);
    if (st->replaced) {
        st->base_context = name;
        return;
    }
    st->base_stage = index_of(st, dockerfile_stage_base(b->df, st->base, number_of(st)));
    bool from_replaced = st->base_stage >= 0 && b->stages[st->base_stage].replaced;
    if (from_replaced || (st->base_stage < 0 && contexts_has(b, st->base, &st->platform)))
        st->base_context = st->base;
    st->n_total = st->base_stage < 0 && !str_eq(st->base, "scratch");
    if (from_replaced)
        st->base_stage = -1;
    for (size_t k = 0; k < st->def->n_instrs; k++)
        st->n_total += makes_layer(st->def->instrs[k]->kind);
}

static int prepare_stage(struct build *b, struct build_target *t, size_t i, struct err *err)
{
    struct build_stage *st = &b->stages[t->first + i];
    struct env_lookup env = env_lookup_strv(&t->globals);
    st->b = b;
    st->target = t;
    st->index = t->first + i;
    st->def = &b->df->stages[i];
    st->waits_for = -1;
    state_init(&st->state);
    st->platform = t->platform;
    if (stands_alone(b->df))
        st->shown = str_dup("");
    else
        st->shown = st->def->name ? str_dup(st->def->name) : str_printf("stage-%zu", i);
    AUTO(instr_free)
    struct instr *from = instr_expand(st->def->from, &env, b->df->escape, NULL, err);
    if (from == NULL)
        return err_at(err, st->def->line, st->def->line);
    st->base = str_dup(from->from.base);
    if (*st->base == '\0') {
        err_set(err, ERR_USAGE, "base name (%s) should not be blank", st->def->base);
        return err_at(err, st->def->line, st->def->from->line_end);
    }
    if (from->from.platform != NULL && platform_parse(from->from.platform, &st->platform, err) < 0)
        return err_at(err, st->def->line, st->def->from->line_end);
    find_base(b, st);
    return 0;
}

/* Who needs whom. */

struct search {
    struct build *b;
    bool *on_path; /* stages that lead to the one that is looked at */
};

static int mark_needed(struct search *s, size_t index, struct err *err);

static int need_context(struct search *s, const struct build_stage *st, const char *name,
                        struct err *err)
{
    int stage;
    if (contexts_stage(s->b, name, &st->platform, &stage, err) < 0)
        return err->code;
    return stage >= 0 ? mark_needed(s, build_stage_index(st, stage), err) : 0;
}

/* What is no stage before st: an image, unless the Dockerfile has such a stage all the same.
 * target: of the mount; NULL: of a COPY. */
static int check_later(const struct build *b, const struct build_stage *st, const char *from,
                       const char *target, const struct instr *i, struct err *err)
{
    bool later = dockerfile_stage_named(b->df, from, b->df->n_stages) >= 0;
    char *end;
    long n = strtol(from, &end, 10);
    bool is_number = target == NULL && *from != '\0' && *end == '\0';
    if (is_number && !later && (n < 0 || (size_t)n >= b->df->n_stages))
        return err_set(err, ERR_USAGE, "invalid stage index %s", from); /* of no line, there too */
    if (!later && !is_number)
        return 0;
    if (target != NULL)
        err_set(
            err, ERR_USAGE,
            "cannot mount from stage \"%s\" to \"%s\", stage needs to be defined before current "
            "command",
            from, target);
    else
        err_set(err, ERR_USAGE,
                "cannot copy from stage \"%s\", it needs to be defined before current stage \"%s\"",
                from, st->def->name ? st->def->name : st->shown);
    return err_at(err, i->line, i->line_end);
}

static int need_source(struct search *s, const struct build_stage *st, const char *from,
                       const char *target, const struct instr *i, struct err *err)
{
    if (from == NULL || *from == '\0')
        return 0;
    if (contexts_has(s->b, from, &st->platform))
        return need_context(s, st, from, err) < 0 ? err_at(err, i->line, i->line_end) : 0;
    int ref = build_stage_ref(st, from);
    return ref >= 0 ? mark_needed(s, (size_t)ref, err)
                    : check_later(s->b, st, from, target, i, err);
}

static int need_mounts(struct search *s, const struct build_stage *st, const struct instr *i,
                       struct err *err)
{
    struct env_lookup none = env_lookup_none();
    for (size_t k = 0; k < i->run.mount_specs.n; k++) {
        struct err later = ERR_INIT; /* what is wrong with it is said when it is carried out */
        AUTO(run_mount_release) struct run_mount m = { .from = NULL };
        if (run_mount_parse(i->run.mount_specs.v[k], &none, s->b->df->escape, NULL, &m, &later) ==
                0 &&
            need_source(s, st, m.from, m.target ? m.target : "", i, err) < 0)
            return err->code;
    }
    return 0;
}

static int need_instrs(struct search *s, const struct build_stage *st, struct err *err)
{
    for (size_t k = 0; k < st->def->n_instrs; k++) {
        const struct instr *i = st->def->instrs[k];
        if (i->kind == INSTR_COPY && need_source(s, st, i->copy.from, NULL, i, err) < 0)
            return err->code;
        if (i->kind == INSTR_RUN && need_mounts(s, st, i, err) < 0)
            return err->code;
    }
    return 0;
}

static int need_base(struct search *s, const struct build_stage *st, struct err *err)
{
    if (st->base_context != NULL && need_context(s, st, st->base_context, err) < 0)
        return err_at(err, st->def->from->line, st->def->from->line_end);
    return st->base_stage >= 0 ? mark_needed(s, (size_t)st->base_stage, err) : 0;
}

static int mark_needed(struct search *s, size_t index, struct err *err)
{
    struct build_stage *st = &s->b->stages[index];
    if (s->on_path[index])
        return err_set(err, ERR_USAGE, "circular dependency detected on stage: %s",
                       st->def->name ? st->def->name : st->shown);
    if (st->needed)
        return 0;
    st->needed = s->on_path[index] = true;
    int rc = need_base(s, st, err);
    if (rc == 0 && !st->replaced)
        rc = need_instrs(s, st, err);
    s->on_path[index] = false;
    return rc;
}

/* What --from may not be, needed or not. BuildKit names no line either. */
static int check_from(const struct build *b, const struct instr *i, struct err *err)
{
    struct env_lookup none = env_lookup_none();
    const char *from = i->kind == INSTR_COPY ? i->copy.from : NULL;
    if (from == NULL || *from == '\0')
        return 0;
    AUTO(mem_free) char *word = expand_word(from, &none, b->df->escape, NULL, err);
    if (word == NULL)
        return err->code;
    if (!str_eq(word, from))
        return err_set(err, ERR_USAGE,
                       "variable expansion is not supported for --from, define a new stage with "
                       "FROM using ARG from global scope as a workaround");
    return 0;
}

/* Every stage's image is to have a name that could be one. */
static int check_base_name(const struct build_stage *st, struct err *err)
{
    AUTO(image_name_release) struct image_name n = { 0 };
    if (st->base_stage >= 0 || st->base_context != NULL || str_eq(st->base, "scratch") ||
        image_name_parse(st->base, &n, err) == 0)
        return 0;
    err_wrap(err, "failed to parse stage name \"%s\"", st->base);
    return err_at(err, st->def->from->line, st->def->from->line_end);
}

static int check_stages(const struct build *b, struct err *err)
{
    for (size_t i = 0; i < b->df->n_stages; i++) {
        const struct stage *def = &b->df->stages[i];
        for (size_t k = 0; k < def->n_instrs; k++)
            if (check_from(b, def->instrs[k], err) < 0)
                return err->code;
    }
    if (dockerfile_check_circles(b->df, err) < 0)
        return err->code;
    for (size_t i = 0; i < b->n_stages; i++)
        if (check_base_name(&b->stages[i], err) < 0)
            return err->code;
    return 0;
}

static int prepare_target(struct build *b, struct build_target *t, struct err *err)
{
    for (size_t i = 0; i < b->df->n_stages; i++)
        if (prepare_stage(b, t, i, err) < 0)
            return err->code;
    if (dockerfile_target(b->df, b->o->target, &t->stage, err) < 0)
        return err->code;
    t->stage += t->first;
    return 0;
}

int build_plan_stages(struct build *b, struct err *err)
{
    b->n_stages = b->n_targets * b->df->n_stages;
    b->stages = mem_calloc(b->n_stages, sizeof(*b->stages));
    for (size_t i = 0; i < b->n_targets; i++) {
        b->targets[i].first = i * b->df->n_stages;
        if (prepare_target(b, &b->targets[i], err) < 0)
            return err->code;
    }
    AUTO(mem_free) bool *on_path = mem_calloc(b->n_stages, sizeof(*on_path));
    struct search s = { .b = b, .on_path = on_path };
    if (check_stages(b, err) < 0)
        return err->code;
    for (size_t i = 0; i < b->n_targets; i++)
        if (mark_needed(&s, b->targets[i].stage, err) < 0)
            return err->code;
    if (entitlement_check(b, err) < 0)
        return err->code;
    build_collect_wants(b);
    return 0;
}

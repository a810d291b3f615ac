/* What refers to stages: --target, --from and from= of mounts; and that they do not go in circles.
 */
#include "dockerfile/instr.h"
#include "dockerfile/suggest.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static int stage_number(const char *text, size_t before)
{
    char *end;
    unsigned long n = strtoul(text, &end, 10);
    return isdigit((unsigned char)*text) && *end == '\0' && n < before ? (int)n : -1;
}

int dockerfile_stage_base(const struct dockerfile *df, const char *base, size_t before)
{
    int i = dockerfile_stage_named(df, base, before);
    return i >= 0 && str_eq(df->stages[i].name, base) ? i : -1;
}

int dockerfile_stage_ref(const struct dockerfile *df, const char *from, size_t before)
{
    int named = dockerfile_stage_named(df, from, before);
    return named >= 0 ? named : stage_number(from, before);
}

static void suggest_stage(const struct dockerfile *df, const char *target, struct err *err)
{
    AUTO(mem_free) const char **names = mem_calloc(df->n_stages, sizeof(*names));
    size_t n = 0;
    for (size_t i = 0; i < df->n_stages; i++) {
        if (df->stages[i].name != NULL)
            names[n++] = df->stages[i].name;
    }
    suggest_add(err, target, names, n, true);
}

int dockerfile_target(const struct dockerfile *df, const char *target, size_t *ret, struct err *err)
{
    bool given = target != NULL && *target != '\0';
    int i = given ? dockerfile_stage_named(df, target, df->n_stages) : (int)df->n_stages - 1;
    if (i < 0) {
        err_set(err, ERR_USAGE, "target stage \"%s\" could not be found", target);
        suggest_stage(df, target, err);
        return err->code;
    }
    *ret = (size_t)i;
    return 0;
}

static const char *target_name(const struct dockerfile *df, const char *target)
{
    if (target != NULL && *target != '\0')
        return target;
    const char *last = df->stages[df->n_stages - 1].name;
    return last != NULL ? last : "default";
}

void dockerfile_globals(const struct dockerfile *df, const char *target,
                        const struct strv *platform, const struct strv *build_args,
                        struct strv *ret)
{
    strv_clear(ret);
    if (platform != NULL)
        strv_copy(ret, platform);
    env_set(ret, "TARGETSTAGE", target_name(df, target));
    for (size_t i = 0; build_args != NULL && i < build_args->n; i++) {
        const char *pair = build_args->v[i], *equals = strchr(pair, '=');
        AUTO(mem_free) char *key = str_ndup(pair, strcspn(pair, "="));
        if (equals != NULL && env_get(ret, key) != NULL)
            env_set(ret, key, equals + 1);
    }
}

/* Circles. */

enum mark { NEW, ON_PATH, DONE };

struct search {
    const struct dockerfile *df;
    enum mark *marks;
    const struct instr *closing; /* the instruction that closes a circle */
};

static bool visit(struct search *s, size_t stage);

/* What a stage gets from one further down is refused elsewhere, unless it leads back. */
static bool follow(struct search *s, size_t stage, const char *from, const struct instr *i)
{
    int to = dockerfile_stage_ref(s->df, from, stage);
    if (to < 0)
        to = dockerfile_stage_ref(s->df, from, s->df->n_stages);
    if (to < 0 || s->marks[to] == DONE)
        return false;
    if (s->marks[to] == ON_PATH) {
        s->closing = i;
        return true;
    }
    return visit(s, (size_t)to);
}

static bool follow_mounts(struct search *s, size_t stage, const struct instr *i)
{
    AUTO(strv_release) struct strv froms = STRV_INIT;
    instr_mount_froms(i, s->df->escape, &froms);
    for (size_t k = 0; k < froms.n; k++)
        if (follow(s, stage, froms.v[k], i))
            return true;
    return false;
}

static bool visit(struct search *s, size_t stage)
{
    const struct stage *def = &s->df->stages[stage];
    s->marks[stage] = ON_PATH;
    int base = dockerfile_stage_base(s->df, def->base, stage);
    bool found = base >= 0 && s->marks[base] == NEW && visit(s, (size_t)base);
    if (base >= 0 && s->marks[base] == ON_PATH && !found) {
        s->closing = def->from;
        found = true;
    }
    for (size_t k = 0; k < def->n_instrs && !found; k++) {
        const struct instr *i = def->instrs[k];
        if (i->kind == INSTR_COPY && i->copy.from != NULL)
            found = follow(s, stage, i->copy.from, i);
        else if (i->kind == INSTR_RUN)
            found = follow_mounts(s, stage, i);
    }
    s->marks[stage] = DONE;
    return found;
}

int dockerfile_check_circles(const struct dockerfile *df, struct err *err)
{
    AUTO(mem_free) enum mark *marks = mem_calloc(df->n_stages, sizeof(*marks));
    struct search s = { .df = df, .marks = marks };
    for (size_t i = 0; i < df->n_stages; i++) {
        if (marks[i] != NEW || !visit(&s, i))
            continue;
        if (df->stages[i].name != NULL)
            err_set(err, ERR_USAGE, "circular dependency detected on stage: %s",
                    df->stages[i].name);
        else
            err_set(err, ERR_USAGE, "circular dependency detected on stage: stage-%zu", i);
        return err_at(err, s.closing->line, s.closing->line_end);
    }
    return 0;
}

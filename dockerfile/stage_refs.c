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
    struct env_lookup none = env_lookup_none();
    for (size_t k = 0; k < i->run.mount_specs.n; k++) {
        struct err ignored = ERR_INIT;
        AUTO(run_mount_release) struct run_mount m = { .from = NULL };
        if (run_mount_parse(i->run.mount_specs.v[k], &none, s->df->escape, NULL, &m, &ignored) ==
                0 &&
            m.from != NULL && follow(s, stage, m.from, i))
            return true;
    }
    return false;
}

static bool visit(struct search *s, size_t stage)
{
    const struct stage *def = &s->df->stages[stage];
    s->marks[stage] = ON_PATH;
    int base = dockerfile_stage_named(s->df, def->base, stage);
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

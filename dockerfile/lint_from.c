/* FROM: its variables, its platform, and which stage stands on which. */
#include "dockerfile/lint_internal.h"
#include "dockerfile/quote.h"
#include "dockerfile/suggest.h"
#include <string.h>

#define GLOBAL_BYTES_MAX (16u << 20)
#define COMPARED_MAX 200000 /* a file of nothing but mistakes must not take long */

void lint_names(const struct strv *pairs, struct strv *ret)
{
    for (size_t i = 0; i < pairs->n; i++)
        strv_addn(ret, pairs->v[i], strcspn(pairs->v[i], "="));
}

static int expand_with(const struct linter *l, const char *word, const struct strv *env,
                       struct expand_result *ret, struct err *err)
{
    struct env_lookup lookup = env_lookup_strv(env);
    struct expand_options options = { .escape = l->df->escape };
    return expand(word, &lookup, &options, ret, err);
}

/* ARGs before the first FROM, each seeing those before it. build_args NULL: defaults only. */
static int read_args(const struct linter *l, const struct strv *build_args, struct strv *globals,
                     struct err *err)
{
    size_t bytes = 0;
    for (size_t i = 0; i < l->df->n_args; i++) {
        const struct instr *arg = l->df->args[i];
        for (size_t k = 0; k < arg->pairs.n; k++) {
            const struct instr_pair *p = &arg->pairs.v[k];
            const char *given = build_args != NULL ? env_get(build_args, p->key) : NULL;
            struct env_lookup env = env_lookup_strv(globals);
            AUTO(mem_free) char *value = str_dup(given);
            if (value == NULL && p->value != NULL) {
                value = expand_word(p->value, &env, l->df->escape, NULL, err);
                if (value == NULL)
                    return err_at(err, arg->line, arg->line_end);
            }
            if (value == NULL)
                continue;
            bytes += strlen(p->key) + strlen(value);
            if (bytes > GLOBAL_BYTES_MAX) {
                err_set(err, ERR_USAGE, "the ARGs before the first FROM are too large");
                return err_at(err, arg->line, arg->line_end);
            }
            env_set(globals, p->key, value);
        }
    }
    return 0;
}

int lint_globals(struct linter *l, struct err *err)
{
    dockerfile_globals(l->df, l->o->target, l->o->globals, l->o->build_args, &l->globals);
    if (read_args(l, l->o->build_args, &l->globals, err) < 0)
        return err->code;
    lint_names(&l->globals, &l->declared);
    for (size_t i = 0; i < l->df->n_args; i++) {
        for (size_t k = 0; k < l->df->args[i]->pairs.n; k++)
            strv_add(&l->declared, l->df->args[i]->pairs.v[k].key);
    }
    return 0;
}

/* Whether each base would have a name if nobody gave a build argument. */
void lint_default_args(struct linter *l)
{
    struct err ignored = ERR_INIT;
    AUTO(strv_release) struct strv globals = STRV_INIT;
    dockerfile_globals(l->df, l->o->target, l->o->globals, l->o->build_args, &globals);
    if (l->o->is_image_name == NULL || read_args(l, NULL, &globals, &ignored) < 0)
        return;
    for (size_t i = 0; i < l->df->n_stages; i++) {
        const struct stage *s = &l->df->stages[i];
        AUTO(expand_result_release) struct expand_result r = EXPAND_RESULT_INIT;
        if (expand_with(l, s->base, &globals, &r, &ignored) < 0)
            return;
        if (!l->o->is_image_name(l->o->arg, r.word))
            lint_warn_at(l, RULE_INVALID_DEFAULT_ARG_IN_FROM, s->from,
                         "Default value for ARG %s results in empty or invalid base image name",
                         s->base);
    }
}

bool lint_may_compare(const struct linter *l, size_t n)
{
    return n <= COMPARED_MAX - l->compared;
}

const char *lint_suggest(struct linter *l, const char *word, const struct strv *options)
{
    if (!lint_may_compare(l, options->n))
        return NULL;
    l->compared += options->n;
    return suggest(word, (const char *const *)options->v, options->n, false);
}

static void lint_undeclared(struct linter *l, const struct instr *from,
                            const struct strv *unmatched)
{
    for (size_t i = 0; i < unmatched->n; i++) {
        const char *name = unmatched->v[i];
        if (strv_has(&l->declared, name))
            continue;
        const char *other = lint_suggest(l, name, &l->declared);
        lint_warn_at(l, RULE_UNDEFINED_ARG_IN_FROM, from,
                     "FROM argument '%s' is not declared%s%s%s", name,
                     other ? " (did you mean " : "", other ? other : "", other ? "?)" : "");
    }
}

/* The first of the names that looks like one there is. */
static void suggest_any(struct linter *l, const struct strv *unmatched, struct err *err)
{
    AUTO(strv_release) struct strv names = STRV_INIT;
    lint_names(&l->globals, &names);
    for (size_t i = 0; i < unmatched->n; i++) {
        if (lint_suggest(l, unmatched->v[i], &names) == NULL)
            continue;
        suggest_add(err, unmatched->v[i], (const char *const *)names.v, names.n, false);
        return;
    }
}

static void lint_redundant(struct linter *l, const struct instr *from,
                           const struct expand_result *r)
{
    const char *target = env_get(&l->globals, "TARGETPLATFORM");
    if (r->matched.n == 1 && r->unmatched.n == 0 && target != NULL &&
        str_eq(r->matched.v[0], "TARGETPLATFORM") && str_eq(r->word, target))
        lint_warn_at(l, RULE_REDUNDANT_TARGET_PLATFORM, from,
                     "Setting platform to predefined %s in FROM is redundant as this is the "
                     "default behavior",
                     from->from.platform);
}

/* A stage whose name says the system or the processor may well be of one platform only. */
static void lint_constant(struct linter *l, const struct instr *from, const struct expand_result *r)
{
    const char *name = from->from.name != NULL ? from->from.name : "";
    struct lint_platform p;
    struct err ignored = ERR_INIT;
    if (r->matched.n > 0 || r->unmatched.n > 0 ||
        l->o->read_platform(l->o->arg, r->word, &p, &ignored) < 0 || strstr(name, p.os) != NULL ||
        strstr(name, p.arch) != NULL)
        return;
    AUTO(buf_release) struct buf quoted = BUF_INIT;
    text_quote(&quoted, r->word);
    lint_warn_at(l, RULE_FROM_PLATFORM_FLAG_CONST_DISALLOWED, from,
                 "FROM --platform flag should not use constant value %s", buf_str(&quoted));
}

static int from_platform(struct linter *l, const struct instr *from, struct stage_facts *ret,
                         struct err *err)
{
    AUTO(expand_result_release) struct expand_result r = EXPAND_RESULT_INIT;
    int rc = expand_with(l, from->from.platform, &l->globals, &r, err);
    lint_undeclared(l, from, &r.unmatched);
    if (rc < 0)
        return err_wrap(err, "failed to process arguments for platform %s", r.word ? r.word : "");
    if (l->o->read_platform == NULL)
        return 0;
    lint_redundant(l, from, &r);
    lint_constant(l, from, &r);
    if (*r.word == '\0') {
        err_set(err, ERR_USAGE, "empty platform value from expression %s", from->from.platform);
        suggest_any(l, &r.unmatched, err);
        return err->code;
    }
    if (l->o->read_platform(l->o->arg, r.word, &ret->platform, err) < 0) {
        suggest_any(l, &r.unmatched, err);
        return err_wrap(err, "failed to parse platform %s", from->from.platform);
    }
    return 0;
}

static int one_from(struct linter *l, size_t index, struct err *err)
{
    const struct instr *from = l->df->stages[index].from;
    struct stage_facts *s = &l->stages[index];
    AUTO(expand_result_release) struct expand_result r = EXPAND_RESULT_INIT;
    if (l->o->platform != NULL)
        s->platform = *l->o->platform;
    int rc = expand_with(l, from->from.base, &l->globals, &r, err);
    lint_undeclared(l, from, &r.unmatched);
    if (rc < 0)
        return rc;
    if (*r.word == '\0')
        return err_set(err, ERR_USAGE, "base name (%s) should not be blank", from->from.base);
    s->base = str_dup(r.word);
    s->base_stage = dockerfile_stage_base(l->df, s->base, index);
    if (from->from.platform != NULL && from_platform(l, from, s, err) < 0)
        return err->code;
    const char *name = l->df->stages[index].name;
    s->replaced =
        name != NULL && l->o->replaces != NULL && l->o->replaces(l->o->arg, name, &s->platform);
    if (s->replaced) {
        mem_free(s->base);
        s->base = str_dup(name);
        s->base_stage = -1;
    }
    return 0;
}

int lint_froms(struct linter *l, struct err *err)
{
    l->stages = mem_calloc(l->df->n_stages, sizeof(*l->stages));
    for (size_t i = 0; i < l->df->n_stages; i++) {
        const struct instr *from = l->df->stages[i].from;
        lint_enter(l, &from->comments);
        if (one_from(l, i, err) < 0)
            return err_at(err, from->line, from->line_end);
    }
    lint_enter(l, NULL);
    return 0;
}

#include "dockerfile/instr_internal.h"
#include <string.h>

/* What all fields of one instruction are expanded with. */
struct expander {
    const struct env_lookup *env;
    char escape;
    struct strv *unmatched;
    struct err *err;
};

/* Replaces *s by its expansion; NULL stays. */
static int expand_field(const struct expander *x, char **s)
{
    if (*s == NULL)
        return 0;
    char *value = expand_word(*s, x->env, x->escape, x->unmatched, x->err);
    if (value == NULL)
        return x->err->code;
    mem_free(*s);
    *s = value;
    return 0;
}

/* As expand_field for a flag's value: nothing left means that it was not given. */
static int expand_flag(const struct expander *x, char **s)
{
    if (expand_field(x, s) < 0)
        return x->err->code;
    if (*s != NULL && **s == '\0') {
        mem_free(*s);
        *s = NULL;
    }
    return 0;
}

static int expand_list(const struct expander *x, struct strv *list)
{
    for (size_t i = 0; i < list->n; i++) {
        if (expand_field(x, &list->v[i]) < 0)
            return x->err->code;
    }
    return 0;
}

static int expand_files(const struct expander *x, struct instr_files *files)
{
    for (size_t i = 0; i < files->n; i++) {
        if (!files->v[i].expand)
            continue;
        char *data = expand_heredoc(files->v[i].data, x->env, x->unmatched, x->err);
        if (data == NULL)
            return x->err->code;
        mem_free(files->v[i].data);
        files->v[i].data = data;
    }
    return 0;
}

static int expand_copy(const struct expander *x, struct instr *i)
{
    struct instr_copy *c = &i->copy;
    const char *dollar = c->from != NULL ? strchr(c->from, '$') : NULL;
    if (dollar != NULL)
        return err_set(x->err, ERR_USAGE,
                       "variable expansion is not supported for --from, define a new stage with "
                       "FROM using ARG from global scope as a workaround");
    if (expand_flag(x, &c->chown) < 0 || expand_flag(x, &c->chmod) < 0 ||
        expand_flag(x, &c->checksum) < 0 || expand_list(x, &c->sources) < 0 ||
        expand_field(x, &c->dest) < 0)
        return x->err->code;
    return expand_files(x, &c->files);
}

static int expand_pairs(const struct expander *x, struct instr *i)
{
    for (size_t k = 0; k < i->pairs.n; k++) {
        if (expand_field(x, &i->pairs.v[k].key) < 0 || expand_field(x, &i->pairs.v[k].value) < 0)
            return x->err->code;
    }
    return 0;
}

static int expand_expose(const struct expander *x, struct instr *i)
{
    AUTO(strv_release) struct strv ports = STRV_INIT;
    for (size_t k = 0; k < i->list.n; k++) {
        if (expand_words(i->list.v[k], x->env, x->escape, x->unmatched, &ports, x->err) < 0)
            return x->err->code;
    }
    strv_copy(&i->list, &ports);
    return 0;
}

static int expand_volume(const struct expander *x, struct instr *i)
{
    return expand_list(x, &i->list);
}

static int expand_value(const struct expander *x, struct instr *i)
{
    return expand_field(x, &i->value);
}

static int expand_run(const struct expander *x, struct instr *i)
{
    struct instr_run *r = &i->run;
    if (r->mount_specs.n == 0 || r->n_mounts > 0)
        return 0;
    r->mounts = mem_calloc(r->mount_specs.n, sizeof(*r->mounts));
    for (; r->n_mounts < r->mount_specs.n; r->n_mounts++) {
        if (run_mount_parse(r->mount_specs.v[r->n_mounts], x->env, x->escape, x->unmatched,
                            &r->mounts[r->n_mounts], x->err) < 0)
            return x->err->code;
    }
    return 0;
}

static int expand_from(const struct expander *x, struct instr *i)
{
    AUTO(mem_free) char *base = str_dup(i->from.base);
    AUTO(mem_free) char *platform = str_dup(i->from.platform);
    if (expand_field(x, &i->from.base) < 0)
        return x->err->code;
    if (*i->from.base == '\0')
        return err_set(x->err, ERR_USAGE, "base name (%s) should not be blank", base);
    if (expand_field(x, &i->from.platform) < 0)
        return x->err->code;
    if (i->from.platform != NULL && *i->from.platform == '\0')
        return err_set(x->err, ERR_USAGE, "empty platform value from expression %s", platform);
    return 0;
}

static int (*const expanders[INSTR_KINDS])(const struct expander *, struct instr *) = {
    [INSTR_ADD] = expand_copy,    [INSTR_ARG] = expand_pairs,     [INSTR_COPY] = expand_copy,
    [INSTR_ENV] = expand_pairs,   [INSTR_EXPOSE] = expand_expose, [INSTR_FROM] = expand_from,
    [INSTR_LABEL] = expand_pairs, [INSTR_RUN] = expand_run,       [INSTR_STOPSIGNAL] = expand_value,
    [INSTR_USER] = expand_value,  [INSTR_VOLUME] = expand_volume, [INSTR_WORKDIR] = expand_value,
};

struct instr *instr_expand(const struct instr *i, const struct env_lookup *env, char escape,
                           struct strv *unmatched, struct err *err)
{
    AUTO(instr_free) struct instr *copy = instr_copy_of(i);
    struct expander x = { .env = env, .escape = escape, .unmatched = unmatched, .err = err };
    if (expanders[i->kind] != NULL && expanders[i->kind](&x, copy) < 0) {
        err_at(err, i->line, i->line_end);
        return NULL;
    }
    return TAKE(copy);
}

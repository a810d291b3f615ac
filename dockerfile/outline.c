#include "dockerfile/outline.h"
#include <stdlib.h>
#include <string.h>

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static void items_release(struct outline_items *items)
{
    for (size_t i = 0; i < items->n; i++) {
        mem_free(items->v[i].name);
        mem_free(items->v[i].value);
        mem_free(items->v[i].description);
    }
    mem_free(items->v);
}

void outline_release(struct outline *o)
{
    items_release(&o->args);
    items_release(&o->secrets);
    items_release(&o->ssh);
}

static struct outline_item *find_item(const struct outline_items *items, const char *name)
{
    for (size_t i = 0; i < items->n; i++) {
        if (str_eq(items->v[i].name, name))
            return &items->v[i];
    }
    return NULL;
}

static struct outline_item *new_item(struct outline_items *items, const char *name)
{
    MEM_ROOM(items->v, items->n, items->cap);
    struct outline_item *item = &items->v[items->n];
    *item = (struct outline_item){ .name = str_dup(name), .order = items->n++ };
    return item;
}

/* What was found first stays. */
static void tell_item(struct outline_items *ret, const struct outline_item *from)
{
    if (find_item(ret, from->name) != NULL)
        return;
    struct outline_item *item = new_item(ret, from->name);
    item->value = str_dup(from->value);
    item->description = str_dup(from->description);
    item->required = from->required;
    item->line = from->line;
    item->line_end = from->line_end;
}

static void tell_items(struct outline_items *ret, const struct outline_items *from)
{
    for (size_t i = 0; i < from->n; i++)
        tell_item(ret, &from->v[i]);
}

static int by_line(const void *a, const void *b)
{
    const struct outline_item *x = a, *y = b;
    if (x->line != y->line)
        return x->line < y->line ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

static void sort_items(struct outline_items *items)
{
    if (items->n > 1)
        qsort(items->v, items->n, sizeof(*items->v), by_line);
}

/* A stage: its variables, what it declares itself, and the names it takes from before the first. */
struct scope {
    struct strv env;
    struct strv used;
    struct outline_items args, secrets, ssh;
    int base; /* stage, or -1 */
    bool walked, told;
};

/* An ARG before the first FROM; the last of equal names counts, and needs what the others did. */
struct global {
    const struct instr *at;
    const struct instr_pair *pair;
    char *value;
    struct strv needs;
};

struct outliner {
    const struct dockerfile *df;
    const struct outline_options *o;
    struct outline *out;
    struct strv env; /* what FROM sees */
    struct global *globals;
    size_t n_globals;
    struct scope *scopes; /* one for each stage */
};

static void outliner_release(struct outliner *l)
{
    strv_release(&l->env);
    for (size_t i = 0; i < l->n_globals; i++) {
        mem_free(l->globals[i].value);
        strv_release(&l->globals[i].needs);
    }
    mem_free(l->globals);
    for (size_t i = 0; l->scopes != NULL && i < l->df->n_stages; i++) {
        strv_release(&l->scopes[i].env);
        strv_release(&l->scopes[i].used);
        items_release(&l->scopes[i].args);
        items_release(&l->scopes[i].secrets);
        items_release(&l->scopes[i].ssh);
    }
    mem_free(l->scopes);
}
DEFINE_AUTO_VALUE(struct outliner, outliner_release);

static const char *given(const struct outliner *l, const char *key)
{
    return l->o->build_args != NULL ? env_get(l->o->build_args, key) : NULL;
}

static struct global *find_global(const struct outliner *l, const char *key)
{
    for (size_t i = l->n_globals; i-- > 0;) {
        if (str_eq(l->globals[i].pair->key, key))
            return &l->globals[i];
    }
    return NULL;
}

/* Expands word; the names that were set are added to used. */
static char *expand_noting(const struct outliner *l, const char *word, const struct strv *env,
                           struct strv *used, struct err *err)
{
    struct env_lookup lookup = env_lookup_strv(env);
    struct expand_options options = { .escape = l->df->escape };
    AUTO(expand_result_release) struct expand_result r = EXPAND_RESULT_INIT;
    if (expand(word, &lookup, &options, &r, err) < 0)
        return NULL;
    for (size_t i = 0; i < r.matched.n; i++)
        strv_add(used, r.matched.v[i]);
    return TAKE(r.word);
}

static int read_global(struct outliner *l, const struct instr *at, const struct instr_pair *p,
                       struct err *err)
{
    struct global *g = &l->globals[l->n_globals++];
    *g = (struct global){ .at = at, .pair = p, .value = str_dup(given(l, p->key)) };
    if (g->value == NULL && p->value != NULL) {
        g->value = expand_noting(l, p->value, &l->env, &g->needs, err);
        if (g->value == NULL)
            return err_at(err, at->line, at->line_end);
    }
    if (g->value != NULL)
        env_set(&l->env, p->key, g->value);
    return 0;
}

static int read_globals(struct outliner *l, struct err *err)
{
    size_t n = 0;
    for (size_t i = 0; i < l->df->n_args; i++)
        n += l->df->args[i]->pairs.n;
    l->globals = mem_calloc(n + 1, sizeof(*l->globals));
    dockerfile_globals(l->df, l->o->target, l->o->globals, l->o->build_args, &l->env);
    for (size_t i = 0; i < l->df->n_args; i++) {
        const struct instr *at = l->df->args[i];
        for (size_t k = 0; k < at->pairs.n; k++) {
            if (read_global(l, at, &at->pairs.v[k], err) < 0)
                return err->code;
        }
    }
    return 0;
}

/* Unless it is told; with what its default, and those that it had before, came from to todo. */
static void tell_one_global(struct outliner *l, const char *key, struct strv *todo)
{
    const struct global *g = find_global(l, key);
    if (g == NULL || find_item(&l->out->args, key) != NULL)
        return;
    tell_item(&l->out->args, &(struct outline_item){ .name = g->pair->key,
                                                     .value = g->value,
                                                     .description = g->pair->comment,
                                                     .line = g->at->line,
                                                     .line_end = g->at->line_end });
    for (size_t i = (size_t)(g - l->globals) + 1; i-- > 0;) {
        if (str_eq(l->globals[i].pair->key, key))
            strv_append(todo, &l->globals[i].needs);
    }
}

static void tell_global(struct outliner *l, const char *key)
{
    AUTO(strv_release) struct strv todo = STRV_INIT;
    tell_one_global(l, key, &todo);
    for (size_t i = 0; i < todo.n; i++)
        tell_one_global(l, todo.v[i], &todo);
}

/* Instructions. */

/* The last one of a name counts. Without a value of its own it is the one before the first FROM. */
static void declare(struct outliner *l, struct scope *s, const struct instr *i,
                    const struct instr_pair *p, const char *value)
{
    if (given(l, p->key) == NULL && p->value == NULL && env_get(&l->env, p->key) != NULL) {
        strv_add(&s->used, p->key);
        return;
    }
    struct outline_item *item = find_item(&s->args, p->key);
    if (item == NULL)
        item = new_item(&s->args, p->key);
    mem_free(item->value);
    mem_free(item->description);
    item->value = str_dup(value);
    item->description = str_dup(p->comment);
    item->line = i->line;
    item->line_end = i->line_end;
}

static int walk_arg(struct outliner *l, struct scope *s, const struct instr *i, struct err *err)
{
    for (size_t k = 0; k < i->pairs.n; k++) {
        const struct instr_pair *p = &i->pairs.v[k];
        AUTO(mem_free) char *value = str_dup(given(l, p->key));
        if (value == NULL && p->value != NULL) {
            struct env_lookup env = env_lookup_strv(&s->env);
            value = expand_word(p->value, &env, l->df->escape, NULL, err);
            if (value == NULL)
                return err->code;
        }
        if (value == NULL)
            value = str_dup(env_get(&l->env, p->key));
        if (value != NULL)
            env_set(&s->env, p->key, value);
        declare(l, s, i, p, value);
    }
    return 0;
}

static int walk_env(struct outliner *l, struct scope *s, const struct instr *i, struct err *err)
{
    struct env_lookup env = env_lookup_strv(&s->env);
    AUTO(instr_free) struct instr *x = instr_expand(i, &env, l->df->escape, NULL, err);
    for (size_t k = 0; x != NULL && k < x->pairs.n; k++)
        env_set(&s->env, x->pairs.v[k].key, x->pairs.v[k].value);
    return err->code;
}

static void add_mount(struct scope *s, const struct run_mount *m, const struct instr *i)
{
    const char *id = m->id;
    if (m->type == MOUNT_SECRET && m->source != NULL && *m->source != '\0')
        id = m->source;
    if (id == NULL || *id == '\0') {
        const char *slash = m->target != NULL ? strrchr(m->target, '/') : NULL;
        id = m->type == MOUNT_SSH ? "default" : slash != NULL ? slash + 1 : m->target;
    }
    struct outline_items *items = m->type == MOUNT_SSH ? &s->ssh : &s->secrets;
    if (id == NULL || find_item(items, id) != NULL)
        return;
    struct outline_item *item = new_item(items, id);
    item->required = m->required;
    item->line = i->line;
    item->line_end = i->line_end;
}

static int walk_run(struct outliner *l, struct scope *s, const struct instr *i, struct err *err)
{
    for (size_t k = 0; k < i->run.mount_specs.n; k++) {
        struct env_lookup env = env_lookup_strv(&s->env);
        AUTO(run_mount_release) struct run_mount m = { .from = NULL };
        if (run_mount_parse(i->run.mount_specs.v[k], &env, l->df->escape, NULL, &m, err) < 0)
            return err->code;
        if (m.type == MOUNT_SECRET || m.type == MOUNT_SSH)
            add_mount(s, &m, i);
    }
    return 0;
}

static int (*const walkers[INSTR_KINDS])(struct outliner *, struct scope *, const struct instr *,
                                         struct err *) = {
    [INSTR_ARG] = walk_arg,
    [INSTR_ENV] = walk_env,
    [INSTR_RUN] = walk_run,
};

/* Stages. */

static int walk_stage(struct outliner *l, size_t index, struct err *err);

/* The stage's base, and the variables that come with it. */
static int walk_from(struct outliner *l, size_t index, struct err *err)
{
    struct scope *s = &l->scopes[index];
    const struct stage *def = &l->df->stages[index];
    AUTO(mem_free) char *base = expand_noting(l, def->base, &l->env, &s->used, err);
    if (base == NULL)
        return err->code;
    if (def->platform != NULL)
        mem_free(expand_noting(l, def->platform, &l->env, &s->used, err));
    s->base = dockerfile_stage_base(l->df, base, index);
    if (err->code != ERR_NONE || (s->base >= 0 && walk_stage(l, (size_t)s->base, err) < 0))
        return err->code;
    if (s->base >= 0) {
        strv_copy(&s->env, &l->scopes[s->base].env);
        return 0;
    }
    env_set(&s->env, "PATH", DEFAULT_PATH);
    if (l->o->base_env != NULL && !str_eq(base, "scratch"))
        l->o->base_env(l->o->arg, base, &s->env);
    return 0;
}

static int walk_stage(struct outliner *l, size_t index, struct err *err)
{
    struct scope *s = &l->scopes[index];
    const struct stage *def = &l->df->stages[index];
    if (s->walked)
        return 0;
    s->walked = true;
    if (walk_from(l, index, err) < 0)
        return err_at(err, def->from->line, def->from->line_end);
    for (size_t k = 0; k < def->n_instrs; k++) {
        const struct instr *i = def->instrs[k];
        if (walkers[i->kind] != NULL && walkers[i->kind](l, s, i, err) < 0)
            return err_at(err, i->line, i->line_end);
    }
    return 0;
}

static int tell_stage(struct outliner *l, int index, struct err *err);

static int tell_mounted(struct outliner *l, size_t index, const struct instr *i, struct err *err)
{
    AUTO(strv_release) struct strv froms = STRV_INIT;
    instr_mount_froms(i, l->df->escape, &froms);
    for (size_t k = 0; k < froms.n; k++)
        if (tell_stage(l, dockerfile_stage_ref(l->df, froms.v[k], index), err) < 0)
            return err->code;
    return 0;
}

/* What is nearest to the target is told first: the stage, its base, what it takes files from. */
static int tell_stage(struct outliner *l, int index, struct err *err)
{
    if (index < 0 || l->scopes[index].told)
        return 0;
    struct scope *s = &l->scopes[index];
    const struct stage *def = &l->df->stages[index];
    s->told = true;
    if (walk_stage(l, (size_t)index, err) < 0)
        return err->code;
    tell_items(&l->out->args, &s->args);
    tell_items(&l->out->secrets, &s->secrets);
    tell_items(&l->out->ssh, &s->ssh);
    for (size_t i = 0; i < s->used.n; i++)
        tell_global(l, s->used.v[i]);
    if (tell_stage(l, s->base, err) < 0)
        return err->code;
    for (size_t k = 0; k < def->n_instrs; k++) {
        const struct instr *i = def->instrs[k];
        if ((i->kind == INSTR_COPY && i->copy.from != NULL &&
             tell_stage(l, dockerfile_stage_ref(l->df, i->copy.from, (size_t)index), err) < 0) ||
            (i->kind == INSTR_RUN && tell_mounted(l, (size_t)index, i, err) < 0))
            return err->code;
    }
    return 0;
}

int outline_make(const struct dockerfile *df, const struct outline_options *o, struct outline *ret,
                 struct err *err)
{
    AUTO(outliner_release) struct outliner l = { .df = df, .o = o, .out = ret };
    size_t target;
    if (dockerfile_check_circles(df, err) < 0 || dockerfile_target(df, o->target, &target, err) < 0)
        return err->code;
    l.scopes = mem_calloc(df->n_stages, sizeof(*l.scopes));
    if (read_globals(&l, err) < 0 || tell_stage(&l, (int)target, err) < 0)
        return err->code;
    ret->name = df->stages[target].name;
    ret->description = df->stages[target].from->from.comment;
    sort_items(&ret->args);
    sort_items(&ret->secrets);
    sort_items(&ret->ssh);
    return 0;
}

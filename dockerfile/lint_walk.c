/* The needed stages, instruction by instruction, as they would be carried out. */
#include "dockerfile/lint_internal.h"
#include "dockerfile/quote.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* Values are bounded one by one by expansion; this is for many of them in many stages. */
#define ENV_BYTES_MAX (32u << 20)

/* One stage being walked. */
struct walk {
    struct linter *l;
    size_t index;
    struct stage_facts *s;
    const struct instr *cmd, *entrypoint, *healthcheck; /* the last of each so far */
};

/* Which stages are needed. */

static void need(struct linter *l, int index);

static void need_mounts(struct linter *l, size_t index, const struct instr *i)
{
    AUTO(strv_release) struct strv froms = STRV_INIT;
    instr_mount_froms(i, l->df->escape, &froms);
    for (size_t k = 0; k < froms.n; k++)
        need(l, dockerfile_stage_ref(l->df, froms.v[k], index));
}

static void need(struct linter *l, int index)
{
    if (index < 0 || l->stages[index].needed)
        return;
    const struct stage *s = &l->df->stages[index];
    l->stages[index].needed = true;
    need(l, l->stages[index].base_stage);
    for (size_t k = 0; !l->stages[index].replaced && k < s->n_instrs; k++) {
        const struct instr *i = s->instrs[k];
        if (i->kind == INSTR_COPY && i->copy.from != NULL)
            need(l, dockerfile_stage_ref(l->df, i->copy.from, (size_t)index));
        else if (i->kind == INSTR_RUN)
            need_mounts(l, (size_t)index, i);
    }
}

static int need_target(struct linter *l, struct err *err)
{
    const char *target = l->o->target;
    bool given = target != NULL && *target != '\0';
    size_t index;
    if (dockerfile_target(l->df, target, &index, err) < 0)
        return err->code;
    need(l, (int)index);
    for (size_t i = 0; !given && l->o->all_stages && i < l->df->n_stages; i++)
        l->stages[i].needed = true;
    return 0;
}

/* Variables. */

/* Adds what the base's environment says that nothing since has said. True: something is known. */
static bool ask_base(struct walk *w)
{
    struct stage_facts *s = w->s;
    if (s->asked)
        return s->known != NULL;
    struct err unknown = ERR_INIT;
    s->asked = true;
    s->known = lint_base_of(w->l, w->index, &unknown);
    for (size_t i = 0; s->known != NULL && i < s->known->env.n; i++) {
        const char *pair = s->known->env.v[i], *equals = strchr(pair, '=');
        AUTO(mem_free) char *key = str_ndup(pair, strcspn(pair, "="));
        if (env_get(&s->env, key) == NULL)
            env_set(&s->env, key, equals != NULL ? equals + 1 : "");
    }
    return s->known != NULL;
}

static bool on_scratch(const struct walk *w)
{
    size_t i = w->index;
    while (w->l->stages[i].base_stage >= 0)
        i = (size_t)w->l->stages[i].base_stage;
    return str_eq(w->l->stages[i].base, "scratch");
}

/* A base of which nothing is known may set anything. */
static bool may_be_set(struct walk *w)
{
    return !on_scratch(w) && !ask_base(w);
}

/* Those that are no ARG either. */
static void leave_undeclared(const struct walk *w, struct strv *names)
{
    for (size_t i = names->n; i-- > 0;) {
        if (strv_has(&w->s->args, names->v[i]))
            strv_remove(names, i);
    }
}

static void lint_unset(struct walk *w, const struct instr *i, const struct strv *names)
{
    AUTO(strv_release) struct strv known = STRV_INIT;
    if (names->n > 0 && lint_may_compare(w->l, w->s->env.n))
        lint_names(&w->s->env, &known);
    for (size_t k = 0; k < names->n; k++) {
        const char *other = lint_suggest(w->l, names->v[k], &known);
        lint_warn_at(w->l, RULE_UNDEFINED_VAR, i, "Usage of undefined variable '$%s'%s%s%s",
                     names->v[k], other ? " (did you mean $" : "", other ? other : "",
                     other ? "?)" : "");
    }
}

/* One word's, each name once: BuildKit tells it again for the next word. */
static void lint_word(struct walk *w, const struct instr *i, const char *word)
{
    AUTO(strv_release) struct strv unset = STRV_INIT;
    struct err ignored = ERR_INIT;
    struct env_lookup env = env_lookup_strv(&w->s->env);
    if (word == NULL)
        return;
    mem_free(expand_word(word, &env, w->l->df->escape, &unset, &ignored));
    leave_undeclared(w, &unset);
    lint_unset(w, i, &unset);
}

static void lint_list(struct walk *w, const struct instr *i, const struct strv *words)
{
    for (size_t k = 0; k < words->n; k++)
        lint_word(w, i, words->v[k]);
}

static void lint_copy_words(struct walk *w, const struct instr *i)
{
    const struct instr_copy *c = &i->copy;
    lint_word(w, i, c->chown);
    lint_word(w, i, c->chmod);
    lint_word(w, i, c->checksum);
    lint_list(w, i, &c->sources);
    lint_word(w, i, c->dest);
    for (size_t k = 0; k < c->files.n; k++) {
        AUTO(strv_release) struct strv unset = STRV_INIT;
        struct err ignored = ERR_INIT;
        struct env_lookup env = env_lookup_strv(&w->s->env);
        if (!c->files.v[k].expand)
            continue;
        mem_free(expand_heredoc(c->files.v[k].data, &env, &unset, &ignored));
        leave_undeclared(w, &unset);
        lint_unset(w, i, &unset);
    }
}

static void lint_mounts(struct walk *w, const struct instr *i)
{
    for (size_t k = 0; k < i->run.mount_specs.n; k++) {
        AUTO(strv_release) struct strv unset = STRV_INIT;
        AUTO(run_mount_release) struct run_mount m = { .from = NULL };
        struct err ignored = ERR_INIT;
        struct env_lookup env = env_lookup_strv(&w->s->env);
        run_mount_parse(i->run.mount_specs.v[k], &env, w->l->df->escape, &unset, &m, &ignored);
        leave_undeclared(w, &unset);
        lint_unset(w, i, &unset);
    }
}

static void lint_words(struct walk *w, const struct instr *i)
{
    if (i->kind == INSTR_COPY || i->kind == INSTR_ADD)
        lint_copy_words(w, i);
    else if (i->kind == INSTR_RUN)
        lint_mounts(w, i);
    else if (i->kind == INSTR_VOLUME)
        lint_list(w, i, &i->list);
    else if (i->kind == INSTR_STOPSIGNAL || i->kind == INSTR_USER || i->kind == INSTR_WORKDIR)
        lint_word(w, i, i->value);
    else
        for (size_t k = 0; (i->kind == INSTR_ENV || i->kind == INSTR_LABEL) && k < i->pairs.n;
             k++) {
            lint_word(w, i, i->pairs.v[k].key);
            lint_word(w, i, i->pairs.v[k].value);
        }
}

/* i expanded; again when the base turns out to know a variable that nobody else does. */
static struct instr *expanded(struct walk *w, const struct instr *i, struct err *err)
{
    AUTO(strv_release) struct strv unset = STRV_INIT;
    struct env_lookup env = env_lookup_strv(&w->s->env);
    struct instr *e = instr_expand(i, &env, w->l->df->escape, &unset, err);
    leave_undeclared(w, &unset);
    if (unset.n == 0 || may_be_set(w))
        return e;
    lint_words(w, i);
    if (w->s->known == NULL)
        return e;
    instr_free(e);
    err_clear(err);
    env = env_lookup_strv(&w->s->env);
    return instr_expand(i, &env, w->l->df->escape, NULL, err);
}

static int set_env(struct walk *w, const char *key, const char *value, struct err *err)
{
    size_t n = strlen(key) + strlen(value) + 2;
    w->l->report->too_large = n > ENV_BYTES_MAX - w->l->env_bytes;
    if (w->l->report->too_large)
        return err_set(err, ERR_USAGE, "the environments of the stages are too large");
    w->l->env_bytes += n;
    env_set(&w->s->env, key, value);
    return 0;
}

/* Instructions. */

static bool is_one_of(const char *part, size_t n, const char *const *words, size_t n_words)
{
    for (size_t i = 0; i < n_words; i++) {
        if (strlen(words[i]) == n && strncasecmp(words[i], part, n) == 0)
            return true;
    }
    return false;
}

bool lint_names_secret(const char *key)
{
    static const char *const secret[] = {
        "apikey",   "auth",  "credential", "credentials", "key",
        "password", "pword", "passwd",     "secret",      "token"
    };
    static const char *const harmless[] = { "public", "file", "version" };
    bool found = false;
    for (const char *p = key;; p++) {
        size_t n = strcspn(p, "_");
        if (is_one_of(p, n, harmless, ARRAY_LEN(harmless)))
            return false;
        found |= is_one_of(p, n, secret, ARRAY_LEN(secret));
        p += n;
        if (*p == '\0')
            return found;
    }
}

static void lint_secret(struct walk *w, const struct instr *i, const char *key)
{
    if (!lint_names_secret(key))
        return;
    AUTO(buf_release) struct buf quoted = BUF_INIT;
    text_quote(&quoted, key);
    lint_warn_at(w->l, RULE_SECRETS_USED_IN_ARG_OR_ENV, i,
                 "Do not use ARG or ENV instructions for sensitive data (%s %s)",
                 instr_kind_name(i->kind), buf_str(&quoted));
}

static void lint_old_form(struct walk *w, const struct instr *i, const struct instr_pair *p)
{
    if (p->old_form)
        lint_warn_at(w->l, RULE_LEGACY_KEY_VALUE_FORMAT, i,
                     "\"%s key=value\" should be used instead of legacy \"%s key value\" format",
                     i->keyword, i->keyword);
}

static int walk_env(struct walk *w, const struct instr *i, struct err *err)
{
    for (size_t k = 0; k < i->pairs.n; k++) {
        lint_old_form(w, i, &i->pairs.v[k]);
        lint_secret(w, i, i->pairs.v[k].key);
        if (set_env(w, i->pairs.v[k].key, i->pairs.v[k].value, err) < 0)
            return err->code;
    }
    return 0;
}

static int walk_label(struct walk *w, const struct instr *i, struct err *err UNUSED)
{
    for (size_t k = 0; k < i->pairs.n; k++)
        lint_old_form(w, i, &i->pairs.v[k]);
    return 0;
}

/* A default's value, its unset variables told of. */
static char *default_value(struct walk *w, const struct instr *i, const char *word, struct err *err)
{
    AUTO(strv_release) struct strv unset = STRV_INIT;
    struct env_lookup env = env_lookup_strv(&w->s->env);
    char *value = expand_word(word, &env, w->l->df->escape, &unset, err);
    leave_undeclared(w, &unset);
    if (unset.n == 0 || may_be_set(w))
        return value;
    mem_free(value);
    err_clear(err);
    strv_clear(&unset);
    env = env_lookup_strv(&w->s->env);
    value = expand_word(word, &env, w->l->df->escape, &unset, err);
    leave_undeclared(w, &unset);
    lint_unset(w, i, &unset);
    return value;
}

static int walk_arg(struct walk *w, const struct instr *i, struct err *err)
{
    const struct lint_options *o = w->l->o;
    for (size_t k = 0; k < i->pairs.n; k++) {
        const struct instr_pair *p = &i->pairs.v[k];
        lint_secret(w, i, p->key);
        const char *given = o->build_args != NULL ? env_get(o->build_args, p->key) : NULL;
        if (given == NULL && p->value == NULL)
            given = env_get(&w->l->globals, p->key);
        AUTO(mem_free) char *value = str_dup(given);
        if (value == NULL && p->value != NULL) {
            value = default_value(w, i, p->value, err);
            if (value == NULL)
                return err->code;
        }
        if (value != NULL && set_env(w, p->key, value, err) < 0)
            return err->code;
        strv_add(&w->s->args, p->key);
    }
    return 0;
}

static void used_once(struct walk *w, const struct instr *i, const struct instr **last)
{
    if (*last != NULL)
        lint_warn_at(w->l, RULE_MULTIPLE_INSTRUCTIONS_DISALLOWED, *last,
                     "Multiple %s instructions should not be used in the same stage because only "
                     "the last one will be used",
                     i->keyword);
    *last = i;
}

/* SHELL here, in a stage below, or in the base image. */
static bool has_shell(struct walk *w)
{
    if (w->s->has_shell)
        return true;
    return !on_scratch(w) && ask_base(w) && w->s->known->has_shell;
}

static void lint_json(struct walk *w, const struct instr *i)
{
    if (i->cmd.shell && !has_shell(w))
        lint_warn_at(w->l, RULE_JSON_ARGS_RECOMMENDED, i,
                     "JSON arguments recommended for %s to prevent unintended behavior related to "
                     "OS signals",
                     i->keyword);
}

static int walk_cmd(struct walk *w, const struct instr *i, struct err *err UNUSED)
{
    used_once(w, i, &w->cmd);
    lint_json(w, i);
    return 0;
}

static int walk_entrypoint(struct walk *w, const struct instr *i, struct err *err UNUSED)
{
    used_once(w, i, &w->entrypoint);
    lint_json(w, i);
    return 0;
}

static int walk_healthcheck(struct walk *w, const struct instr *i, struct err *err UNUSED)
{
    used_once(w, i, &w->healthcheck);
    return 0;
}

static int walk_shell(struct walk *w, const struct instr *i UNUSED, struct err *err UNUSED)
{
    w->s->has_shell = true;
    return 0;
}

/* Only the first: what follows is relative to that. */
static int walk_workdir(struct walk *w, const struct instr *i, struct err *err UNUSED)
{
    if (!w->s->workdir_set && *i->value != '/') {
        AUTO(buf_release) struct buf quoted = BUF_INIT;
        text_quote(&quoted, i->value);
        lint_warn_at(w->l, RULE_WORKDIR_RELATIVE_PATH, i,
                     "Relative workdir %s can have unexpected results if the base image changes",
                     buf_str(&quoted));
    }
    w->s->workdir_set = true;
    return 0;
}

static bool has_upper(const char *s)
{
    for (; *s != '\0'; s++) {
        if (isupper((unsigned char)*s))
            return true;
    }
    return false;
}

/* "ip:host:container/proto": the last part is the port; what stands before it is too much. */
static int walk_expose(struct walk *w, const struct instr *i, struct err *err UNUSED)
{
    for (size_t k = 0; k < i->list.n; k++) {
        const char *port = i->list.v[k], *colon = strrchr(port, ':');
        const char *slash = strchr(colon != NULL ? colon : port, '/');
        if (slash != NULL && has_upper(slash))
            lint_warn_at(w->l, RULE_EXPOSE_PROTO_CASING, i,
                         "Defined protocol '%s' in EXPOSE instruction should be lowercase", port);
        if (colon != NULL && port + strspn(port, ":") < colon)
            lint_warn_at(w->l, RULE_EXPOSE_INVALID_FORMAT, i,
                         "EXPOSE instruction should not define an IP address or host-port mapping, "
                         "found '%s'",
                         port);
    }
    return 0;
}

static int walk_copy(struct walk *w, const struct instr *i, struct err *err UNUSED)
{
    lint_copy(w->l, i);
    return 0;
}

static int walk_onbuild(struct walk *w, const struct instr *i, struct err *err UNUSED)
{
    strv_add(&w->s->onbuild, i->value);
    return 0;
}

static int (*const walkers[INSTR_KINDS])(struct walk *, const struct instr *, struct err *) = {
    [INSTR_ADD] = walk_copy,
    [INSTR_ARG] = walk_arg,
    [INSTR_CMD] = walk_cmd,
    [INSTR_COPY] = walk_copy,
    [INSTR_ENTRYPOINT] = walk_entrypoint,
    [INSTR_ENV] = walk_env,
    [INSTR_EXPOSE] = walk_expose,
    [INSTR_HEALTHCHECK] = walk_healthcheck,
    [INSTR_LABEL] = walk_label,
    [INSTR_ONBUILD] = walk_onbuild,
    [INSTR_SHELL] = walk_shell,
    [INSTR_WORKDIR] = walk_workdir,
};

/* original lives on: used_once remembers it. ARG expands its own defaults, if they count at all. */
static int walk_instr(struct walk *w, const struct instr *original, struct err *err)
{
    lint_enter(w->l, &original->comments);
    if (original->kind == INSTR_ARG || original->kind == INSTR_ONBUILD) {
        int rc = walkers[original->kind](w, original, err);
        return rc < 0 ? err_at(err, original->line, original->line_end) : 0;
    }
    bool keeps = original->kind == INSTR_CMD || original->kind == INSTR_ENTRYPOINT ||
                 original->kind == INSTR_HEALTHCHECK;
    AUTO(instr_free) struct instr *own = keeps ? NULL : expanded(w, original, err);
    const struct instr *i = keeps ? original : own;
    if (i == NULL || (walkers[i->kind] != NULL && walkers[i->kind](w, i, err) < 0) ||
        (w->l->o->could_do != NULL && w->l->o->could_do(w->l->o->arg, i, err) < 0))
        return err_at(err, original->line, original->line_end);
    return 0;
}

/* Triggers count as if they stood in FROM's line. They live as long as the walk of the stage. */
struct triggers {
    struct instr **v;
    size_t n, cap;
};

static void triggers_release(struct triggers *t)
{
    for (size_t i = 0; i < t->n; i++)
        instr_free(t->v[i]);
    mem_free(t->v);
}
DEFINE_AUTO_VALUE(struct triggers, triggers_release);

static int walk_triggers(struct walk *w, const struct strv *texts, struct triggers *t,
                         struct err *err)
{
    const struct instr *from = w->l->df->stages[w->index].from;
    for (size_t i = 0; i < texts->n; i++) {
        struct instr *trigger = instr_parse_onbuild(texts->v[i], err);
        if (trigger == NULL)
            return err_at(err, from->line, from->line_end);
        trigger->line = from->line;
        trigger->line_end = from->line_end;
        MEM_ROOM(t->v, t->n, t->cap);
        t->v[t->n++] = trigger;
        if (walk_instr(w, trigger, err) < 0)
            return err->code;
    }
    return 0;
}

static int inherit(struct walk *w, struct err *err)
{
    struct stage_facts *s = w->s;
    if (s->base_stage < 0)
        return set_env(w, "PATH", DEFAULT_PATH, err);
    const struct stage_facts *below = &w->l->stages[s->base_stage];
    for (size_t i = 0; i < below->env.n; i++) {
        const char *pair = below->env.v[i];
        AUTO(mem_free) char *key = str_ndup(pair, strcspn(pair, "="));
        if (set_env(w, key, pair + strlen(key) + 1, err) < 0)
            return err->code;
    }
    strv_copy(&s->args, &below->args);
    s->has_shell = below->has_shell;
    s->workdir_set = below->workdir_set;
    s->known = below->known;
    s->asked = below->asked;
    return 0;
}

static int walk_stage(struct linter *l, size_t index, struct err *err)
{
    struct walk w = { .l = l, .index = index, .s = &l->stages[index] };
    const struct stage *def = &l->df->stages[index];
    AUTO(triggers_release) struct triggers triggers = { .n = 0 };
    if (inherit(&w, err) < 0)
        return err_at(err, def->from->line, def->from->line_end);
    if (w.s->replaced)
        return 0;
    if (l->o->ask_all_bases && ask_base(&w) && w.s->base_stage < 0 &&
        walk_triggers(&w, &w.s->known->onbuild, &triggers, err) < 0)
        return err->code;
    if (w.s->base_stage >= 0 &&
        walk_triggers(&w, &l->stages[w.s->base_stage].onbuild, &triggers, err) < 0)
        return err->code;
    for (size_t k = 0; k < def->n_instrs; k++) {
        if (walk_instr(&w, def->instrs[k], err) < 0)
            return err->code;
    }
    lint_enter(l, NULL);
    return 0;
}

static int lint_base_platform(struct linter *l, size_t index, struct err *err)
{
    const struct stage_facts *s = &l->stages[index];
    const struct instr *from = l->df->stages[index].from;
    struct err why = ERR_INIT;
    const struct lint_base *b = lint_base_of(l, index, &why);
    if (b == NULL && why.code != ERR_NOT_FOUND) {
        err_copy(err, &why);
        return err_at(err, from->line, from->line_end);
    }
    if (b != NULL &&
        (!str_eq(b->platform.os, s->platform.os) || !str_eq(b->platform.arch, s->platform.arch)))
        lint_warn_at(l, RULE_INVALID_BASE_IMAGE_PLATFORM, from,
                     "Base image %s was pulled with platform \"%s\", expected \"%s\" for current "
                     "build",
                     s->base, b->platform.shown, s->platform.shown);
    return 0;
}

/* Bases are all looked at before the first instruction is. */
static int lint_base_platforms(struct linter *l, struct err *err)
{
    for (size_t i = 0; l->o->ask_all_bases && i < l->df->n_stages; i++) {
        const struct stage_facts *s = &l->stages[i];
        if (s->needed && !s->replaced && s->base_stage < 0 && lint_base_platform(l, i, err) < 0)
            return err->code;
    }
    return 0;
}

int lint_walk(struct linter *l, struct err *err)
{
    if (dockerfile_check_circles(l->df, err) < 0 || need_target(l, err) < 0 ||
        lint_base_platforms(l, err) < 0)
        return err->code;
    for (size_t i = 0; i < l->df->n_stages; i++) {
        if (l->stages[i].needed && walk_stage(l, i, err) < 0)
            return err->code;
    }
    return 0;
}

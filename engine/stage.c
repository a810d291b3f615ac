/* One stage, from its FROM to its last instruction. */
#include "engine/build_internal.h"

#include "base/clock.h"
#include "engine/engine_internal.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>

bool stage_no_cache(const struct build_stage *st)
{
    const struct build_options *o = st->b->o;
    return o->no_cache || (st->def->name != NULL && strv_has(&o->no_cache_filter, st->def->name));
}

/*
 * A stage that only a trigger asks for (ONBUILD COPY --from=X): nobody knew that it would be
 * needed. It is built by the thread that waits for it. Called with the lock held.
 */
static int run_now(struct build_stage *st, struct err *err)
{
    struct build *b = st->b;
    st->needed = true;
    pthread_mutex_unlock(&b->lock);
    int rc = stage_run(st, err);
    pthread_mutex_lock(&b->lock);
    st->phase = rc < 0 ? STAGE_FAILED : STAGE_DONE;
    pthread_cond_broadcast(&b->phase_changed);
    return rc;
}

int stage_wait(struct build *b, size_t index, struct err *err)
{
    struct build_stage *st = &b->stages[index];
    pthread_mutex_lock(&b->lock);
    if (!st->needed && st->phase == STAGE_WAITING && run_now(st, err) < 0) {
        pthread_mutex_unlock(&b->lock);
        return err->code;
    }
    while (st->phase == STAGE_WAITING)
        pthread_cond_wait(&b->phase_changed, &b->lock);
    bool failed = st->phase == STAGE_FAILED;
    pthread_mutex_unlock(&b->lock);
    return failed ? err_set(err, ERR_CANCELLED, "context canceled") : 0;
}

/* The instruction as people wrote it, variables filled in where that works, the keyword in
 * capitals. */
static char *shown_text(const struct build_stage *st, const struct instr *i)
{
    struct expand_options options = { .escape = st->b->df->escape,
                                      .skip_unset = true,
                                      .raw_quotes = true };
    struct env_lookup env = env_lookup_strv(&st->state.env);
    AUTO(expand_result_release) struct expand_result r = EXPAND_RESULT_INIT;
    struct err ignored = ERR_INIT;
    bool good = expand(i->text, &env, &options, &r, &ignored) == 0 && r.word != NULL;
    char *text = str_dup(good ? r.word : i->text);
    for (char *p = text; *p && !isspace((unsigned char)*p); p++)
        *p = (char)toupper((unsigned char)*p);
    return text;
}

/* " (first line...)" of a RUN's only here-document. */
static void add_heredoc_summary(struct buf *b, const struct instr *i)
{
    if (i->kind != INSTR_RUN || i->run.files.n == 0 || i->run.cmd.args.n != 1)
        return;
    struct ast_heredoc h = { 0 };
    struct err ignored = ERR_INIT;
    bool bare = ast_heredoc_word(i->run.cmd.args.v[0], &h, &ignored) == 1;
    ast_heredoc_release(&h);
    if (!bare)
        return;
    const char *data = i->run.files.v[0].data;
    data += strspn(data, " \t\r\n");
    size_t first = strcspn(data, "\r\n"), rest = first + strspn(data + first, " \t\r\n");
    buf_addf(b, " (%.*s%s)", (int)first, data, data[rest] ? "..." : "");
}

static void add_number(struct buf *b, struct build_stage *st)
{
    int width = snprintf(NULL, 0, "%d", st->n_total);
    st->n_shown++;
    buf_addf(b, "[%s%s%*d/%d] ", st->shown, *st->shown ? " " : "", width, st->n_shown, st->n_total);
}

char *stage_vertex_name(struct build_stage *st, const struct instr *i)
{
    AUTO(mem_free) char *text = shown_text(st, i);
    AUTO(buf_release) struct buf name = BUF_INIT;
    add_number(&name, st);
    buf_adds(&name, text);
    add_heredoc_summary(&name, i);
    return buf_take(&name);
}

/* FROM. */

static void from_scratch(struct build_stage *st)
{
    struct image_config empty;
    image_config_init(&empty);
    empty.platform = st->platform;
    empty.workdir = str_dup("/");
    state_from_image(&st->state, &empty, NULL, 0);
    image_config_release(&empty);
}

/* A base image, found once for all stages that begin with it. */
struct base {
    pthread_mutex_t lock;
    bool asked;
    int rc;
    struct err err;
    struct found_image found;
};

void base_free(void *arg)
{
    struct base *x = arg;
    found_image_release(&x->found);
    pthread_mutex_destroy(&x->lock);
    mem_free(x);
}

static struct base *base_of(struct build *b, const char *canonical, const struct platform *p)
{
    char platform[64];
    AUTO(mem_free) char *key = str_printf("%s %s", canonical, platform_format(p, platform));
    pthread_mutex_lock(&b->lock);
    struct base *x = map_get(b->bases, key);
    if (x == NULL) {
        x = mem_zalloc(sizeof(*x));
        pthread_mutex_init(&x->lock, NULL);
        map_set(b->bases, key, x);
    }
    pthread_mutex_unlock(&b->lock);
    return x;
}

static void ask_base(struct build_stage *st, const char *canonical, struct base *x)
{
    struct build *b = st->b;
    int64_t started = clock_mono_ms();
    int v = vertex_begin(b->e, "[internal] load metadata for %s", canonical);
    struct find_options options = {
        .platform = &st->platform, .pull = b->o->pull, .offline = b->o->offline, .vertex = v
    };
    x->rc = find_image(b->e, st->base, &options, &x->found, &x->err);
    vertex_close(b->e, v, x->rc, started, &x->err);
    x->asked = true;
}

static int from_image(struct build_stage *st, struct err *err)
{
    struct build *b = st->b;
    AUTO(image_name_release) struct image_name name = { 0 };
    if (image_name_parse(st->base, &name, err) < 0)
        return err_wrap(err, "failed to parse stage name \"%s\"", st->base);
    AUTO(mem_free) char *canonical = image_name_canonical(&name);
    struct base *x = base_of(b, canonical, &st->platform);
    pthread_mutex_lock(&x->lock);
    if (!x->asked)
        ask_base(st, canonical, x);
    pthread_mutex_unlock(&x->lock);
    if (x->rc < 0) {
        err_copy(err, &x->err);
        return err_wrap(err, "%s: failed to resolve source metadata for %s", st->base, canonical);
    }
    AUTO(buf_release) struct buf shown = BUF_INIT;
    add_number(&shown, st);
    int v = vertex_begin(b->e, "%sFROM %s", buf_str(&shown), canonical);
    state_from_image(&st->state, &x->found.config, x->found.layers, x->found.n_layers);
    vertex_end(b->e, v, VERTEX_CACHED, NULL, 0);
    return 0;
}

/* What an ARG of the earlier stage said about an ENV is over: in BuildKit too ENV is set anew. */
static void config_env_again(struct state *s)
{
    for (size_t i = 0; i < s->config.env.n; i++) {
        const char *pair = s->config.env.v[i], *eq = strchr(pair, '=');
        AUTO(mem_free) char *key = str_ndup(pair, eq ? (size_t)(eq - pair) : strlen(pair));
        env_set(&s->env, key, eq ? eq + 1 : "");
    }
}

static int start_from(struct build_stage *st, struct err *err)
{
    if (st->base_stage >= 0) {
        if (stage_wait(st->b, (size_t)st->base_stage, err) < 0)
            return err->code;
        state_copy(&st->state, &st->b->stages[st->base_stage].state);
        config_env_again(&st->state);
        return 0;
    }
    if (str_eq(st->base, "scratch")) {
        from_scratch(st);
        return 0;
    }
    return from_image(st, err);
}

/* ARG: --build-arg, else the default, else what is declared before the first FROM. */

static int do_arg(struct build_stage *st, const struct instr *i, struct err *err UNUSED)
{
    struct state *s = &st->state;
    AUTO(buf_release) struct buf text = BUF_INIT;
    buf_adds(&text, "ARG");
    for (size_t k = 0; k < i->pairs.n; k++) {
        const struct instr_pair *p = &i->pairs.v[k];
        const char *value = env_get(&st->b->o->build_args, p->key);
        if (value == NULL)
            value = p->value ? p->value : env_get(&st->b->globals, p->key);
        AUTO(mem_free) char *own = str_dup(value);
        state_declare_arg(s, p->key, own);
        if (own != NULL)
            env_set(&s->env, p->key, own);
        buf_addf(&text, " %s", p->key);
        if (own != NULL)
            buf_addf(&text, "=%s", own);
    }
    state_add_history(s, buf_str(&text), false, 0);
    return 0;
}

static int (*const layer_steps[INSTR_KINDS])(struct build_stage *, const struct instr *,
                                             struct err *) = {
    [INSTR_ARG] = do_arg,  [INSTR_RUN] = do_run,         [INSTR_COPY] = do_copy,
    [INSTR_ADD] = do_copy, [INSTR_WORKDIR] = do_workdir,
};

static int carry_out(struct build_stage *st, const struct instr *i, struct err *err)
{
    struct env_lookup env = env_lookup_strv(&st->state.env);
    if (cancel_check(engine_cancel(st->b->e), err) < 0)
        return err->code;
    AUTO(instr_free) struct instr *x = instr_expand(i, &env, st->b->df->escape, NULL, err);
    if (x == NULL)
        return err_at(err, i->line, i->line_end);
    if (state_check_size(&st->state, err) < 0)
        return err_at(err, i->line, i->line_end);
    if (is_meta(x->kind))
        return do_meta(&st->state, x, true, err);
    if (layer_steps[x->kind] == NULL)
        return err_set(err, ERR_UNSUPPORTED, "%s is not supported here", instr_kind_name(x->kind));
    return layer_steps[x->kind](st, x, err);
}

/* The triggers of the base, which are then used up. */
static int run_triggers(struct build_stage *st, struct err *err)
{
    AUTO(strv_release) struct strv triggers = STRV_INIT;
    strv_copy(&triggers, &st->state.config.onbuild);
    strv_clear(&st->state.config.onbuild);
    for (size_t k = 0; k < triggers.n; k++) {
        AUTO(instr_free) struct instr *i = instr_parse_onbuild(triggers.v[k], err);
        if (i == NULL)
            return err_at(err, st->def->line, st->def->line);
        i->line = st->def->from->line;
        i->line_end = st->def->from->line_end;
        st->n_total += layer_steps[i->kind] != NULL && i->kind != INSTR_ARG;
        if (carry_out(st, i, err) < 0)
            return err->code;
    }
    return 0;
}

int stage_run(struct build_stage *st, struct err *err)
{
    st->state.cmd_set = false;
    if (start_from(st, err) < 0)
        return err_at(err, st->def->from->line, st->def->from->line_end);
    if (run_triggers(st, err) < 0)
        return err->code;
    for (size_t k = 0; k < st->def->n_instrs; k++)
        if (carry_out(st, st->def->instrs[k], err) < 0)
            return err->code;
    return 0;
}

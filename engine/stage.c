/* One stage, from its FROM to its last instruction. */
#include "engine/build_internal.h"

#include "base/clock.h"
#include "engine/base_images.h"
#include "engine/contexts.h"
#include "engine/copy_internal.h"
#include "engine/engine_internal.h"
#include "engine/files.h"
#include "engine/lint_use.h"
#include "engine/push_output.h"
#include "remote/url.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* A filter that names no stage is no error, and an empty one means the stages without name: all of
 * that as BuildKit has it. */
bool stage_no_cache(const struct build_stage *st)
{
    const struct build_options *o = st->b->o;
    const char *name = st->def->name ? st->def->name : "";
    bool named = false;
    for (size_t i = 0; i < o->no_cache_filter.n && !named; i++)
        named = strcasecmp(o->no_cache_filter.v[i], name) == 0;
    return o->no_cache || named;
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

/* Whether the stage waits, by way of others, for one that is to wait for it. */
static bool is_circle(const struct build *b, size_t index, size_t waiter)
{
    int i = (int)index;
    while (i >= 0 && (size_t)i != waiter)
        i = b->stages[i].waits_for;
    return i >= 0;
}

static int wait_for(struct build *b, struct build_stage *st, struct err *err)
{
    if (!st->needed && st->phase == STAGE_WAITING && run_now(st, err) < 0)
        return err->code;
    while (st->phase == STAGE_WAITING)
        pthread_cond_wait(&b->phase_changed, &b->lock);
    return st->phase == STAGE_FAILED ? err_set(err, ERR_CANCELLED, "context canceled") : 0;
}

int stage_wait(struct build_stage *waiter, size_t index, struct err *err)
{
    struct build *b = waiter->b;
    struct build_stage *st = &b->stages[index];
    int rc;
    pthread_mutex_lock(&b->lock);
    if (is_circle(b, index, waiter->index)) {
        rc = err_set(err, ERR_USAGE, "circular dependency detected on stage: %s",
                     st->def->name ? st->def->name : st->shown);
    } else {
        waiter->waits_for = (int)index;
        rc = wait_for(b, st, err);
        waiter->waits_for = -1;
    }
    pthread_mutex_unlock(&b->lock);
    return rc;
}

/* The variables of an instruction's name: a RUN's secret ones are not what ENV says. */
static void shown_env(const struct build_stage *st, const struct instr *i, struct strv *ret)
{
    strv_copy(ret, &st->state.env);
    for (size_t k = 0; i->kind == INSTR_RUN && k < i->run.n_mounts; k++) {
        const struct run_mount *m = &i->run.mounts[k];
        if (m->type == MOUNT_SECRET && m->env != NULL)
            env_set(ret, m->env, "****");
    }
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

static char *upper_word(char *p)
{
    for (; *p && !isspace((unsigned char)*p); p++)
        *p = (char)toupper((unsigned char)*p);
    return p;
}

/*
 * The instruction as people wrote it, variables filled in where that works, the keyword in
 * capitals. As in BuildKit, RUN keeps its quotes and what is unset, the others do not.
 */
static char *shown_text(const struct build_stage *st, const struct instr *i)
{
    bool run = i->kind == INSTR_RUN;
    struct expand_options options = { .escape = st->b->df->escape,
                                      .skip_unset = run,
                                      .raw_quotes = run };
    AUTO(strv_release) struct strv shown = STRV_INIT;
    shown_env(st, i, &shown);
    struct env_lookup env = env_lookup_strv(&shown);
    AUTO(buf_release) struct buf written = BUF_INIT;
    buf_adds(&written, i->text);
    add_heredoc_summary(&written, i);
    AUTO(expand_result_release) struct expand_result r = EXPAND_RESULT_INIT;
    struct err ignored = ERR_INIT;
    bool good = expand(buf_str(&written), &env, &options, &r, &ignored) == 0 && r.word != NULL;
    const char *shown_as = good ? r.word : buf_str(&written);
    char *text = i->kind == INSTR_ADD ? url_redact(shown_as) : str_dup(shown_as);
    char *end = upper_word(text);
    if (strncmp(text, "ONBUILD ", 8) == 0)
        upper_word(end + 1);
    return text;
}

/* "linux/amd64", "linux/amd64->arm64", "linux/amd64->windows/amd64" */
static void add_platforms(struct buf *b, const struct platform *on, const struct platform *target)
{
    char text[64];
    buf_adds(b, platform_format(on, text));
    if (str_eq(on->os, target->os) && str_eq(on->arch, target->arch) &&
        str_eq(on->variant, target->variant))
        return;
    platform_format(target, text);
    buf_addf(b, "->%s", str_eq(on->os, target->os) ? strchr(text, '/') + 1 : text);
}

/* The platform that the stage's variables say is built for; ours when they say nothing. */
static void known_target(const struct build_stage *st, struct platform *ret)
{
    struct err ignored = ERR_INIT;
    const char *whole = env_get(&st->state.env, "TARGETPLATFORM");
    const char *parts[] = { env_get(&st->state.env, "TARGETOS"),
                            env_get(&st->state.env, "TARGETARCH"),
                            env_get(&st->state.env, "TARGETVARIANT") };
    *ret = st->platform;
    if (whole != NULL && platform_parse(whole, ret, &ignored) == 0)
        return;
    if (parts[0] == NULL && parts[1] == NULL && parts[2] == NULL)
        return;
    bool has_variant = parts[2] != NULL && *parts[2] != '\0';
    AUTO(mem_free)
    char *text = str_printf("%s/%s%s%s", parts[0] ? parts[0] : st->platform.os,
                            parts[1] ? parts[1] : st->platform.arch, has_variant ? "/" : "",
                            has_variant ? parts[2] : "");
    platform_parse(text, ret, &ignored);
}

/* As BuildKit names it: with platforms where there are several, and then with the target's as soon
 * as the stage asks for it. */
static void add_number(struct buf *b, struct build_stage *st)
{
    int width = snprintf(NULL, 0, "%d", st->n_total);
    struct platform target;
    st->n_shown++;
    buf_adds(b, "[");
    if (st->b->is_split) {
        known_target(st, &target);
        add_platforms(b, &st->platform, &target);
        buf_adds(b, " ");
    }
    buf_addf(b, "%s%s%*d/%d] ", st->shown, *st->shown ? " " : "", width, st->n_shown, st->n_total);
}

char *stage_report_name(const struct build_stage *st)
{
    AUTO(buf_release) struct buf name = BUF_INIT;
    if (st->b->is_split) {
        add_platforms(&name, &st->platform, &st->target->platform);
        buf_adds(&name, *st->shown ? " " : "");
    }
    buf_adds(&name, st->shown);
    return buf_take(&name);
}

char *stage_vertex_name(struct build_stage *st, const struct instr *i)
{
    AUTO(mem_free) char *text = shown_text(st, i);
    AUTO(buf_release) struct buf name = BUF_INIT;
    add_number(&name, st);
    buf_adds(&name, text);
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

static int from_image(struct build_stage *st, struct err *err)
{
    struct build *b = st->b;
    AUTO(base_image_release) struct base_image x = { .found = NULL };
    if (base_image_find(b, st->base, &st->platform, NULL, &x, err) < 0)
        return err->code;
    lint_found_base(st, &x.found->config.platform);
    AUTO(buf_release) struct buf shown = BUF_INIT;
    add_number(&shown, st);
    buf_addf(&shown, "FROM %s", x.canonical);
    step_report_begin(st, st->def->from, buf_str(&shown))->answer = STEP_CACHED;
    int v = b->is_dry ? 0 : vertex_begin(b->e, "%s", buf_str(&shown));
    state_from_image(&st->state, &x.found->config, x.found->layers, x.found->n_layers);
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

static int from_stage(struct build_stage *st, size_t base, struct err *err)
{
    if (stage_wait(st, base, err) < 0)
        return err->code;
    const struct state *below = &st->b->stages[base].state;
    if (below->is_blank)
        return err_set(err, ERR_UNDECIDED, "%s", below->undecided);
    state_copy(&st->state, below);
    config_env_again(&st->state);
    return 0;
}

/* A file system that is no image: an empty configuration, and history for what it is made of. */
static int from_files(struct build_stage *st, struct err *err)
{
    AUTO(files_release) struct files f = { .b = NULL };
    AUTO(strv_release) struct strv all = STRV_INIT;
    struct content_id ignored;
    const struct layer *const *layers;
    size_t n;
    strv_add(&all, "");
    if (files_open(st, st->base_context, &all, &f, err) < 0 ||
        files_identify(&f, "", &ignored, err) < 0 || files_stack(&f, &layers, &n, err) < 0)
        return err->code;
    from_scratch(st);
    AUTO(mem_free) char *created_by = str_printf("FROM %s # buildkit", st->base_context);
    int64_t made_s = f.made_s > 0 ? f.made_s : clock_wall_s();
    const struct epoch_rule times = { .all = f.context != NULL };
    for (size_t i = 0; i < n; i++) {
        const struct layer *l = layers[i];
        if (st->b->epoch >= 0 && epoch_times(st->b, &times, &l, err) < 0)
            return err->code;
        state_add_layer(&st->state, l, NULL);
        state_add_history(&st->state, created_by, true, st->b->epoch >= 0 ? st->b->epoch : made_s);
        if (!st->b->is_plan)
            build_pack(st, l);
    }
    return 0;
}

static int from_context(struct build_stage *st, struct err *err)
{
    const struct build_context *c;
    if (contexts_find(st->b, st->base_context, &st->platform, &c, err) < 0)
        return err->code;
    if (c->kind == CONTEXT_STAGE)
        return from_stage(st, build_stage_index(st, c->stage), err);
    if (c->kind != CONTEXT_IMAGE)
        return from_files(st, err);
    state_from_image(&st->state, &c->image.config, c->layers, c->n_layers);
    return 0;
}

static int start_from(struct build_stage *st, struct err *err)
{
    if (st->base_context != NULL)
        return from_context(st, err);
    if (st->base_stage >= 0)
        return from_stage(st, (size_t)st->base_stage, err);
    if (str_eq(st->base, "scratch")) {
        from_scratch(st);
        return 0;
    }
    return from_image(st, err);
}

/* An image that is only copied from or mounted is looked for first too: what is missing is said
 * before anything runs. What has a variable is refused when its turn comes. */
static int find_source(struct build_stage *st, const char *from, struct err *err)
{
    struct build *b = st->b;
    if (from == NULL || *from == '\0' || strchr(from, '$') != NULL || str_eq(from, "scratch") ||
        contexts_has(b, from, &st->platform) || build_stage_ref(st, from) >= 0)
        return 0;
    AUTO(base_image_release) struct base_image x = { .found = NULL };
    int rc = base_image_find(b, from, &st->platform, NULL, &x, err);
    if (rc != ERR_UNDECIDED)
        return rc;
    err_clear(err); /* the step that needs it says so */
    return 0;
}

static int find_sources(struct build_stage *st, const struct instr *i, struct err *err)
{
    AUTO(strv_release) struct strv froms = STRV_INIT;
    if (i->kind == INSTR_COPY)
        return find_source(st, i->copy.from, err);
    instr_mount_froms(i, st->b->df->escape, &froms);
    for (size_t k = 0; k < froms.n; k++)
        if (find_source(st, froms.v[k], err) < 0)
            return err->code;
    return 0;
}

/* ARG: --build-arg, else the default, else what is declared before the first FROM. */

static int do_arg(struct build_stage *st, const struct instr *i, struct err *err UNUSED)
{
    struct state *s = &st->state;
    AUTO(buf_release) struct buf text = BUF_INIT;
    buf_adds(&text, "ARG");
    for (size_t k = 0; k < i->pairs.n; k++) {
        const struct instr_pair *p = &i->pairs.v[k];
        const char *value = epoch_build_arg(st->b, p->key);
        if (value == NULL)
            value = p->value ? p->value : env_get(&st->target->globals, p->key);
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

/* A default that --build-arg replaces is not expanded: it may well be an error. NULL: i is no ARG.
 */
static struct instr *without_unused_defaults(const struct build_stage *st, const struct instr *i)
{
    if (i->kind != INSTR_ARG)
        return NULL;
    struct instr *ret = instr_copy_of(i);
    for (size_t k = 0; k < ret->pairs.n; k++) {
        struct instr_pair *p = &ret->pairs.v[k];
        if (env_get(&st->b->o->build_args, p->key) == NULL)
            continue;
        mem_free(p->value);
        p->value = NULL;
    }
    return ret;
}

static int carry_out(struct build_stage *st, const struct instr *i, struct err *err)
{
    struct env_lookup env = env_lookup_strv(&st->state.env);
    if (cancel_check(engine_cancel(st->b->e), err) < 0)
        return err->code;
    AUTO(instr_free) struct instr *own = without_unused_defaults(st, i);
    AUTO(instr_free)
    struct instr *x = instr_expand(own ? own : i, &env, st->b->df->escape, NULL, err);
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

/* Triggers as they are carried out: in FROM's line, shown as what they are. */
struct triggers {
    struct instr **v;
    size_t n;
};

static void triggers_release(struct triggers *t)
{
    for (size_t k = 0; k < t->n; k++)
        instr_free(t->v[k]);
    mem_free(t->v);
}
DEFINE_AUTO_VALUE(struct triggers, triggers_release);

static int read_triggers(struct build_stage *st, struct triggers *ret, struct err *err)
{
    const struct strv *texts = &st->state.config.onbuild;
    const struct instr *from = st->def->from;
    ret->v = mem_calloc(texts->n + 1, sizeof(*ret->v));
    for (size_t k = 0; k < texts->n; k++) {
        struct instr *i = instr_parse_onbuild(texts->v[k], err);
        if (i == NULL)
            return err_at(err, from->line, from->line_end);
        ret->v[ret->n++] = i;
        i->line = from->line;
        i->line_end = from->line_end;
        AUTO(mem_free) char *text = i->text;
        i->text = str_printf("ONBUILD %s", text);
        st->n_total += layer_steps[i->kind] != NULL && i->kind != INSTR_ARG;
    }
    return 0;
}

/* The triggers of the base, which are then used up. */
static int run_triggers(struct build_stage *st, struct err *err)
{
    AUTO(triggers_release) struct triggers triggers = { .n = 0 };
    if (read_triggers(st, &triggers, err) < 0)
        return err->code;
    strv_clear(&st->state.config.onbuild);
    for (size_t k = 0; k < triggers.n; k++) {
        if (carry_out(st, triggers.v[k], err) < 0)
            return err->code;
    }
    return 0;
}

static int find_all_sources(struct build_stage *st, struct err *err)
{
    for (size_t k = 0; k < st->def->n_instrs; k++) {
        const struct instr *i = st->def->instrs[k];
        if (find_sources(st, i, err) < 0)
            return err_at(err, i->line, i->line_end);
    }
    return 0;
}

/*
 * What is wrong with any instruction of the stage is said before the first of them runs: on a copy
 * of the state everything is carried out that makes no files.
 */
static int try_instr(struct build_stage *trial, const struct instr *i, struct err *err)
{
    if (i->kind == INSTR_ARG || is_meta(i->kind))
        return carry_out(trial, i, err);
    struct env_lookup env = env_lookup_strv(&trial->state.env);
    AUTO(instr_free) struct instr *x = instr_expand(i, &env, trial->b->df->escape, NULL, err);
    if (x == NULL)
        return err_at(err, i->line, i->line_end);
    if ((x->kind == INSTR_COPY || x->kind == INSTR_ADD) && copy_lacks_source(trial, x))
        return do_copy(trial, x, err); /* which says so */
    trial->n_shown += layer_steps[x->kind] != NULL;
    return 0;
}

static int try_stage(struct build_stage *st, struct err *err)
{
    struct build_stage trial = *st;
    AUTO(triggers_release) struct triggers triggers = { .n = 0 };
    state_init(&trial.state);
    state_copy(&trial.state, &st->state);
    trial.report = (struct build_report){ .v = NULL };
    mem_free(trial.state.undecided); /* what is looked for here does not wait for it */
    trial.state.undecided = NULL;
    int rc = read_triggers(&trial, &triggers, err);
    for (size_t k = 0; rc == 0 && k < triggers.n; k++)
        rc = try_instr(&trial, triggers.v[k], err);
    for (size_t k = 0; rc == 0 && k < st->def->n_instrs; k++)
        rc = try_instr(&trial, st->def->instrs[k], err);
    state_release(&trial.state);
    build_report_move(&st->report, &trial.report);
    return rc;
}

/*
 * A plan of a stage whose base is not here: nothing is known of its environment, so its
 * instructions are only named.
 */
static int name_steps(struct build_stage *st, struct err *err)
{
    AUTO(mem_free) char *waits_for = str_dup(err->msg);
    err_clear(err);
    if (st->n_shown == 0 && st->base_stage < 0)
        step_undecided(st, st->def->from, waits_for);
    if (st->state.undecided == NULL)
        st->state.undecided = str_dup(waits_for);
    st->state.is_blank = true;
    for (size_t k = 0; k < st->def->n_instrs; k++) {
        const struct instr *i = st->def->instrs[k];
        if (layer_steps[i->kind] != NULL && i->kind != INSTR_ARG)
            step_undecided(st, i, waits_for);
    }
    return 0;
}

int stage_run(struct build_stage *st, struct err *err)
{
    st->state.cmd_set = false;
    bool waits = st->base_stage >= 0; /* then its images are looked for meanwhile */
    if (waits && find_all_sources(st, err) < 0)
        return err->code;
    int rc = start_from(st, err);
    if (rc == ERR_UNDECIDED)
        return name_steps(st, err);
    if (rc < 0)
        return err_at(err, st->def->from->line, st->def->from->line_end);
    for (size_t i = 0; st->base_stage < 0 && i < st->state.n_layers; i++)
        build_send(st, st->state.layers[i]); /* another stage sends its own */
    if (st->replaced)
        return 0;
    if (!waits && find_all_sources(st, err) < 0)
        return err->code;
    if (try_stage(st, err) < 0 || run_triggers(st, err) < 0)
        return err->code;
    for (size_t k = 0; k < st->def->n_instrs; k++)
        if (carry_out(st, st->def->instrs[k], err) < 0)
            return err->code;
    return 0;
}

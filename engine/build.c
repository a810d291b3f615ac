#include "engine/build.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "engine/build_internal.h"
#include "engine/contexts.h"
#include "engine/engine_internal.h"
#include "engine/lint_use.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define DOCKERFILE_MAX (1u << 20)
#define RESTARTS_MAX 32
#define EPOCH_MAX 253402300799 /* the year 9999 ends */

void build_result_release(struct build_result *r)
{
    mem_free(r->dockerfile_name);
    buf_release(&r->dockerfile);
}

static void build_release(struct build *b)
{
    map_free(b->bases);
    group_free(b->packing);
    for (size_t i = 0; i < b->n_stages; i++) {
        state_release(&b->stages[i].state);
        mem_free(b->stages[i].shown);
        mem_free(b->stages[i].base);
    }
    mem_free(b->stages);
    contexts_free(b->contexts);
    dockerfile_free(b->df);
    strv_release(&b->context_wants);
    strv_release(&b->globals);
    mem_free(b->used_keys);
    pthread_mutex_destroy(&b->lock);
    pthread_cond_destroy(&b->phase_changed);
}
DEFINE_AUTO_VALUE(struct build, build_release);

/* Reading. */

static int read_file(struct build *b, char **ret_path, struct err *err)
{
    const struct build_options *o = b->o;
    struct buf *text = &b->result->dockerfile;
    if (o->dockerfile != NULL) {
        *ret_path = str_dup(o->dockerfile);
        return file_read(AT_FDCWD, o->dockerfile, DOCKERFILE_MAX, text, err);
    }
    static const char *const names[] = { "Dockerfile", "dockerfile" };
    int rc = ERR_NOT_FOUND;
    for (size_t i = 0; i < ARRAY_LEN(names) && rc == ERR_NOT_FOUND; i++) {
        mem_free(*ret_path);
        err_clear(err);
        *ret_path = str_printf("%s/%s", o->context, names[i]);
        rc = file_read(AT_FDCWD, *ret_path, DOCKERFILE_MAX, text, err);
    }
    return rc;
}

static int read_dockerfile(struct build *b, char **ret_path, struct err *err)
{
    const struct build_options *o = b->o;
    struct build_result *r = b->result;
    r->dockerfile_name = str_dup(o->dockerfile ? path_base(o->dockerfile) : "Dockerfile");
    int v = vertex_begin(b->e, "[internal] load build definition from %s", r->dockerfile_name);
    int64_t started = clock_mono_ms();
    int rc = 0;
    if (o->dockerfile_text != NULL)
        buf_add(&r->dockerfile, o->dockerfile_text, o->dockerfile_len);
    else
        rc = read_file(b, ret_path, err);
    if (rc == ERR_NOT_FOUND)
        err_set(err, ERR_USAGE, "failed to read dockerfile: open %s: no such file or directory",
                r->dockerfile_name);
    else if (rc < 0)
        err_wrap(err, "failed to read dockerfile");
    if (rc == 0)
        vertex_status(b->e, v, "transferring dockerfile:", r->dockerfile.len, 0, true);
    return build_lint(b, *ret_path, v, rc, started, err);
}

/* "# syntax=" of Docker's own frontend means the language that is built in. */
static int check_syntax(const struct build *b, struct err *err)
{
    AUTO(ast_directive_release) struct ast_directive d = { 0 };
    const struct buf *text = &b->result->dockerfile;
    if (!ast_find_directive(buf_str(text), text->len, "syntax", &d))
        return 0;
    AUTO(image_name_release) struct image_name n = { 0 };
    struct err ignored = ERR_INIT;
    AUTO(mem_free) char *word = str_ndup(d.value, strcspn(d.value, " \t"));
    if (image_name_parse(word, &n, &ignored) == 0 && str_eq(n.domain, "docker.io") &&
        (str_eq(n.path, "docker/dockerfile") || str_eq(n.path, "docker/dockerfile-upstream")))
        return 0;
    err_set(err, ERR_UNSUPPORTED, "the frontend '%s' of # syntax= is not supported", d.value);
    return err_at(err, d.line, d.line);
}

/* Variables of FROM lines, and SOURCE_DATE_EPOCH. */

static int read_epoch(struct build *b, struct err *err)
{
    const char *text = env_get(&b->o->build_args, "SOURCE_DATE_EPOCH");
    char *end;
    b->epoch = -1;
    if (text == NULL || *text == '\0')
        return 0;
    b->epoch = strtoll(text, &end, 10);
    if (*end != '\0' || b->epoch < 0 || b->epoch > EPOCH_MAX)
        return err_set(err, ERR_USAGE, "invalid SOURCE_DATE_EPOCH: %s", text);
    return 0;
}

static int read_globals(struct build *b, struct err *err)
{
    struct platform host = platform_host();
    b->platform = b->o->has_platform ? b->o->platform : host;
    lint_add_globals(&b->platform, b->o->target, &b->globals);
    for (size_t i = 0; i < b->df->n_args; i++) {
        const struct instr_pairs *p = &b->df->args[i]->pairs;
        for (size_t k = 0; k < p->n; k++) {
            struct env_lookup env = env_lookup_strv(&b->globals);
            const char *given = env_get(&b->o->build_args, p->v[k].key);
            AUTO(mem_free) char *value = str_dup(given);
            if (value == NULL && p->v[k].value != NULL)
                value = expand_word(p->v[k].value, &env, b->df->escape, NULL, err);
            if (value == NULL && given == NULL && p->v[k].value != NULL)
                return err_at(err, b->df->args[i]->line, b->df->args[i]->line_end);
            if (value != NULL)
                env_set(&b->globals, p->v[k].key, value);
        }
    }
    return read_epoch(b, err);
}

/* Stages. */

static bool makes_layer(enum instr_kind kind)
{
    return kind == INSTR_RUN || kind == INSTR_COPY || kind == INSTR_ADD || kind == INSTR_WORKDIR;
}

static int prepare_stage(struct build *b, size_t i, struct err *err)
{
    struct build_stage *st = &b->stages[i];
    struct env_lookup env = env_lookup_strv(&b->globals);
    st->b = b;
    st->index = i;
    st->def = &b->df->stages[i];
    state_init(&st->state);
    st->platform = b->platform;
    if (b->df->n_stages == 1)
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
    st->base_stage = dockerfile_stage_named(b->df, st->base, i);
    st->n_total = st->base_stage < 0 && !str_eq(st->base, "scratch");
    for (size_t k = 0; k < st->def->n_instrs; k++)
        st->n_total += makes_layer(st->def->instrs[k]->kind);
    return 0;
}

int build_stage_ref(const struct build *b, const char *from, size_t before)
{
    int named = dockerfile_stage_named(b->df, from, before);
    if (named >= 0)
        return named;
    char *end;
    unsigned long n = strtoul(from, &end, 10);
    return *from && *end == '\0' && n < before ? (int)n : -1;
}

static int find_target(struct build *b, struct err *err)
{
    const char *target = b->o->target;
    b->target = b->n_stages - 1;
    if (target == NULL || *target == '\0')
        return 0;
    int i = build_stage_ref(b, target, b->n_stages);
    if (i < 0)
        return err_set(err, ERR_USAGE, "target stage \"%s\" could not be found", target);
    b->target = (size_t)i;
    return 0;
}

/* A later stage or the stage itself cannot be copied from: BuildKit's words. */
static int check_copy_from(const struct build *b, const struct build_stage *st,
                           const struct instr *i, struct err *err)
{
    int later = dockerfile_stage_named(b->df, i->copy.from, b->n_stages);
    char *end;
    unsigned long n = strtoul(i->copy.from, &end, 10);
    bool number = *i->copy.from && *end == '\0';
    if (later < 0 && !number)
        return 0; /* an image */
    if (later < 0 && n >= b->n_stages)
        err_set(err, ERR_USAGE, "invalid stage index %s", i->copy.from);
    else
        err_set(err, ERR_USAGE,
                "cannot copy from stage \"%s\", it needs to be defined before current stage \"%s\"",
                i->copy.from, st->def->name ? st->def->name : st->shown);
    return err_at(err, i->line, i->line_end);
}

static int mark_needed(struct build *b, size_t index, struct err *err)
{
    struct build_stage *st = &b->stages[index];
    if (st->needed)
        return 0;
    st->needed = true;
    if (st->base_stage >= 0 && mark_needed(b, (size_t)st->base_stage, err) < 0)
        return err->code;
    for (size_t k = 0; k < st->def->n_instrs; k++) {
        const struct instr *i = st->def->instrs[k];
        if (i->kind != INSTR_COPY || i->copy.from == NULL || *i->copy.from == '\0')
            continue;
        int ref = build_stage_ref(b, i->copy.from, index);
        int rc = ref >= 0 ? mark_needed(b, (size_t)ref, err) : check_copy_from(b, st, i, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int prepare_stages(struct build *b, struct err *err)
{
    b->n_stages = b->df->n_stages;
    b->stages = mem_calloc(b->n_stages, sizeof(*b->stages));
    for (size_t i = 0; i < b->n_stages; i++)
        if (prepare_stage(b, i, err) < 0)
            return err->code;
    if (find_target(b, err) < 0 || mark_needed(b, b->target, err) < 0)
        return err->code;
    build_collect_wants(b);
    return 0;
}

static void *stage_thread(void *arg)
{
    struct build_stage *st = arg;
    struct build *b = st->b;
    struct err err = ERR_INIT;
    int rc = stage_run(st, &err);
    pthread_mutex_lock(&b->lock);
    st->phase = rc < 0 ? STAGE_FAILED : STAGE_DONE;
    bool first = rc < 0 && (b->first_error.code == ERR_NONE ||
                            (b->first_error.code == ERR_CANCELLED && rc != ERR_CANCELLED));
    if (first)
        b->first_error = err;
    pthread_cond_broadcast(&b->phase_changed);
    pthread_mutex_unlock(&b->lock);
    if (rc < 0)
        cancel_set(b->e->cancel, 0); /* the other stages end */
    return NULL;
}

static int run_stages(struct build *b, struct err *err)
{
    for (size_t i = 0; i < b->n_stages; i++) {
        struct build_stage *st = &b->stages[i];
        if (!st->needed || i == b->target)
            continue;
        st->started = pthread_create(&st->thread, NULL, stage_thread, st) == 0;
        if (!st->started)
            stage_thread(st);
    }
    stage_thread(&b->stages[b->target]);
    for (size_t i = 0; i < b->n_stages; i++)
        if (b->stages[i].started)
            pthread_join(b->stages[i].thread, NULL);
    return b->first_error.code != ERR_NONE ? err_copy(err, &b->first_error) : 0;
}

/* Packing in the background. */

struct packing {
    struct store *store;
    const struct layer *layer;
};

static int pack_layer(void *arg, struct err *err)
{
    struct packing *p = arg;
    struct layer_blob blob;
    int rc = layer_blob(p->store, p->layer, NULL, &blob, err);
    mem_free(p);
    return rc;
}

void build_pack(struct build_stage *st, const struct layer *l)
{
    struct build *b = st->b;
    int i = (int)b->target;
    while (i >= 0 && (size_t)i != st->index)
        i = b->stages[i].base_stage;
    if (i < 0)
        return; /* the image does not have this stage's layers */
    struct packing *p = mem_zalloc(sizeof(*p));
    *p = (struct packing){ .store = b->store, .layer = l };
    group_run(b->packing, pack_layer, p);
}

static int build_image(struct build *b, struct err *err)
{
    AUTO(mem_free) char *path = NULL;
    if (read_dockerfile(b, &path, err) < 0 || check_syntax(b, err) < 0)
        return err->code;
    const struct buf *text = &b->result->dockerfile;
    b->df = dockerfile_parse(buf_str(text), text->len, err);
    if (b->df == NULL || contexts_open_main(b, path, err) < 0)
        return err->code;
    if (read_globals(b, err) < 0 || prepare_stages(b, err) < 0 || run_stages(b, err) < 0)
        return err->code;
    struct state *s = &b->stages[b->target].state;
    struct image_config config;
    image_config_init(&config);
    int rc = build_assemble(b, s, &b->result->config, &config, err);
    if (rc == 0) {
        b->result->has_image = true;
        rc = group_wait(b->packing, err);
    }
    if (rc == 0)
        rc = build_deliver(b, &b->result->config, &config, s, err);
    image_config_release(&config);
    return rc;
}

/* A layer that was there when a step was planned on it, and then turned out to be damaged. */
static bool has_lost_layers(const struct build *b)
{
    struct err ignored = ERR_INIT;
    for (size_t i = 0; i < b->n_stages; i++)
        for (size_t k = 0; k < b->stages[i].state.n_layers; k++)
            if (layer_get(b->store, &b->stages[i].state.layers[k]->diff_id, &ignored) == NULL)
                return true;
    return false;
}

static int build_once(struct engine *e, const struct build_options *o, struct build_result *ret,
                      bool *ret_lost, struct err *err)
{
    AUTO(build_release) struct build b = { .e = e, .o = o, .store = e->store, .result = ret };
    pthread_mutex_init(&b.lock, NULL);
    pthread_cond_init(&b.phase_changed, NULL);
    b.packing = group_new(e->pool);
    b.bases = map_new(base_free);
    int rc = build_image(&b, err);
    struct err ignored = ERR_INIT; /* when things were last used is no part of the result */
    if (b.n_used > 0 && record_touch(b.store, b.used_keys, b.n_used, &ignored) < 0)
        log_debug("engine", "%s", ignored.msg);
    *ret_lost = rc < 0 && has_lost_layers(&b);
    return rc;
}

/*
 * Damage shows when the bytes are needed, and costs the steps that made them: everything else is
 * known when the build begins again. Each time at least one layer has left the store.
 */
int engine_build(struct engine *e, const struct build_options *o, struct build_result *ret,
                 struct err *err)
{
    bool lost;
    int rc = build_once(e, o, ret, &lost, err);
    for (int i = 0; i < RESTARTS_MAX && lost && cancel_take_back(e->cancel); i++) {
        log_warn("engine", "the store has lost a layer, the build begins again: %s", err->msg);
        build_result_release(ret);
        *ret = (struct build_result){ .given_up_vertex = e->n_vertices };
        err_clear(err);
        rc = build_once(e, o, ret, &lost, err);
    }
    return rc;
}

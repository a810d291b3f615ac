#include "engine/build.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "engine/base_images.h"
#include "engine/build_internal.h"
#include "engine/contexts.h"
#include "engine/engine_internal.h"
#include "engine/fetch.h"
#include "engine/lint_use.h"
#include "engine/load_dockerfile.h"
#include "engine/push_output.h"
#include "engine/skip_docs.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define RESTARTS_MAX 32
#define CHANGES_MAX 3 /* a file that is written all the time ends a build */

void build_result_release(struct build_result *r)
{
    mem_free(r->dockerfile_name);
    buf_release(&r->dockerfile);
    build_report_release(&r->report);
    mem_free(r->docs_skipped);
    mem_free(r->reason);
}

static void release_stages(struct build *b)
{
    for (size_t i = 0; i < b->n_stages; i++) {
        state_release(&b->stages[i].state);
        mem_free(b->stages[i].shown);
        mem_free(b->stages[i].base);
        build_report_release(&b->stages[i].report);
    }
    mem_free(b->stages);
    b->stages = NULL;
    b->n_stages = 0;
}

void carried_release(struct carried *c)
{
    mem_free(c->made_keys);
    map_free(c->new_caches);
}

static void release_targets(struct build *b)
{
    for (size_t i = 0; i < b->n_targets; i++) {
        strv_release(&b->targets[i].globals);
        image_config_release(&b->targets[i].config);
    }
    mem_free(b->targets);
}

static void build_release(struct build *b)
{
    build_free_pushers(b);
    map_free(b->bases);
    map_free(b->fetched);
    map_free(b->materials);
    mem_free(b->context_uri);
    json_decref(b->warnings);
    group_free(b->packing);
    release_stages(b);
    release_targets(b);
    before_release(&b->before);
    foreseen_release(&b->foreseen);
    contexts_free(b->contexts);
    dockerfile_free(b->df);
    strv_release(&b->context_wants);
    mem_free(b->used_keys);
    mem_free(b->epoch_text);
    pthread_mutex_destroy(&b->lock);
    pthread_cond_destroy(&b->phase_changed);
}
DEFINE_AUTO_VALUE(struct build, build_release);

static int read_dockerfile(struct build *b, char **ret_path, struct err *err)
{
    int64_t started = clock_mono_ms();
    int v = 0, rc = build_load_dockerfile(b, ret_path, &v, err);
    if (contexts_is_remote(b)) /* what came before has been shown */
        started = clock_mono_ms();
    return rc < 0 && v == 0 ? rc : build_lint(b, *ret_path, v, rc, started, err);
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

/* Variables of FROM lines. */

struct platform build_first_platform(const struct build_options *o)
{
    return o->n_platforms > 0 ? o->platforms[0] : platform_host();
}

static int read_globals(struct build *b, struct build_target *t, struct err *err)
{
    AUTO(strv_release) struct strv platform = STRV_INIT;
    lint_add_globals(&t->platform, &platform);
    dockerfile_globals(b->df, b->o->target, &platform, &b->o->build_args, &t->globals);
    for (size_t i = 0; i < b->df->n_args; i++) {
        const struct instr_pairs *p = &b->df->args[i]->pairs;
        for (size_t k = 0; k < p->n; k++) {
            struct env_lookup env = env_lookup_strv(&t->globals);
            const char *given = env_get(&b->o->build_args, p->v[k].key);
            AUTO(mem_free) char *value = str_dup(given);
            if (value == NULL && p->v[k].value != NULL)
                value = expand_word(p->v[k].value, &env, b->df->escape, NULL, err);
            if (value == NULL && given == NULL && p->v[k].value != NULL)
                return err_at(err, b->df->args[i]->line, b->df->args[i]->line_end);
            if (value != NULL)
                env_set(&t->globals, p->v[k].key, value);
        }
    }
    return 0;
}

/* As in BuildKit: any value that Go takes for true. */
static bool is_true(const char *text)
{
    static const char *const yes[] = { "1", "t", "T", "true", "TRUE", "True" };
    for (size_t i = 0; i < ARRAY_LEN(yes); i++)
        if (str_eq(text, yes[i]))
            return true;
    return false;
}

static int read_targets(struct build *b, struct err *err)
{
    struct platform first = build_first_platform(b->o);
    bool several = b->o->n_platforms > 1;
    b->n_targets = several ? b->o->n_platforms : 1;
    b->targets = mem_calloc(b->n_targets, sizeof(*b->targets));
    b->is_split = several || is_true(env_get(&b->o->build_args, "BUILDKIT_MULTI_PLATFORM"));
    for (size_t i = 0; i < b->n_targets; i++) {
        b->targets[i].platform = several ? b->o->platforms[i] : first;
        image_config_init(&b->targets[i].config);
        if (read_globals(b, &b->targets[i], err) < 0)
            return err->code;
    }
    return epoch_read(b, err);
}

void build_note_change(struct build *b, const struct context *c, const struct err *err)
{
    if (c == NULL || err->code != ERR_CORRUPT)
        return;
    pthread_mutex_lock(&b->lock);
    b->context_changed = true;
    pthread_mutex_unlock(&b->lock);
}

/* Stages. */

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

int build_run_stages(struct build *b, struct err *err)
{
    AUTO(mem_free) pthread_t *threads = mem_calloc(b->n_stages, sizeof(*threads));
    size_t n = 0;
    struct build_stage *last = build_target_stage(b, 0);
    for (size_t i = 0; i < b->n_stages; i++) {
        struct build_stage *st = &b->stages[i];
        if (!st->needed || st == last)
            continue;
        if (pthread_create(&threads[n], NULL, stage_thread, st) == 0)
            n++;
        else
            stage_thread(st);
    }
    stage_thread(last);
    for (size_t i = 0; i < n; i++)
        pthread_join(threads[i], NULL);
    return b->first_error.code != ERR_NONE ? err_copy(err, &b->first_error) : 0;
}

int build_reset_stages(struct build *b, struct err *err)
{
    if (b->first_error.code != ERR_NONE && !cancel_take_back(b->e->cancel))
        return err_copy(err, &b->first_error);
    err_clear(&b->first_error);
    release_stages(b);
    b->n_used = 0;
    b->result->n_steps = b->result->n_cached = 0;
    b->result->failed_vertex = 0;
    strv_clear(&b->context_wants);
    return build_plan_stages(b, err);
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

bool build_is_of_image(const struct build_stage *st)
{
    const struct build *b = st->b;
    int i = (int)st->target->stage;
    while (i >= 0 && (size_t)i != st->index)
        i = b->stages[i].base_stage;
    return i >= 0;
}

void build_pack(struct build_stage *st, const struct layer *l)
{
    struct build *b = st->b;
    if (b->pushes || !build_is_of_image(st))
        return; /* build_send has it packed */
    struct packing *p = mem_zalloc(sizeof(*p));
    *p = (struct packing){ .store = b->store, .layer = l };
    group_run(b->packing, pack_layer, p);
}

static void warn_directive(const struct progress *p, const struct instr *i)
{
    AUTO(strv_release) struct strv unknown = STRV_INIT;
    if (i->kind != INSTR_RUN) {
        AUTO(mem_free)
        char *text =
            str_printf("\"# " RUN_DIRECTIVE "\" means something above a RUN only, not above %s",
                       instr_kind_name(i->kind));
        p->warning(p->arg, "ShaleDirective", text, i->line, i->line_end);
        return;
    }
    run_directive_trace_off(&i->comments, &unknown);
    for (size_t w = 0; w < unknown.n; w++) {
        AUTO(mem_free)
        char *text = str_printf("\"# " RUN_DIRECTIVE "\" knows trace=off and trace=on, not '%s'",
                                unknown.v[w]);
        p->warning(p->arg, "ShaleDirective", text, i->line, i->line_end);
    }
}

static void warn_directives_of(const struct progress *p, struct instr *const *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (run_directive_is_there(&v[i]->comments))
            warn_directive(p, v[i]);
}

/* What was meant for us and is not understood, or stands where it means nothing, is said. */
static void warn_directives(const struct build *b)
{
    const struct progress *p = b->e->progress;
    if (p == NULL || p->warning == NULL)
        return;
    warn_directives_of(p, b->df->args, b->df->n_args);
    for (size_t s = 0; s < b->df->n_stages; s++) {
        warn_directives_of(p, &b->df->stages[s].from, 1);
        warn_directives_of(p, b->df->stages[s].instrs, b->df->stages[s].n_instrs);
    }
}

/* What the target's stages are to be: read, parsed, and the contexts and variables they need. */
static int prepare(struct build *b, struct err *err)
{
    AUTO(mem_free) char *path = NULL;
    if (read_dockerfile(b, &path, err) < 0 || check_syntax(b, err) < 0)
        return err->code;
    const struct buf *text = &b->result->dockerfile;
    b->df = dockerfile_parse(buf_str(text), text->len, err);
    if (b->df == NULL)
        return err->code;
    warn_directives(b);
    if (contexts_open_main(b, path, err) < 0)
        return err->code;
    return read_targets(b, err) < 0 || build_plan_stages(b, err) < 0 ? err->code : 0;
}

/* In the order of the Dockerfile. */
static void gather_report(struct build *b)
{
    for (size_t i = 0; i < b->n_stages; i++)
        build_report_move(&b->result->report, &b->stages[i].report);
    b->result->report.rules = b->rules;
}

/* Only documentation changed: said once, in the place of the steps. */
static void show_skipped(struct build *b)
{
    int v = vertex_begin(b->e, "[internal] skip documentation");
    vertex_note(b->e, v, "only documentation changed (%s): the last image stands",
                b->result->docs_skipped);
    vertex_end(b->e, v, VERTEX_CACHED, NULL, 0);
}

/* The stages, in whichever way: the targets have their images then. */
static int find_images(struct build *b, struct err *err)
{
    bool skipped = false;
    if (b->o->skip_docs && skip_docs_try(b, &skipped, err) < 0)
        return err->code;
    if (skipped) {
        show_skipped(b);
        return 0;
    }
    before_load(b, false);
    if (build_run_stages(b, err) < 0)
        return err->code;
    for (size_t i = 0; i < b->n_targets; i++)
        if (build_assemble(b, &b->targets[i], err) < 0)
            return err->code;
    return 0;
}

static int build_image(struct build *b, struct err *err)
{
    if (prepare(b, err) < 0 || build_open_pushers(b, err) < 0 || build_check_delivery(b, err) < 0 ||
        find_images(b, err) < 0)
        return err->code;
    b->result->config = b->targets[0].config_id;
    b->result->has_image = true;
    return group_wait(b->packing, err) < 0 ? err->code : build_deliver(b, err);
}

/* When things were last used, and what this build was, is no part of the result. */
static void remember(struct build *b, int rc)
{
    struct err ignored = ERR_INIT;
    if (b->n_used > 0 && record_touch(b->store, b->used_keys, b->n_used, &ignored) < 0)
        log_debug("engine", "%s", ignored.msg);
    before_save(b, rc == 0 && b->result->has_image ? &b->targets[0].config_id : NULL);
}

/* Planning. */

/* Every step is known: is the target's image here? */
static void compare_image(struct build *b, struct build_target *t, bool skipped)
{
    struct build_result *r = b->result;
    struct err none = ERR_INIT;
    AUTO(stored_image_release) struct stored_image same = { 0 };
    if (!skipped)
        build_assemble_text(b, t, &b->o->labels, NULL);
    if (build_wants_image(b->o) && r->reason == NULL &&
        tag_find(b->store, DIGEST_S(&t->config_id.d), &same, &none) < 0)
        r->reason = str_dup(skipped ? "the last image is no longer here"
                                    : "the image's configuration is another one");
}

static void compare_images(struct build *b, bool skipped)
{
    for (size_t i = 0; i < b->n_targets; i++)
        compare_image(b, &b->targets[i], skipped);
    b->result->config = b->targets[0].config_id;
    b->result->has_image = true;
}

/* Whether a name stands for all images of the build. */
static bool names_images(const struct build *b, const char *name)
{
    for (size_t i = 0; i < b->n_targets; i++) {
        const struct build_target *t = &b->targets[i];
        struct err none = ERR_INIT;
        AUTO(stored_image_release) struct stored_image named = { 0 };
        int rc = b->n_targets > 1 ? tag_get_for(b->store, name, &t->platform, &named, &none)
                                  : tag_get(b->store, name, &named, &none);
        if (rc < 0 || !digest_eq(&named.config.d, &t->config_id.d))
            return false;
    }
    return true;
}

/* Whether the image that is known is here under all names. */
static void compare_names(struct build *b)
{
    struct build_result *r = b->result;
    struct err none = ERR_INIT;
    for (size_t i = 0; i < b->o->tags.n && r->reason == NULL; i++) {
        AUTO(image_name_release) struct image_name n = { 0 };
        AUTO(stored_image_release) struct stored_image named = { 0 };
        AUTO(mem_free)
        char *name =
            image_name_parse(b->o->tags.v[i], &n, &none) == 0 ? image_name_canonical(&n) : NULL;
        if (name == NULL || tag_get(b->store, name, &named, &none) < 0)
            r->reason = str_printf("%s is a new name", b->o->tags.v[i]);
        else if (!names_images(b, name))
            r->reason = str_printf("%s is another image", b->o->tags.v[i]);
    }
    r->is_up_to_date = r->reason == NULL;
}

bool build_all_known(const struct build *b)
{
    for (size_t i = 0; i < b->n_stages; i++) {
        const struct build_report *r = &b->stages[i].report;
        if (build_report_known(r) != r->n)
            return false;
    }
    return true;
}

/* A step that several stages have in common is made once: by the first of them. */
static void mark_common(struct build *b)
{
    AUTO(map_free) struct map *first = map_new(NULL);
    for (size_t i = 0; i < b->n_stages; i++)
        for (size_t k = 0; k < b->stages[i].report.n; k++) {
            struct step_report *r = b->stages[i].report.v[k];
            if (r->answer != STEP_TO_MAKE)
                continue;
            const struct step_report *by = map_get(first, DIGEST_HEX(&r->key.d));
            if (by == NULL) {
                map_set(first, DIGEST_HEX(&r->key.d), r);
                continue;
            }
            AUTO(buf_release) struct buf why = BUF_INIT;
            buf_adds(&why, "made once, as ");
            step_report_place(by, &why);
            r->answer = STEP_CACHED;
            mem_free(r->why);
            r->why = buf_take(&why);
        }
}

static int plan_stages(struct build *b, struct err *err)
{
    bool skipped = false;
    b->is_plan = b->is_dry = true;
    if (b->o->skip_docs && skip_docs_try(b, &skipped, err) < 0)
        return err->code;
    if (!skipped)
        before_load(b, false);
    if (!skipped && build_run_stages(b, err) < 0)
        return err->code;
    mark_common(b);
    if (!build_all_known(b))
        return 0;
    compare_images(b, skipped);
    compare_names(b);
    return 0;
}

static bool has_refuted_layers(const struct build *b)
{
    for (size_t i = 0; i < b->n_stages; i++)
        for (size_t k = 0; k < b->stages[i].state.n_layers; k++)
            if (layer_is_refuted(b->stages[i].state.layers[k]))
                return true;
    return base_images_refuted(b);
}

/* A layer that was there when a step was planned on it, and then turned out to be damaged. */
static bool has_lost_layers(const struct build *b)
{
    for (size_t i = 0; i < b->n_stages; i++)
        for (size_t k = 0; k < b->stages[i].state.n_layers; k++)
            if (layer_is_lost(b->store, b->stages[i].state.layers[k]))
                return true;
    return base_images_lost(b) || contexts_lost(b) || fetch_lost(b);
}

static void build_init(struct build *b)
{
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->phase_changed, NULL);
    b->packing = group_new(b->e->pool);
    b->bases = map_new(base_free);
    b->fetched = map_new(mem_free);
    b->materials = map_new(mem_free);
    b->started = clock_now();
    contexts_init(b);
}

/* Why a build that failed may well work when it begins again. */
enum again { AGAIN_NOT, AGAIN_LOST, AGAIN_REFUTED, AGAIN_CHANGED };

static int build_once(struct engine *e, const struct build_options *o, struct carried *carried,
                      struct build_result *ret, enum again *ret_again, struct err *err)
{
    AUTO(build_release)
    struct build b = {
        .e = e, .o = o, .store = e->store, .result = ret, .carried = carried, .epoch = -1
    };
    build_init(&b);
    int rc = build_image(&b, err);
    if (rc < 0)
        before_add_not_reached(&b);
    gather_report(&b);
    remember(&b, rc);
    *ret_again = AGAIN_NOT;
    if (rc < 0 && has_refuted_layers(&b)) {
        *ret_again = AGAIN_REFUTED;
        carried->no_claims = true;
    } else if (rc < 0 && has_lost_layers(&b))
        *ret_again = AGAIN_LOST;
    else if (rc == ERR_CORRUPT && b.context_changed)
        *ret_again = AGAIN_CHANGED;
    return rc;
}

int build_plan(struct engine *e, const struct build_options *o, const struct plan_extra *extra,
               struct build_result *ret, struct err *err)
{
    AUTO(carried_release) struct carried carried = { .context = NULL };
    AUTO(build_release)
    struct build b = {
        .e = e, .o = o, .store = e->store, .result = ret, .carried = &carried, .epoch = -1
    };
    build_init(&b);
    b.places = extra->places;
    b.more_rules = extra->more_rules;
    int rc = prepare(&b, err) < 0 ? err->code : plan_stages(&b, err);
    if (rc == 0 && extra->end != NULL)
        rc = extra->end(extra->arg, &b, err);
    gather_report(&b);
    return rc;
}

int engine_plan(struct engine *e, const struct build_options *o, struct build_result *ret,
                struct err *err)
{
    struct plan_extra nothing = { .places = NULL };
    return build_plan(e, o, &nothing, ret, err);
}

/* Restarts so far; false: it has been enough. */
static bool may_begin_again(enum again why, int restarts[AGAIN_CHANGED + 1])
{
    static const int most[] = {
        [AGAIN_NOT] = 0,
        [AGAIN_LOST] = RESTARTS_MAX,
        [AGAIN_REFUTED] = 1, /* no listing of others is taken then */
        [AGAIN_CHANGED] = CHANGES_MAX,
    };
    return restarts[why]++ < most[why];
}

/*
 * Damage shows when the bytes are needed, and costs the steps that made them: everything else is
 * known when the build begins again. Each time at least one layer has left the store. So it is with
 * files of the context that somebody has edited meanwhile: an image is of one state of them.
 */
int engine_build(struct engine *e, const struct build_options *o, struct build_result *ret,
                 struct err *err)
{
    static const char *const reasons[] = {
        [AGAIN_LOST] = "the store has lost a layer",
        [AGAIN_REFUTED] = "what an image says of its layers is not true",
        [AGAIN_CHANGED] = "the context has changed",
    };
    enum again again;
    int restarts[AGAIN_CHANGED + 1] = { 0 };
    AUTO(carried_release) struct carried carried = { .context = NULL };
    if (build_wants_engine(o) && docker_is_likely())
        engine_warm_up(e);
    int rc = build_once(e, o, &carried, ret, &again, err);
    while (may_begin_again(again, restarts) && cancel_take_back(e->cancel)) {
        log_warn("engine", "%s, the build begins again: %s", reasons[again], err->msg);
        build_result_release(ret);
        *ret = (struct build_result){ .given_up_vertex = e->n_vertices };
        err_clear(err);
        rc = build_once(e, o, &carried, ret, &again, err);
    }
    return rc;
}

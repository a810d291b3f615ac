/* One step with a key: known, or made now. */
#include "engine/build_internal.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "engine/engine_internal.h"
#include "engine/push_output.h"
#include "engine/skip_docs.h"
#include "engine/step_claim.h"
#include "engine/why.h"
#include "remote/url.h"
#include <stdio.h>
#include <string.h>

void build_used_key(struct build *b, const struct cache_key *key)
{
    pthread_mutex_lock(&b->lock);
    MEM_ROOM(b->used_keys, b->n_used, b->cap_used);
    b->used_keys[b->n_used++] = *key;
    pthread_mutex_unlock(&b->lock);
}

static void add_made(struct build *b, const struct cache_key *key)
{
    pthread_mutex_lock(&b->lock);
    struct carried *c = b->carried;
    MEM_ROOM(c->made_keys, c->n_made, c->cap_made);
    c->made_keys[c->n_made++] = *key;
    pthread_mutex_unlock(&b->lock);
}

/* The same step in two stages is one step, as in BuildKit, also where nothing known may be used. */
static bool made_here(struct build *b, const struct cache_key *key)
{
    bool made = false;
    pthread_mutex_lock(&b->lock);
    for (size_t i = 0; i < b->carried->n_made && !made; i++)
        made = digest_eq(&b->carried->made_keys[i].d, &key->d);
    pthread_mutex_unlock(&b->lock);
    return made;
}

static void count_step(struct build *b, bool cached)
{
    pthread_mutex_lock(&b->lock);
    b->result->n_steps++;
    b->result->n_cached += cached;
    pthread_mutex_unlock(&b->lock);
}

/* Reports. */

struct step_report *step_report_begin(struct build_stage *st, const struct instr *i,
                                      const char *name)
{
    struct step_report *r = build_report_add(&st->report);
    const char *text = strstr(name, "] ");
    r->stage = stage_report_name(st);
    r->number = st->n_shown;
    r->total = st->n_total;
    r->line = i->line;
    r->text = url_redact(text ? text + 2 : name);
    r->source = url_redact(i->text);
    return r;
}

void step_undecided(struct build_stage *st, const struct instr *i, const char *waits_for)
{
    AUTO(mem_free) char *name = stage_vertex_name(st, i);
    struct step_report *r = step_report_begin(st, i, name);
    r->answer = STEP_UNDECIDED;
    r->why = str_dup(waits_for);
    if (st->state.undecided == NULL)
        st->state.undecided = str_dup(waits_for);
}

/* With SOURCE_DATE_EPOCH a hit tells the same as a miss, of history and of files. */
static int set_times(struct step *s, const struct record *r, const struct layer **layer,
                     struct err *err)
{
    struct epoch_rule rule = s->times;
    if (s->st->b->epoch < 0 || *layer == NULL)
        return 0;
    if (rule.since_s != 0)
        rule.since_s = r->made_s - r->cost_ms / 1000 - 1;
    struct err wrong = ERR_INIT;
    AUTO(listing_free) struct listing *planned = NULL;
    if (s->ops != NULL && s->ops->foresee != NULL)
        planned = s->ops->foresee(s, &wrong);
    if (wrong.code != ERR_NONE)
        return err_copy(err, &wrong);
    rule.planned = planned;
    return epoch_times(s->st->b, &rule, layer, err);
}

/* made_s is when the layer was made. */
static void take_result(struct step *s, const struct layer *layer, int64_t made_s)
{
    struct state *state = &s->st->state;
    if (s->st->b->epoch >= 0)
        made_s = s->st->b->epoch;
    if (layer != NULL) {
        state_add_layer(state, layer, s->report);
        build_send(s->st, layer);
    }
    state_add_history(state, s->created_by, layer != NULL, made_s);
}

static int take_answer(struct step *s, const struct answer *a, enum step_answer how,
                       struct err *err)
{
    const struct layer *layer = a->layer;
    count_step(s->st->b, true);
    if (set_times(s, &a->record, &layer, err) < 0)
        return err->code;
    take_result(s, layer, a->record.made_s);
    s->report->answer = how;
    s->report->cost_ms = a->record.cost_ms;
    mem_free(TAKE(s->report->why)); /* another build has made it meanwhile */
    return 0;
}

/* Shows the vertex, whatever comes of it. */
static int use_answer(struct step *s, const struct answer *a, struct err *err)
{
    struct engine *e = s->st->b->e;
    int64_t started = clock_mono_ms();
    if (take_answer(s, a, STEP_CACHED, err) < 0)
        return vertex_close(e, s->vertex, err->code, started, err);
    vertex_end(e, s->vertex, VERTEX_CACHED, NULL, 0);
    return 0;
}

static int keep(struct step *s, const struct layer *layer, int64_t cost_ms, struct record *ret,
                struct err *err)
{
    struct build *b = s->st->b;
    struct record r = { .key = s->report->key, .has_layer = layer != NULL, .cost_ms = cost_ms };
    if (layer != NULL)
        r.layer = layer->diff_id;
    r.made_s = clock_wall_s();
    AUTO(mem_free) char *text = url_redact(s->i->text);
    snprintf(r.step, sizeof(r.step), "%s", text);
    *ret = r;
    return answer_keep(b->store, &r, &s->fields, &s->output, err);
}

/* What the step gave just now. */
static int take_made(struct step *s, const struct layer *layer, int64_t cost_ms, struct err *err)
{
    struct build *b = s->st->b;
    struct record r;
    if (keep(s, layer, cost_ms, &r, err) < 0 || set_times(s, &r, &layer, err) < 0)
        return err->code;
    s->report->answer = STEP_MADE;
    s->report->cost_ms = cost_ms;
    add_made(b, &s->report->key);
    count_step(b, false);
    take_result(s, layer, r.made_s);
    return 0;
}

static int make_and_keep(struct step *s, struct err *err)
{
    int64_t started = clock_mono_ms();
    const struct layer *layer = NULL;
    if (s->report->why != NULL)
        vertex_note(s->st->b->e, s->vertex, "%s", s->report->why);
    if (s->make(s, &layer, err) < 0)
        return err->code;
    return take_made(s, layer, clock_mono_ms() - started, err);
}

/* err with the instruction's lines; the vertex that failed is remembered for the excerpt. */
static int blame(struct build *b, const struct instr *i, int vertex, struct err *err)
{
    err_at(err, i->line, i->line_end);
    pthread_mutex_lock(&b->lock);
    if (b->result->failed_vertex == 0 && err->code != ERR_CANCELLED)
        b->result->failed_vertex = vertex;
    pthread_mutex_unlock(&b->lock);
    return err->code;
}

int step_without_key(struct build_stage *st, const struct instr *i, int failed, struct err *err)
{
    if (st->b->is_dry && err->code == ERR_UNDECIDED) {
        step_undecided(st, i, err->msg);
        err_clear(err);
        return 0;
    }
    AUTO(mem_free) char *name = stage_vertex_name(st, i);
    step_report_begin(st, i, name)->answer = STEP_FAILED;
    if (st->b->is_dry)
        return err_at(err, i->line, i->line_end);
    if (failed == 0) {
        failed = vertex_begin(st->b->e, "%s", name);
        vertex_close(st->b->e, failed, err->code, clock_mono_ms(), err);
    }
    return blame(st->b, i, failed, err);
}

static bool look_up(struct step *s, const struct cache_key *key, struct answer *ret)
{
    struct err miss = ERR_INIT;
    if (stage_no_cache(s->st) && !made_here(s->st->b, key))
        return false;
    if (answer_find(s->st->b->store, key, ret, &miss) == 0)
        return true;
    if (miss.code != ERR_NOT_FOUND)
        log_warn("cache", "a lookup failed, the step is made again: %s", miss.msg);
    return false;
}

/* Makes the step, unless somebody else made it while this build waited for the claim. */
static int make_once(struct step *s, bool *ret_known, struct err *err)
{
    struct build *b = s->st->b;
    const struct cache_key *key = &s->report->key;
    struct answer a;
    AUTO(step_claims_release) struct step_claims claims = { .own = -1, .shared = -1 };
    if (step_claim(s, key, &claims, err) < 0)
        return err->code;
    *ret_known = look_up(s, key, &a);
    if (*ret_known)
        return use_answer(s, &a, err);
    if (cancel_check(b->e->cancel, err) < 0)
        return err->code;
    return make_and_keep(s, err);
}

static int make(struct step *s, struct err *err)
{
    struct build *b = s->st->b;
    int64_t started = clock_mono_ms();
    bool known = false;
    int rc = make_once(s, &known, err);
    if (!known)
        vertex_close(b->e, s->vertex, rc, started, err);
    if (rc == 0)
        return 0;
    s->report->answer = STEP_FAILED;
    s->report->fields = str_dup(buf_str(&s->fields));
    return blame(b, s->i, s->vertex, err);
}

/* A plan goes on above a step whose files are known before it is made; above another nothing is. */
static void foresee(struct step *s)
{
    struct build *b = s->st->b;
    struct state *state = &s->st->state;
    struct err ignored = ERR_INIT;
    struct record before;
    bool can = s->ops != NULL && s->ops->foresee != NULL;
    struct listing *l = can ? s->ops->foresee(s, &ignored) : NULL;
    s->report->answer = STEP_TO_MAKE;
    if (s->report->has_before && record_get(b->store, &s->report->before, &before, &ignored) == 0)
        s->report->cost_ms = before.cost_ms;
    if (l != NULL)
        take_result(s, foresee_layer(b, l), 0);
    else if (state->undecided == NULL)
        state->undecided = str_printf("after line %d: %s", s->i->line, s->report->text);
}

/* What was made to compare it with, and is another. */
static int take_other(struct step *s, const struct answer *a, int64_t started, struct err *err)
{
    struct step_report *r = s->report;
    mem_free(TAKE(r->reused));
    mem_free(TAKE(r->why));
    r->why = str_dup("it gives something else than the earlier run");
    return take_made(s, a->layer, clock_mono_ms() - started, err);
}

static int settle_reused(struct step *s, struct answer *a, struct err *err)
{
    struct build *b = s->st->b;
    int64_t started = clock_mono_ms();
    enum settled how = SETTLED_HOLDS;
    int rc = b->is_dry ? 0 : s->ops->settle(s, a, &how, err);
    if (rc == 0 && how == SETTLED_GONE) {
        mem_free(TAKE(s->report->reused));
        return make(s, err);
    }
    if (rc == 0 && how == SETTLED_OTHER)
        rc = take_other(s, a, started, err);
    if (rc < 0)
        s->report->answer = STEP_FAILED;
    if (rc < 0 || how == SETTLED_OTHER) {
        vertex_close(b->e, s->vertex, rc, started, err);
        return rc < 0 ? blame(b, s->i, s->vertex, err) : 0;
    }
    if (take_answer(s, a, STEP_REUSED, err) < 0) {
        vertex_close(b->e, s->vertex, err->code, started, err);
        return blame(b, s->i, s->vertex, err);
    }
    vertex_end(b->e, s->vertex, VERTEX_REUSED, s->report->reused, 0);
    return 0;
}

static bool find_docs_answer(struct step *s, struct answer *ret)
{
    return s->st->b->docs != NULL && docs_answer(s, ret);
}

static int answer(struct step *s, struct err *err)
{
    struct build *b = s->st->b;
    struct step_report *r = s->report;
    struct answer a;
    bool known = find_docs_answer(s, &a) || look_up(s, &r->key, &a);
    if (!known || !digest_eq(&r->before.d, &r->key.d))
        why_changed(s);
    if (known)
        docs_check_run(s);
    if (known)
        return use_answer(s, &a, err) < 0 ? blame(b, s->i, s->vertex, err) : 0;
    if (s->ops != NULL && s->ops->reuse != NULL && s->ops->reuse(s, &a))
        return settle_reused(s, &a, err);
    why_missed(s);
    if (!b->is_dry)
        return make(s, err);
    if (s->ops != NULL && s->ops->check != NULL && s->ops->check(s, err) < 0) {
        r->answer = STEP_FAILED;
        return err_at(err, s->i->line, s->i->line_end);
    }
    foresee(s);
    return 0;
}

int step_do(struct step *s, struct err *err)
{
    struct build *b = s->st->b;
    struct cache_key key;
    key_end(s->key, &key, &s->fields);
    AUTO(mem_free) char *name = stage_vertex_name(s->st, s->i);
    s->report = step_report_begin(s->st, s->i, name);
    s->report->kind = str_dup(s->ops != NULL ? s->ops->kind : NULL);
    s->report->copies = s->copies;
    s->report->has_key = true;
    s->report->key = key;
    s->vertex = b->is_dry ? 0 : vertex_begin(b->e, "%s", name);
    before_match(s->st, s->report);
    build_used_key(b, &key);
    int rc = answer(s, err);
    buf_release(&s->fields);
    return rc;
}

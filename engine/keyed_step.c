/* One step with a key: known, or made now. */
#include "engine/build_internal.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "engine/engine_internal.h"
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
    MEM_ROOM(b->made_keys, b->n_made, b->cap_made);
    b->made_keys[b->n_made++] = *key;
    pthread_mutex_unlock(&b->lock);
}

/* The same step in two stages is one step, as in BuildKit, also where nothing known may be used. */
static bool made_here(struct build *b, const struct cache_key *key)
{
    bool made = false;
    pthread_mutex_lock(&b->lock);
    for (size_t i = 0; i < b->n_made && !made; i++)
        made = digest_eq(&b->made_keys[i].d, &key->d);
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

/* Which step of which build this is, to find its earlier record: stage, place in it, context path.
 */
static void subject_of(const struct step *s, char ret[DIGEST_HEX_LEN + 1])
{
    const struct build *b = s->st->b;
    AUTO(mem_free)
    char *text = str_printf("%s\n%s\n%s\n%zu\n%d", b->o->context ? b->o->context : "",
                            b->o->dockerfile ? b->o->dockerfile : "", s->st->shown, s->st->index,
                            s->st->n_shown);
    struct digest d;
    digest_of(text, strlen(text), &d);
    digest_hex(&d, ret);
}

/* made_s is when the layer was made; with SOURCE_DATE_EPOCH a hit tells the same as a miss. */
static void take_result(struct step *s, const struct layer *layer, int64_t made_s)
{
    struct state *state = &s->st->state;
    if (s->st->b->epoch >= 0)
        made_s = s->st->b->epoch;
    if (layer != NULL)
        state_add_layer(state, layer);
    state_add_history(state, s->created_by, layer != NULL, made_s);
}

static int use_answer(struct step *s, const struct answer *a)
{
    struct build *b = s->st->b;
    count_step(b, true);
    take_result(s, a->layer, a->record.made_s);
    vertex_end(b->e, s->vertex, VERTEX_CACHED, NULL, 0);
    return 0;
}

static int make_and_keep(struct step *s, const struct cache_key *key, const struct buf *fields,
                         struct err *err)
{
    struct build *b = s->st->b;
    int64_t started = clock_mono_ms();
    const struct layer *layer = NULL;
    if (s->make(s, &layer, err) < 0)
        return err->code;
    struct record r = { .key = *key, .has_layer = layer != NULL };
    if (layer != NULL)
        r.layer = layer->diff_id;
    r.cost_ms = clock_mono_ms() - started;
    r.made_s = clock_wall_s();
    AUTO(mem_free) char *text = url_redact(s->i->text);
    snprintf(r.step, sizeof(r.step), "%s", text);
    subject_of(s, r.subject);
    if (answer_keep(b->store, &r, fields, &s->output, err) < 0)
        return err->code;
    add_made(b, key);
    count_step(b, false);
    take_result(s, layer, r.made_s);
    return 0;
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
    if (failed == 0) {
        AUTO(mem_free) char *name = stage_vertex_name(st, i);
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

/* Makes the step, unless another process made it while this one waited for the claim. */
static int make_once(struct step *s, const struct cache_key *key, const struct buf *fields,
                     bool *ret_known, struct err *err)
{
    struct build *b = s->st->b;
    struct answer a;
    AUTO(fd_close) int claim = record_claim(b->store, key, b->e->cancel, err);
    if (claim < 0)
        return claim;
    *ret_known = look_up(s, key, &a);
    if (*ret_known)
        return use_answer(s, &a);
    if (cancel_check(b->e->cancel, err) < 0)
        return err->code;
    return make_and_keep(s, key, fields, err);
}

int step_do(struct step *s, struct err *err)
{
    struct build *b = s->st->b;
    struct cache_key key;
    AUTO(buf_release) struct buf fields = BUF_INIT;
    key_end(s->key, &key, &fields);
    AUTO(mem_free) char *name = stage_vertex_name(s->st, s->i);
    s->vertex = vertex_begin(b->e, "%s", name);
    build_used_key(b, &key);
    struct answer a;
    if (look_up(s, &key, &a))
        return use_answer(s, &a);
    int64_t started = clock_mono_ms();
    bool known = false;
    int rc = make_once(s, &key, &fields, &known, err);
    if (!known)
        vertex_close(b->e, s->vertex, rc, started, err);
    return rc < 0 ? blame(b, s->i, s->vertex, err) : 0;
}

/*
 * What becomes of an answer that came of observations: it is counted, and, when the options ask for
 * it, the step is run all the same and compared.
 *
 * The first run is observed. When it gives the same files the answer is verified; what it asked
 * beyond the earlier run is kept too. Else a second run, which is not observed, judges: where the
 * two give the same, something else than files has changed, or the observations were wrong; where
 * they differ among themselves the step is not reproducible, and no cache can be blamed.
 */
#include "engine/run_trace.h"

#include "base/clock.h"
#include "base/log.h"
#include "cache/question_blobs.h"
#include "engine/engine_internal.h"
#include "engine/layer_links.h"
#include "engine/step_run_internal.h"
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define PERCENT 100

enum verdict {
    VERIFIED,
    ASKS_MORE,        /* the same result, and questions that the earlier run did not ask */
    NOT_REPRODUCIBLE, /* the runs differ among themselves */
    FAILS,            /* it fails now */
    ANOTHER,          /* another result, of a step that has more than its files to get it from */
    UNSOUND,          /* another result, and nothing but the machine and its clock to explain it */
};

/* What the runs of a comparison gave; run_fn's have no argument for it. */
struct comparison {
    const struct layer *expected, *first, *second;
    bool asks_more;
};

/* Which names are one file is in no content id. */
static struct cache_key links_of(const struct layer *l)
{
    struct cache_key ret;
    AUTO(key_free) struct key *k = key_new("links");
    layer_links_key(l, "", k, "links");
    key_end(k, &ret, NULL);
    return ret;
}

static bool same_files(const struct layer *a, const struct layer *b)
{
    if (a == NULL || b == NULL || !digest_eq(&a->content_id.d, &b->content_id.d))
        return false;
    struct cache_key x = links_of(a), y = links_of(b);
    return digest_eq(&x.d, &y.d);
}

/* ---- the two runs ---- */

/* Whether a question of now is none of then's, or asks for more. */
static bool asks_other(const struct questions *then, const struct questions *now, size_t segment)
{
    struct question a, b;
    for (size_t i = 0; i < questions_len(now, segment); i++) {
        questions_at(now, segment, i, &a);
        if (!questions_find(then, segment, a.path, &b) || (a.kinds & ~b.kinds) != 0)
            return true;
    }
    return false;
}

static int compare_questions(struct step *s, const struct observer *o, bool *ret, struct err *err)
{
    const struct run_trace *t = &((struct run *)s->arg)->trace;
    AUTO(buf_release) struct buf bytes = BUF_INIT;
    uint64_t n_read;
    AUTO(questions_free)
    struct questions *then = questions_load(s->st->b->store, &t->used.questions, err);
    if (then == NULL || run_trace_questions(s, o, &bytes, NULL, NULL, &n_read, err) < 0)
        return err->code;
    AUTO(questions_free) struct questions *now = questions_open(bytes.data, bytes.len, err);
    if (now == NULL)
        return err->code;
    *ret = questions_segments(then) != questions_segments(now);
    for (size_t i = 0; i < questions_segments(now) && !*ret; i++)
        *ret = asks_other(then, now, i);
    return 0;
}

/* run_fn. The first run, observed where that is possible. */
static int run_first(struct step *s, struct work *w, const struct strv *env,
                     const struct layer **ret, struct err *err)
{
    struct comparison *c = ((struct run *)s->arg)->comparison;
    AUTO(observer_free) struct observer *o = run_trace_observer(s);
    struct err lost = ERR_INIT;
    int rc = run_command(s, w, env, o, &c->first, err);
    int seen = o != NULL ? observer_check(o, &lost) : ERR_UNSUPPORTED;
    if (seen == ERR_IO && (rc == 0 || rc == ERR_STEP || ((struct run *)s->arg)->was_discarded)) {
        run_trace_lost(s, &lost);
        err_clear(err);
        rc = run_command(s, w, env, NULL, &c->first, err);
    }
    if (seen == 0 && rc == 0 && compare_questions(s, o, &c->asks_more, &lost) < 0)
        log_debug("trace", "the questions of two runs cannot be compared: %s", lost.msg);
    if (seen == 0 && rc == 0 && c->asks_more && same_files(c->first, c->expected))
        run_trace_keep(s, o, c->expected); /* which the step goes on with */
    *ret = c->first;
    return rc;
}

/* run_fn. Both runs, as far as they are needed to judge. */
static int run_both(struct step *s, struct work *w, const struct strv *env,
                    const struct layer **ret, struct err *err)
{
    struct comparison *c = ((struct run *)s->arg)->comparison;
    int rc = run_first(s, w, env, ret, err);
    if (rc < 0 || same_files(c->first, c->expected))
        return rc;
    buf_clear(&s->output); /* one run's is enough */
    return run_command(s, w, env, NULL, &c->second, err);
}

/* ---- the verdict ---- */

/* The network, a cache, a secret: none of it is in a key. */
static bool has_more_than_files(const struct run *r)
{
    bool more = r->network != EXEC_NET_NONE;
    for (size_t i = 0; i < r->mounts.n; i++)
        more =
            more || (r->mounts.v[i].m->type != MOUNT_BIND && r->mounts.v[i].m->type != MOUNT_TMPFS);
    return more;
}

static enum verdict judge(const struct run *r)
{
    const struct comparison *c = r->comparison;
    if (same_files(c->first, c->expected))
        return c->asks_more ? ASKS_MORE : VERIFIED;
    if (!same_files(c->first, c->second))
        return NOT_REPRODUCIBLE;
    return has_more_than_files(r) ? ANOTHER : UNSOUND;
}

static void mark_run(struct step *s, enum verdict v)
{
    const struct run_trace *t = &((struct run *)s->arg)->trace;
    struct store *store = s->st->b->store;
    struct trace_run known = { 0 };
    struct err ignored = ERR_INIT;
    trace_run_get(store, &t->run, &known, &ignored);
    known.not_reproducible = v == NOT_REPRODUCIBLE;
    trace_run_put(store, &t->run, &known, &ignored);
}

static void condemn(struct step *s, enum verdict v)
{
    const struct run_trace *t = &((struct run *)s->arg)->trace;
    struct err err = ERR_INIT;
    size_t n = 0;
    if (trace_drop(s->st->b->store, &t->run, &n, &err) < 0)
        log_warn("trace", "wrong observations cannot be dropped: %s", err.msg);
    log_warn("trace",
             "line %d: what an earlier run gave is not what running the step gives now; its "
             "observations are dropped, with %zu result%s that came of them. %s",
             s->i->line, n, n == 1 ? "" : "s",
             v == ANOTHER ? "The network, or a mount that is in no key, may give it something else"
                          : "Unless it depends on the clock or the machine, this is a fault of "
                            "shale: please report it");
}

static void tell(struct step *s, enum verdict v, const struct err *why)
{
    static const struct {
        const char *counter, *note;
    } told[] = {
        [VERIFIED] = { "trace.verified", "run again and compared: the same" },
        [ASKS_MORE] = { "trace.verified",
                        "run again and compared: the same, but it looked at other files" },
        [NOT_REPRODUCIBLE] = { "trace.not_reproducible",
                               "run again and compared: it gives something else each time" },
        [ANOTHER] = { "trace.another", "run again and compared: it gives something else now" },
        [FAILS] = { "trace.fails", "run again to compare: it fails now" },
        [UNSOUND] = { "trace.unsound", "run again and compared: it gives something else now" },
    };
    run_trace_count(s, told[v].counter, 1);
    vertex_note(s->st->b->e, s->vertex, "%s%s%s", told[v].note, why->code != ERR_NONE ? ": " : "",
                why->code != ERR_NONE ? why->msg : "");
    if (v == VERIFIED || v == NOT_REPRODUCIBLE)
        mark_run(s, v);
    if (v == ANOTHER || v == UNSOUND)
        condemn(s, v);
}

/* What the command itself has nothing to do with is no verdict; the answer is as good as before. */
static int not_compared(struct step *s, struct err *err)
{
    if (err->code == ERR_CANCELLED || s->st->b->context_changed)
        return err->code;
    vertex_note(s->st->b->e, s->vertex, "cannot be run again to compare: %s", err->msg);
    err_clear(err);
    return 0;
}

static int verify(struct step *s, struct answer *a, enum settled *ret, struct err *err)
{
    struct run *r = s->arg;
    struct comparison c = { .expected = a->layer };
    const struct layer *last = NULL;
    r->comparison = &c;
    int rc = run_prepared_as(s, run_both, &last, err);
    enum verdict v = rc < 0 ? FAILS : judge(r);
    r->comparison = NULL;
    if (rc < 0 && rc != ERR_STEP)
        return not_compared(s, err);
    tell(s, v, err);
    err_clear(err);
    if (v != ANOTHER && v != UNSOUND)
        return 0;
    build_pack(s->st, c.first);
    a->layer = c.first;
    *ret = SETTLED_OTHER;
    return 0;
}

static bool is_sampled(const struct step *s)
{
    const struct build_options *o = s->st->b->o;
    uint8_t byte[4];
    uint32_t n;
    if (o->trace == TRACE_VERIFY || o->trace_sample >= PERCENT)
        return true;
    if (o->trace_sample == 0 || getrandom(byte, sizeof(byte), 0) != sizeof(byte))
        return false;
    memcpy(&n, byte, sizeof(n));
    return n % PERCENT < o->trace_sample;
}

/* It has been of use, so it goes on being observed. */
static void count_hit(struct step *s, const struct answer *a)
{
    const struct run_trace *t = &((struct run *)s->arg)->trace;
    struct store *store = s->st->b->store;
    struct trace_run known = { 0 };
    struct err ignored = ERR_INIT;
    if (trace_run_get(store, &t->run, &known, &ignored) == 0) {
        known.hits++;
        trace_run_put(store, &t->run, &known, &ignored);
    }
    run_trace_count(s, "trace.reused", 1);
    run_trace_count(s, "trace.reused_ms", a->record.cost_ms > 0 ? (uint64_t)a->record.cost_ms : 0);
}

/* The next build finds it by its key. */
static int keep_reused(struct step *s, const struct answer *a, struct err *err)
{
    const struct run_trace *t = &((struct run *)s->arg)->trace;
    struct store *store = s->st->b->store;
    struct record r = a->record;
    r.key = s->report->key;
    r.used_s = clock_wall_s();
    if (s->fields.len == 0 || blob_put(store, s->fields.data, s->fields.len, &r.fields, err) < 0)
        return err->code;
    return trace_reused_record(store, &t->used, &r, err);
}

/* A step is prepared once: what was compared is not made again. */
int run_settle(struct step *s, struct answer *a, enum settled *ret, struct err *err)
{
    struct err kept = ERR_INIT;
    bool compares = is_sampled(s);
    *ret = SETTLED_HOLDS;
    if (compares && (verify(s, a, ret, err) < 0 || *ret == SETTLED_OTHER))
        return err->code;
    int rc = keep_reused(s, a, &kept);
    if (rc == ERR_NOT_FOUND && !compares) {
        *ret = SETTLED_GONE;
        return 0;
    }
    if (rc < 0)
        log_debug("trace", "a result that was used again has no record: %s", kept.msg);
    count_hit(s, a);
    return 0;
}

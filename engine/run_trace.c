#include "engine/run_trace.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "cache/file_changes.h"
#include "cache/question_blobs.h"
#include "engine/engine_internal.h"
#include "engine/step_run_internal.h"
#include "engine/trace_pays.h"
#include <stdlib.h>
#include <string.h>

#define IDS_MAX (1u << 20) /* bytes of a list of listings' ids */
#define NAMES_SHOWN 3      /* of changed files that were not read */
#define LOOK_AGAIN 20      /* of what was given up, each so many-th run is observed */

void run_trace_release(struct run_trace *t)
{
    for (size_t i = 0; i < t->n; i++)
        listing_free(t->soft[i].own);
    mem_free(t->soft);
    mem_free(t->listings);
}

bool run_trace_has_layer(const struct run_trace *t, size_t below)
{
    for (size_t i = 0; i < t->n; i++)
        if (t->soft[i].layer != NULL && t->soft[i].below == below)
            return true;
    return false;
}

/* Counting is worth no error. */
void run_trace_count(struct step *s, const char *counter, uint64_t n)
{
    struct err ignored = ERR_INIT;
    if (!s->st->b->is_dry && n > 0)
        counter_add(s->st->b->store, counter, n, &ignored);
}

/* ---- what is soft ---- */

/* Whatever is no directory. */
static size_t count_files(const struct listing *l)
{
    size_t n = 0;
    struct entry e;
    for (size_t i = 0; i < listing_len(l); i++) {
        listing_at(l, i, &e);
        n += e.type != ENTRY_DIR;
    }
    return n;
}

static void add_soft(struct run_trace *t, const struct soft *x)
{
    t->soft = mem_grow(t->soft, t->n + 1, sizeof(*t->soft));
    t->soft[t->n] = *x;
    t->n_files += count_files(x->listing);
    t->n++;
}

/* Index of the first layer above the last RUN's and the base's. */
static size_t first_fresh(const struct state *s)
{
    size_t i = s->n_layers;
    while (i > 0 && s->made_by[i - 1] != NULL && !str_eq(s->made_by[i - 1]->kind, "run"))
        i--;
    return i;
}

static void find_soft_layers(const struct state *s, struct run_trace *t)
{
    size_t fresh = first_fresh(s);
    for (size_t i = 0; i < s->n_layers; i++) {
        const struct listing *l = s->layers[i]->listing;
        if (s->made_by[i] == NULL || !s->made_by[i]->copies || !observe_can_serve(l))
            continue;
        const struct soft x = {
            .listing = l, .layer = s->layers[i], .below = i, .is_fresh = i >= fresh
        };
        add_soft(t, &x);
    }
}

static void find_soft_mounts(struct run_mounts *m, struct run_trace *t)
{
    for (size_t i = 0; i < m->n; i++) {
        struct err ignored = ERR_INIT;
        AUTO(listing_free) struct listing *l = run_mount_listing(&m->v[i], &ignored);
        if (l == NULL || !observe_can_serve(l))
            continue;
        const struct soft x = { .listing = l, .own = l, .mount = i };
        add_soft(t, &x);
        m->v[i].is_soft = true;
        (void)TAKE(l);
    }
}

/* The one file that a layer has, as its path; NULL: it has none, or several. */
static const char *only_file(const struct soft *x)
{
    struct entry e;
    const char *path = NULL;
    for (size_t i = 0; i < listing_len(x->listing); i++) {
        listing_at(x->listing, i, &e);
        if (e.type == ENTRY_DIR)
            continue;
        if (path != NULL || e.type != ENTRY_FILE)
            return NULL;
        path = e.path;
    }
    return path;
}

/* ---- the run id ---- */

/* Where a path leads is asked of listings, not through the file system that is observed. */
static int place_key(const struct view *v, const char *name, const char *path, struct key *k,
                     struct err *err)
{
    AUTO(mem_free) char *real = NULL;
    size_t missing = 0;
    if (view_resolve(v, path, true, &real, &missing, err) < 0)
        return err->code;
    key_str(k, name, real);
    key_u64(k, "run.real.missing", missing);
    return 0;
}

static int places_key(struct run *r, const struct view *v, struct key *k, struct err *err)
{
    const char *cwd = r->st->state.config.workdir;
    if (place_key(v, "run.real.cwd", cwd && *cwd ? cwd : "/", k, err) < 0 ||
        place_key(v, "run.real.resolv_conf", "etc/resolv.conf", k, err) < 0 ||
        place_key(v, "run.real.hosts", "etc/hosts", k, err) < 0)
        return err->code;
    for (size_t i = 0; i < r->mounts.n; i++)
        if (place_key(v, "run.real.mount", r->mounts.v[i].target, k, err) < 0)
            return err->code;
    return 0;
}

/* What names in passwd and group come to. */
static int user_key(struct run *r, struct key *k, struct err *err)
{
    AUTO(user_ids_release) struct user_ids user = { .uid = 0 };
    if (run_find_user(r, &user, err) < 0)
        return err->code;
    key_u64(k, "run.real.uid", user.uid);
    key_u64(k, "run.real.gid", user.gid);
    key_str(k, "run.real.home", user.home);
    for (size_t i = 0; i < user.n_groups; i++)
        key_u64(k, "run.real.group", user.groups[i]);
    return 0;
}

/* The root directory is made from the view, and not looked at in any layer. */
static void root_key(const struct view *v, struct key *k)
{
    AUTO(hasher_free) struct hasher *h = hasher_new();
    struct digest d;
    struct entry e;
    view_find(v, "", &e, NULL);
    entry_hash(h, &e, "");
    hasher_end(h, &d);
    key_digest(k, "run.real.root", &d);
}

static int make_run_id(struct run *r, struct run_trace *t, struct err *err)
{
    const struct view *v = state_view(&r->st->state);
    AUTO(key_free) struct key *k = run_key(r, t);
    struct cache_key id;
    key_u64(k, "observed", OBSERVE_VERSION);
    if (places_key(r, v, k, err) < 0 || user_key(r, k, err) < 0)
        return err->code;
    root_key(v, k);
    key_end(k, &id, NULL);
    t->run = id.d;
    return 0;
}

/* False: nothing of what the step stands on is soft, or what the step is cannot be said. */
static bool get_ready(struct step *s)
{
    struct run *r = s->arg;
    struct run_trace *t = &r->trace;
    struct err why = ERR_INIT;
    if (t->is_ready)
        return t->n > 0;
    t->is_ready = true;
    if (s->st->b->o->trace == TRACE_OFF || r->i->run.trace_off)
        return false;
    find_soft_layers(&s->st->state, t);
    find_soft_mounts(&r->mounts, t);
    if (t->n > 0 && make_run_id(r, t, &why) < 0) {
        log_debug("trace", "line %d is not observed: %s", s->i->line, why.msg);
        t->n = 0;
    }
    t->listings = mem_calloc(t->n + 1, sizeof(*t->listings));
    for (size_t i = 0; i < t->n; i++)
        t->listings[i] = t->soft[i].listing;
    return t->n > 0;
}

/* ---- an earlier run's answer ---- */

static struct questions *read_questions(struct step *s, const struct blob_id *id)
{
    struct err why = ERR_INIT;
    struct questions *q = questions_load(s->st->b->store, id, &why);
    if (q == NULL)
        log_debug("trace", "a question set cannot be used: %s", why.msg);
    return q;
}

static bool is_too_old(const struct step *s, const struct trace *t)
{
    return t->network && clock_wall_s() - t->made_s >= s->st->b->o->trace_max_age_s;
}

/* A path of the step's root; below its working directory without that in front. */
static char *from_cwd(const struct step *s, const char *path)
{
    const char *cwd = s->st->state.config.workdir;
    AUTO(mem_free) char *clean = path_clean(cwd && *cwd ? cwd : "/");
    const char *dir = clean + 1;
    if (*dir != '\0' && path_is_below(path, dir))
        return str_dup(path + strlen(dir) + 1);
    return str_printf("/%s", path);
}

/* As the command sees it: what a mount shows is at its target. */
static char *shown_path(const struct step *s, const struct soft *x, const char *path)
{
    const struct run *r = s->arg;
    if (x->layer != NULL)
        return from_cwd(s, path);
    const struct run_mounted *m = &r->mounts.v[x->mount];
    const char *below = path;
    if (*m->source != '\0' && (str_eq(path, m->source) || path_is_below(path, m->source)))
        below = path + strlen(m->source) + (path[strlen(m->source)] == '/');
    AUTO(mem_free) char *full = path_join(m->target, below);
    AUTO(mem_free) char *clean = path_clean(full);
    return from_cwd(s, clean + 1);
}

/* Files of one soft layer that are not as they were when t's run saw them. */
struct not_read {
    const struct step *s;
    const struct soft *soft;
    struct buf names;
    size_t n;
};

static void add_not_read(struct not_read *x, const struct file_changes *c)
{
    for (size_t i = 0; i < c->n; i++) {
        if (c->v[i].type == ENTRY_DIR || file_change_is_implied(c, i))
            continue;
        if (x->n++ >= NAMES_SHOWN)
            continue;
        AUTO(mem_free) char *path = shown_path(x->s, x->soft, c->v[i].path);
        if (x->names.len > 0)
            buf_adds(&x->names, ", ");
        log_escape(&x->names, path, strlen(path));
    }
}

static struct listing *read_listing(struct store *s, const uint8_t *id)
{
    struct blob_id blob;
    struct err ignored = ERR_INIT;
    uint64_t size;
    memcpy(blob.d.b, id, sizeof(blob.d.b));
    AUTO(fd_close) int fd = blob_open(s, &blob, &size, &ignored);
    return fd < 0 ? NULL : listing_open_fd(fd, &ignored);
}

/* Without the listings of then nothing is said of what has changed. */
static void find_not_read(struct step *s, const struct trace *t, struct not_read *x)
{
    const struct run_trace *now = &((struct run *)s->arg)->trace;
    struct store *store = s->st->b->store;
    AUTO(buf_release) struct buf ids = BUF_INIT;
    struct err ignored = ERR_INIT;
    if (digest_is_zero(&t->layers.d) || blob_read(store, &t->layers, IDS_MAX, &ids, &ignored) < 0)
        return;
    for (size_t i = 0; i < now->n && (i + 1) * DIGEST_LEN <= ids.len; i++) {
        AUTO(listing_free)
        struct listing *then = read_listing(store, (const uint8_t *)ids.data + i * DIGEST_LEN);
        AUTO(file_changes_release) struct file_changes c = { .v = NULL };
        if (then == NULL)
            continue;
        file_changes_find(then, now->listings[i], &c);
        x->soft = &now->soft[i];
        add_not_read(x, &c);
    }
}

/* "read 1 of 656 copied files; 3 changed files not read: src/a.py, src/b.py, ..." */
static char *describe(struct step *s, const struct trace *t)
{
    const struct run_trace *now = &((struct run *)s->arg)->trace;
    struct not_read x = { .s = s, .names = BUF_INIT };
    struct buf text = BUF_INIT;
    /* what a mount shows is not copied */
    buf_addf(&text, "read %llu of %zu %sfile%s", (unsigned long long)t->n_read, now->n_files,
             now->n > 0 && now->soft[now->n - 1].layer != NULL ? "copied " : "",
             now->n_files == 1 ? "" : "s");
    find_not_read(s, t, &x);
    if (x.n > 0)
        buf_addf(&text, "; %zu changed file%s not read: %s%s", x.n, x.n == 1 ? "" : "s",
                 buf_str(&x.names), x.n > NAMES_SHOWN ? ", …" : "");
    buf_release(&x.names);
    return buf_take(&text);
}

/*
 * A file that is copied alone, which this set asks nothing about: had it stood alone when the set
 * was recorded, it would have been compared whole (enters_whole).
 */
static bool misses_whole(const struct run_trace *now, const struct questions *q)
{
    struct question x;
    for (size_t i = 0; i < now->n; i++) {
        const char *only = now->soft[i].is_fresh ? only_file(&now->soft[i]) : NULL;
        bool is_whole = questions_find(q, i, "", &x) && (x.kinds & QUESTION_WHOLE);
        if (only != NULL && !is_whole && !questions_find(q, i, only, NULL))
            return true;
    }
    return false;
}

/* The trace of a set, in *t, whose answers are those of the layers now. */
static bool find_trace(struct step *s, const struct trace *newest, struct trace *t)
{
    const struct run_trace *now = &((struct run *)s->arg)->trace;
    AUTO(questions_free) struct questions *q = read_questions(s, &newest->questions);
    struct digest answers;
    struct err none = ERR_INIT;
    if (q == NULL || questions_segments(q) != now->n || misses_whole(now, q))
        return false;
    questions_answer(q, now->listings, &answers, NULL);
    return trace_find(s->st->b->store, &now->run, &newest->questions, &answers, t, &none) == 0;
}

static bool use_trace(struct step *s, const struct trace *t, struct answer *ret)
{
    struct run *r = s->arg;
    struct err none = ERR_INIT;
    if (answer_find(s->st->b->store, &t->key, ret, &none) < 0 || ret->layer == NULL ||
        !digest_eq(&ret->layer->diff_id.d, &t->layer.d))
        return false; /* gone, or of another run that may have looked at other things */
    r->trace.used = *t;
    s->report->reused = describe(s, t);
    return true;
}

static char *broken_shown(struct step *s, const struct broken *b)
{
    const struct soft *soft = &((struct run *)s->arg)->trace.soft[b->segment];
    struct buf text = BUF_INIT;
    if (b->question.kinds & QUESTION_WHOLE) {
        const char *only = only_file(soft);
        AUTO(mem_free) char *path = only ? shown_path(s, soft, only) : NULL;
        if (only == NULL)
            return NULL; /* what has changed in it is said as of any other step */
        return str_printf("%s changed, a file that is copied alone so that this step runs again",
                          path);
    }
    AUTO(mem_free) char *path = shown_path(s, soft, b->question.path);
    broken_text(b, path, &text);
    return buf_take(&text);
}

static char *why_broken(struct step *s, const struct trace *t)
{
    const struct run_trace *now = &((struct run *)s->arg)->trace;
    AUTO(questions_free) struct questions *q = read_questions(s, &t->questions);
    AUTO(buf_release) struct buf each = BUF_INIT;
    struct err ignored = ERR_INIT;
    struct broken b;
    if (q == NULL || questions_segments(q) != now->n || digest_is_zero(&t->each.d) ||
        blob_read(s->st->b->store, &t->each, ANSWERS_BYTES_MAX, &each, &ignored) < 0 ||
        !questions_broken(q, now->listings, buf_str(&each), each.len, &b))
        return NULL;
    return broken_shown(s, &b);
}

/* Of the runs that are known the one whose result the last build had says most. */
static char *why_none(struct step *s, const struct trace *newest)
{
    const struct run_trace *now = &((struct run *)s->arg)->trace;
    const struct step_report *r = s->report;
    struct trace t;
    struct err none = ERR_INIT;
    bool has_last = r->has_before && trace_of_key(s->st->b->store, &r->before, &t, &none) == 0 &&
                    digest_eq(&t.run, &now->run);
    char *why = has_last ? why_broken(s, &t) : NULL;
    return why != NULL ? why : why_broken(s, newest);
}

static bool try_sets(struct step *s, const struct trace *sets, size_t n, struct answer *ret)
{
    bool old = false;
    for (size_t i = 0; i < n; i++) {
        struct trace t;
        if (!find_trace(s, &sets[i], &t))
            continue;
        if (is_too_old(s, &t))
            old = true;
        else if (use_trace(s, &t, ret))
            return true;
    }
    if (old)
        s->report->why = str_dup("what an earlier run looked at is as it was, but that run is "
                                 "older than --trace-max-age");
    else if (n > 0)
        s->report->why = why_none(s, &sets[0]);
    return false;
}

bool run_trace_reuse(struct step *s, struct answer *ret)
{
    const struct run_trace *now = &((struct run *)s->arg)->trace;
    AUTO(mem_free) struct trace *sets = NULL;
    struct err err = ERR_INIT;
    size_t n = 0;
    if (stage_no_cache(s->st) || !get_ready(s))
        return false;
    if (trace_sets(s->st->b->store, &now->run, &sets, &n, &err) < 0) {
        log_debug("trace", "%s", err.msg);
        return false;
    }
    bool found = try_sets(s, sets, n, ret);
    if (!found && n > 0)
        run_trace_count(s, "trace.missed", 1);
    return found;
}

static bool touches(const struct questions *q, size_t segment, const struct strv *paths, bool moved)
{
    for (size_t i = 0; i < paths->n; i++)
        if (questions_touch(q, segment, paths->v[i], moved))
            return true;
    return false;
}

bool run_trace_looked_at(struct step *s, const struct layer *l, const struct strv *paths,
                         bool moved)
{
    const struct run_trace *now = &((struct run *)s->arg)->trace;
    struct trace t;
    struct err none = ERR_INIT;
    if (paths->n == 0 || !get_ready(s) ||
        trace_of_key(s->st->b->store, &s->report->key, &t, &none) < 0)
        return false;
    AUTO(questions_free) struct questions *q = read_questions(s, &t.questions);
    if (q == NULL || questions_segments(q) != now->n)
        return false;
    for (size_t i = 0; i < now->n; i++)
        if (now->soft[i].layer == l && touches(q, i, paths, moved))
            return true;
    return false;
}

/* ---- a run that is observed ---- */

/* What reads nearly everything each time, or asks very much and is never of use, is not observed
 * for a while: its exact key says as much. */
static bool is_worth_it(struct step *s)
{
    const struct run_trace *now = &((struct run *)s->arg)->trace;
    struct store *store = s->st->b->store;
    struct trace_run known = { 0 };
    struct err ignored = ERR_INIT;
    trace_run_get(store, &now->run, &known, &ignored);
    if (trace_pays(&known) == TRACE_PAYS || known.untraced + 1 >= LOOK_AGAIN)
        return true;
    known.untraced++;
    trace_run_put(store, &now->run, &known, &ignored);
    run_trace_count(s, "trace.wide", 1);
    return false;
}

static const struct layer *layer_of(struct step *s, const struct soft *x)
{
    struct run *r = s->arg;
    return x->layer != NULL ? x->layer : run_mount_layer(&r->mounts.v[x->mount]);
}

struct observer *run_trace_observer(struct step *s)
{
    const struct run_trace *t = &((struct run *)s->arg)->trace;
    struct store *store = s->st->b->store;
    struct err why = ERR_INIT;
    AUTO(mem_free) char *how = NULL;
    if (!get_ready(s) || !is_worth_it(s))
        return NULL;
    if (observe_probe(store, &how, &why) < 0) {
        log_debug("trace", "steps are not observed: %s", why.msg);
        return NULL;
    }
    struct observer *o = observer_new(store);
    for (size_t i = 0; i < t->n; i++)
        if (layer_of(s, &t->soft[i]) != NULL)
            observer_add(o, layer_of(s, &t->soft[i]));
    return o;
}

void run_trace_lost(struct step *s, const struct err *why)
{
    run_trace_count(s, "trace.failed", 1);
    vertex_note(s->st->b->e, s->vertex,
                "what the step looks at could not be observed (%s): it is run again without",
                why->msg);
}

/* ---- what was seen ---- */

struct seen {
    struct questions_builder *b;
    const struct soft *soft;
    const char *only; /* looked for: whether it was asked about */
    bool is_asked;
    uint64_t n_read;
};

static int look_for(void *arg, const struct observed *x, struct err *err UNUSED)
{
    struct seen *seen = arg;
    seen->is_asked = seen->is_asked || str_eq(x->path, seen->only);
    return 0;
}

static int add_question(void *arg, const struct observed *x, struct err *err)
{
    struct seen *seen = arg;
    struct entry e;
    if ((x->kinds & (OBSERVE_READ | OBSERVE_LINK)) &&
        listing_find(seen->soft->listing, x->path, &e))
        seen->n_read += e.type != ENTRY_DIR;
    return questions_add(seen->b, x->path, x->kinds, x->xattrs, x->n_xattrs, err);
}

/*
 * A file that is copied alone and that the RUN behind it does not look at is there for one reason:
 * that the RUN is run again when it changes.
 */
static int enters_whole(struct step *s, const struct observer *o, const struct soft *x, bool *ret,
                        struct err *err)
{
    struct seen seen = { .only = x->is_fresh ? only_file(x) : NULL };
    *ret = false;
    if (seen.only == NULL)
        return 0;
    if (observer_each(o, layer_of(s, x), look_for, &seen, err) < 0)
        return err->code;
    *ret = !seen.is_asked;
    return 0;
}

static int add_segment(struct step *s, const struct observer *o, const struct soft *x,
                       struct seen *seen, struct err *err)
{
    bool whole;
    questions_segment(seen->b);
    seen->soft = x;
    if (layer_of(s, x) == NULL)
        return err_set(err, ERR_NOT_FOUND, "a mount has no layer");
    if (enters_whole(s, o, x, &whole, err) < 0)
        return err->code;
    if (whole)
        return questions_add(seen->b, "", QUESTION_WHOLE, NULL, 0, err);
    return observer_each(o, layer_of(s, x), add_question, seen, err);
}

int run_trace_questions(struct step *s, const struct observer *o, struct buf *ret,
                        struct digest *ret_answers, struct buf *ret_each, uint64_t *ret_read,
                        struct err *err)
{
    const struct run_trace *t = &((struct run *)s->arg)->trace;
    AUTO(questions_builder_free) struct questions_builder *b = questions_new();
    struct seen seen = { .b = b };
    for (size_t i = 0; i < t->n; i++)
        if (add_segment(s, o, &t->soft[i], &seen, err) < 0)
            return err->code;
    questions_write(b, ret);
    AUTO(questions_free) struct questions *q = questions_open(ret->data, ret->len, err);
    if (q == NULL)
        return err->code;
    if (ret_answers != NULL)
        questions_answer(q, t->listings, ret_answers, ret_each);
    *ret_read = seen.n_read;
    return 0;
}

static int keep_layers(struct step *s, struct blob_id *ret, struct err *err)
{
    const struct run_trace *t = &((struct run *)s->arg)->trace;
    AUTO(buf_release) struct buf ids = BUF_INIT;
    for (size_t i = 0; i < t->n; i++)
        buf_add(&ids, layer_of(s, &t->soft[i])->listing_id.d.b, DIGEST_LEN);
    return blob_put(s->st->b->store, ids.data, ids.len, ret, err);
}

static int put_trace(struct step *s, const struct observer *o, const struct layer *l,
                     struct trace *ret, struct err *err)
{
    const struct run *r = s->arg;
    struct store *store = s->st->b->store;
    AUTO(buf_release) struct buf set = BUF_INIT;
    AUTO(buf_release) struct buf each = BUF_INIT;
    struct trace t = { .run = r->trace.run,
                       .key = s->report->key,
                       .layer = l->diff_id,
                       .n_files = r->trace.n_files,
                       .requests = observer_requests(o),
                       .network = r->network != EXEC_NET_NONE,
                       .made_s = clock_wall_s() };
    if (run_trace_questions(s, o, &set, &t.answers, &each, &t.n_read, err) < 0 ||
        blob_put(store, set.data, set.len, &t.questions, err) < 0 ||
        keep_layers(s, &t.layers, err) < 0)
        return err->code;
    if (each.len > 0 && blob_put(store, each.data, each.len, &t.each, err) < 0)
        return err->code;
    t.used_s = t.made_s;
    *ret = t;
    return trace_put(store, &t, err);
}

static void put_run(struct step *s, const struct trace *t)
{
    struct store *store = s->st->b->store;
    struct trace_run known = { 0 };
    struct err ignored = ERR_INIT;
    trace_run_get(store, &t->run, &known, &ignored);
    known.traced++;
    known.untraced = 0;
    known.requests = t->requests;
    known.wide = t->n_read * 10 > t->n_files * 8 ? known.wide + 1 : 0;
    trace_run_put(store, &t->run, &known, &ignored);
}

void run_trace_keep(struct step *s, const struct observer *o, const struct layer *l)
{
    struct trace t;
    struct err err = ERR_INIT;
    if (put_trace(s, o, l, &t, &err) < 0) {
        log_debug("trace", "what line %d looked at is not kept: %s", s->i->line, err.msg);
        return;
    }
    put_run(s, &t);
    run_trace_count(s, "trace.runs", 1);
    run_trace_count(s, "trace.requests", t.requests);
}

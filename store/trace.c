#include "store/trace.h"
#include "store/store_internal.h"

#include "base/clock.h"

static const struct digest *or_null(const struct digest *d)
{
    return digest_is_zero(d) ? NULL : d;
}

static int64_t capped(uint64_t n)
{
    return n < INT64_MAX ? (int64_t)n : INT64_MAX;
}

/* One statement without rows of interest; b may be NULL, n 0: then it has none. */
static int run_with(struct db *ix, enum query_id which, const struct digest *a,
                    const struct digest *b, int64_t n, struct err *err)
{
    AUTO(query_end) sqlite3_stmt *q = query(ix, which, err);

    if (q == NULL)
        return err->code;
    int i = 0;
    bind_digest(q, ++i, a);
    if (b != NULL)
        bind_digest(q, ++i, b);
    if (n > 0)
        bind_int(q, ++i, n);
    return query_run(ix, q, err);
}

static void bind_id(sqlite3_stmt *q, const struct trace *t)
{
    bind_digest(q, 1, &t->run);
    bind_digest(q, 2, &t->questions.d);
    bind_digest(q, 3, &t->answers);
}

/* Column by column as the queries name them; false: a row that names nothing. */
static bool take_trace(sqlite3_stmt *q, struct trace *ret)
{
    struct trace t = { .network = col_int(q, 9) != 0 };

    if (!col_digest(q, 0, &t.run) || !col_digest(q, 1, &t.questions.d) ||
        !col_digest(q, 2, &t.answers) || !col_digest(q, 4, &t.key.d) ||
        !col_digest(q, 13, &t.layer.d))
        return false;
    col_digest(q, 3, &t.each.d); /* else it stays zero */
    col_digest(q, 5, &t.layers.d);
    t.n_files = (uint64_t)col_int(q, 6);
    t.n_read = (uint64_t)col_int(q, 7);
    t.requests = (uint64_t)col_int(q, 8);
    t.made_s = col_int(q, 10);
    t.used_s = col_int(q, 11);
    t.hits = (uint64_t)col_int(q, 12);
    *ret = t;
    return true;
}

/* ---- putting ---- */

static int put_row(struct db *ix, const struct trace *t, struct err *err)
{
    int64_t tick, now = clock_wall_s();
    AUTO(query_end) sqlite3_stmt *q = query(ix, Q_TRACE_PUT, err);

    if (q == NULL || db_tick(ix, &tick, err) < 0)
        return err->code;
    bind_id(q, t);
    bind_digest(q, 4, or_null(&t->each.d));
    bind_digest(q, 5, &t->key.d);
    bind_digest(q, 6, or_null(&t->layers.d));
    bind_int(q, 7, capped(t->n_files));
    bind_int(q, 8, capped(t->n_read));
    bind_int(q, 9, capped(t->requests));
    bind_int(q, 10, t->network);
    bind_int(q, 11, t->made_s ? t->made_s : now);
    bind_int(q, 12, t->used_s ? t->used_s : now);
    bind_int(q, 13, capped(t->hits));
    bind_int(q, 14, tick);
    bind_digest(q, 15, &t->layer.d);
    return query_run(ix, q, err);
}

static int put_trace(struct db *ix, void *arg, struct err *err)
{
    const struct trace *t = arg;

    if (put_row(ix, t, err) < 0 || run_with(ix, Q_TRACE_REUSE_DROP, &t->key.d, NULL, 0, err) < 0 ||
        run_with(ix, Q_TRACE_TRIM_ANSWERS, &t->run, &t->questions.d, TRACE_ANSWERS_MAX, err) < 0)
        return err->code;
    return run_with(ix, Q_TRACE_TRIM_SETS, &t->run, NULL, TRACE_SETS_MAX, err);
}

int trace_put(struct store *s, const struct trace *t, struct err *err)
{
    struct trace copy = *t;

    return db_write(s->db, store_is_durable(s), put_trace, &copy, err);
}

/* ---- finding ---- */

struct find {
    enum query_id which;
    const struct digest *a, *b, *c; /* b and c may be NULL */
    struct trace *ret;
};

static int find_trace(struct db *ix, void *arg, struct err *err)
{
    struct find *f = arg;
    AUTO(query_end) sqlite3_stmt *q = query(ix, f->which, err);

    if (q == NULL)
        return err->code;
    bind_digest(q, 1, f->a);
    if (f->b != NULL) {
        bind_digest(q, 2, f->b);
        bind_digest(q, 3, f->c);
    }
    int r = query_step(ix, q, err);
    if (r < 0)
        return r;
    return r > 0 && take_trace(q, f->ret) ? 0 : err_set(err, ERR_NOT_FOUND, "no such trace");
}

int trace_find(struct store *s, const struct digest *run, const struct blob_id *questions,
               const struct digest *answers, struct trace *ret, struct err *err)
{
    struct find f = {
        .which = Q_TRACE_GET, .a = run, .b = &questions->d, .c = answers, .ret = ret
    };

    return db_read(s->db, find_trace, &f, err);
}

static int find_of_key(struct db *ix, void *arg, struct err *err)
{
    struct find *f = arg;

    f->which = Q_TRACE_OF_KEY;
    int r = find_trace(ix, f, err);
    if (r != ERR_NOT_FOUND)
        return r;
    err_clear(err);
    f->which = Q_TRACE_OF_REUSE;
    return find_trace(ix, f, err);
}

int trace_of_key(struct store *s, const struct cache_key *key, struct trace *ret, struct err *err)
{
    struct find f = { .a = &key->d, .ret = ret };

    return db_read(s->db, find_of_key, &f, err);
}

struct sets {
    const struct digest *run;
    struct trace *v;
    size_t n, cap;
};

static int collect_sets(struct db *ix, void *arg, struct err *err)
{
    struct sets *x = arg;
    int r;
    AUTO(query_end) sqlite3_stmt *q = query(ix, Q_TRACE_SETS, err);

    if (q == NULL)
        return err->code;
    bind_digest(q, 1, x->run);
    for (x->n = 0; (r = query_step(ix, q, err)) > 0;) {
        MEM_ROOM(x->v, x->n, x->cap);
        x->n += take_trace(q, &x->v[x->n]);
    }
    return r;
}

int trace_sets(struct store *s, const struct digest *run, struct trace **ret, size_t *ret_n,
               struct err *err)
{
    struct sets x = { .run = run };

    if (db_read(s->db, collect_sets, &x, err) < 0) {
        mem_free(x.v);
        return err->code;
    }
    *ret = x.v;
    *ret_n = x.n;
    return 0;
}

/* ---- reusing and dropping ---- */

struct reuse {
    const struct trace *t;
    const struct cache_key *key;
    const struct record *record; /* to be put with it, or NULL */
};

static int count_hit(struct db *ix, const struct trace *t, int64_t tick, struct err *err)
{
    AUTO(query_end) sqlite3_stmt *q = query(ix, Q_TRACE_HIT, err);

    if (q == NULL)
        return err->code;
    bind_id(q, t);
    bind_int(q, 4, clock_wall_s());
    bind_int(q, 5, tick);
    int r = query_step(ix, q, err);
    if (r == 0)
        return err_set(err, ERR_NOT_FOUND, "no such trace");
    return r > 0 ? query_run(ix, q, err) : r;
}

static int use_blobs(struct db *ix, const struct trace *t, int64_t tick, struct err *err)
{
    AUTO(query_end) sqlite3_stmt *q = query(ix, Q_TRACE_USE_BLOBS, err);

    if (q == NULL)
        return err->code;
    bind_digest(q, 1, &t->questions.d);
    bind_digest(q, 2, or_null(&t->each.d));
    bind_digest(q, 3, or_null(&t->layers.d));
    bind_int(q, 4, tick);
    return query_run(ix, q, err);
}

static int note_reuse(struct db *ix, const struct reuse *x, struct err *err)
{
    AUTO(query_end) sqlite3_stmt *q = query(ix, Q_TRACE_REUSE_PUT, err);

    if (q == NULL)
        return err->code;
    bind_digest(q, 1, &x->key->d);
    bind_digest(q, 2, &x->t->run);
    bind_digest(q, 3, &x->t->questions.d);
    bind_digest(q, 4, &x->t->answers);
    return query_run(ix, q, err);
}

static int put_reuse(struct db *ix, void *arg, struct err *err)
{
    const struct reuse *x = arg;
    int64_t tick;

    if (db_tick(ix, &tick, err) < 0 || count_hit(ix, x->t, tick, err) < 0 ||
        use_blobs(ix, x->t, tick, err) < 0)
        return err->code;
    if (digest_eq(&x->t->key.d, &x->key->d))
        return 0; /* the record is the one that the run made */
    if (note_reuse(ix, x, err) < 0)
        return err->code;
    return record_put_row(ix, x->record, err);
}

int trace_reused_record(struct store *s, const struct trace *t, const struct record *r,
                        struct err *err)
{
    struct reuse x = { .t = t, .key = &r->key, .record = r };

    return db_write(s->db, false, put_reuse, &x, err);
}

struct drop {
    const struct digest *run;
    size_t n;
};

static int drop_records(struct db *ix, struct drop *d, struct err *err)
{
    int r;
    AUTO(query_end) sqlite3_stmt *q = query(ix, Q_TRACE_RECORDS_DROP, err);

    if (q == NULL)
        return err->code;
    bind_digest(q, 1, d->run);
    for (d->n = 0; (r = query_step(ix, q, err)) > 0;)
        d->n++;
    return r;
}

static int drop_run(struct db *ix, void *arg, struct err *err)
{
    struct drop *d = arg;

    if (drop_records(ix, d, err) < 0 || run_with(ix, Q_TRACE_REUSES_DROP, d->run, NULL, 0, err) < 0)
        return err->code;
    return run_with(ix, Q_TRACE_DROP, d->run, NULL, 0, err);
}

int trace_drop(struct store *s, const struct digest *run, size_t *ret_n, struct err *err)
{
    struct drop d = { .run = run };

    if (db_write(s->db, store_is_durable(s), drop_run, &d, err) < 0)
        return err->code;
    *ret_n = d.n;
    return 0;
}

/* ---- runs ---- */

struct run_row {
    const struct digest *run;
    struct trace_run r;
};

static int get_run(struct db *ix, void *arg, struct err *err)
{
    struct run_row *x = arg;
    AUTO(query_end) sqlite3_stmt *q = query(ix, Q_TRACE_RUN_GET, err);

    x->r = (struct trace_run){ .traced = 0 };
    if (q == NULL)
        return err->code;
    bind_digest(q, 1, x->run);
    int r = query_step(ix, q, err);
    if (r <= 0)
        return r;
    x->r = (struct trace_run){
        .traced = (uint64_t)col_int(q, 0),
        .wide = (uint64_t)col_int(q, 1),
        .untraced = (uint64_t)col_int(q, 2),
        .hits = (uint64_t)col_int(q, 3),
        .requests = (uint64_t)col_int(q, 4),
        .not_reproducible = col_int(q, 5) != 0,
    };
    return 0;
}

int trace_run_get(struct store *s, const struct digest *run, struct trace_run *ret, struct err *err)
{
    struct run_row x = { .run = run };

    if (db_read(s->db, get_run, &x, err) < 0)
        return err->code;
    *ret = x.r;
    return 0;
}

static int put_run(struct db *ix, void *arg, struct err *err)
{
    const struct run_row *x = arg;
    AUTO(query_end) sqlite3_stmt *q = query(ix, Q_TRACE_RUN_PUT, err);

    if (q == NULL)
        return err->code;
    bind_digest(q, 1, x->run);
    bind_int(q, 2, capped(x->r.traced));
    bind_int(q, 3, capped(x->r.wide));
    bind_int(q, 4, capped(x->r.untraced));
    bind_int(q, 5, capped(x->r.hits));
    bind_int(q, 6, capped(x->r.requests));
    bind_int(q, 7, x->r.not_reproducible);
    return query_run(ix, q, err);
}

int trace_run_put(struct store *s, const struct digest *run, const struct trace_run *r,
                  struct err *err)
{
    struct run_row x = { .run = run, .r = *r };

    return db_write(s->db, false, put_run, &x, err);
}

/* ---- counters ---- */

struct counter {
    char *name;
    int64_t n;
};

struct counters {
    struct counter *v;
    size_t n, cap;
};

static void counters_clear(struct counters *c)
{
    while (c->n > 0)
        mem_free(c->v[--c->n].name);
}

static void counters_release(struct counters *c)
{
    counters_clear(c);
    mem_free(c->v);
}
DEFINE_AUTO_VALUE(struct counters, counters_release);

static int add_count(struct db *ix, void *arg, struct err *err)
{
    const struct counter *c = arg;
    AUTO(query_end) sqlite3_stmt *q = query(ix, Q_COUNTER_ADD, err);

    if (q == NULL)
        return err->code;
    bind_text(q, 1, c->name);
    bind_int(q, 2, c->n);
    return query_run(ix, q, err);
}

int counter_add(struct store *s, const char *name, uint64_t n, struct err *err)
{
    AUTO(mem_free) char *copy = str_dup(name);
    struct counter c = { .name = copy, .n = capped(n) };

    return n == 0 ? 0 : db_write(s->db, false, add_count, &c, err);
}

static int collect_counters(struct db *ix, void *arg, struct err *err)
{
    struct counters *c = arg;
    int r;
    AUTO(query_end) sqlite3_stmt *q = query(ix, Q_COUNTER_LIST, err);

    counters_clear(c);
    if (q == NULL)
        return err->code;
    while ((r = query_step(ix, q, err)) > 0) {
        MEM_ROOM(c->v, c->n, c->cap);
        c->v[c->n++] = (struct counter){ .name = str_dup(col_text(q, 0)), .n = col_int(q, 1) };
    }
    return r;
}

int counter_each(struct store *s, counter_fn fn, void *arg, struct err *err)
{
    AUTO(counters_release) struct counters c = { .v = NULL };

    if (db_read(s->db, collect_counters, &c, err) < 0)
        return err->code;
    for (size_t i = 0; i < c.n; i++)
        fn(arg, c.v[i].name, c.v[i].n > 0 ? (uint64_t)c.v[i].n : 0);
    return 0;
}

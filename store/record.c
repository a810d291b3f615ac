#include "store/record.h"
#include "store/store_internal.h"

#include "base/clock.h"

#include <stdio.h>

static const struct digest *or_null(bool there, const struct digest *d)
{
    return there ? d : NULL;
}

/* Column by column as the queries name them. */
static int take_record(sqlite3_stmt *q, struct record *ret, struct err *err)
{
    struct record r = { .has_layer = false };

    if (!col_digest(q, 0, &r.key.d))
        return err_set(err, ERR_NOT_FOUND, "no such record");
    r.has_layer = col_digest(q, 1, &r.layer.d);
    r.has_output = col_digest(q, 2, &r.output.d);
    col_digest(q, 3, &r.fields.d); /* else it stays zero */
    snprintf(r.step, sizeof(r.step), "%s", col_text(q, 4));
    r.cost_ms = col_int(q, 5);
    r.made_s = col_int(q, 6);
    r.used_s = col_int(q, 7);
    *ret = r;
    return 0;
}

struct find {
    const struct cache_key *key;
    struct record *ret;
};

static int find_record(struct db *ix, void *arg, struct err *err)
{
    struct find *f = arg;
    AUTO(query_end) sqlite3_stmt *q = query(ix, Q_RECORD_GET, err);

    if (q == NULL)
        return err->code;
    bind_digest(q, 1, &f->key->d);
    int r = query_step(ix, q, err);
    if (r < 0)
        return r;
    return r > 0 ? take_record(q, f->ret, err) : err_set(err, ERR_NOT_FOUND, "no such record");
}

int record_get(struct store *s, const struct cache_key *key, struct record *ret, struct err *err)
{
    struct find f = { .key = key, .ret = ret };

    return db_read(s->db, find_record, &f, err);
}

int record_put_row(struct db *ix, const struct record *r, struct err *err)
{
    int64_t tick, now = clock_wall_s();
    AUTO(query_end) sqlite3_stmt *q = query(ix, Q_RECORD_PUT, err);

    if (q == NULL || db_tick(ix, &tick, err) < 0)
        return err->code;
    bind_digest(q, 1, &r->key.d);
    bind_digest(q, 2, or_null(r->has_layer, &r->layer.d));
    bind_digest(q, 3, or_null(r->has_output, &r->output.d));
    bind_digest(q, 4, or_null(!digest_is_zero(&r->fields.d), &r->fields.d));
    bind_text(q, 5, r->step);
    bind_int(q, 6, r->cost_ms);
    bind_int(q, 7, r->made_s ? r->made_s : now);
    bind_int(q, 8, r->used_s ? r->used_s : now);
    bind_int(q, 9, tick);
    return query_run(ix, q, err);
}

static int put_record(struct db *ix, void *arg, struct err *err)
{
    return record_put_row(ix, arg, err);
}

int record_put(struct store *s, const struct record *r, struct err *err)
{
    struct record copy = *r;

    return db_write(s->db, store_is_durable(s), put_record, &copy, err);
}

struct touch {
    const struct cache_key *keys;
    size_t n;
};

static int touch_one(struct db *ix, const struct cache_key *key, int64_t now, int64_t tick,
                     struct err *err)
{
    static const enum query_id queries[] = { Q_RECORD_USE_LAYER, Q_RECORD_USE_TREE,
                                             Q_RECORD_USE_BLOBS };
    AUTO(query_end) sqlite3_stmt *q = query(ix, Q_RECORD_USE, err);

    if (q == NULL)
        return err->code;
    bind_digest(q, 1, &key->d);
    bind_int(q, 2, now);
    bind_int(q, 3, tick);
    if (query_run(ix, q, err) < 0)
        return err->code;
    for (size_t i = 0; i < ARRAY_LEN(queries); i++) {
        AUTO(query_end) sqlite3_stmt *use = query(ix, queries[i], err);
        if (use == NULL)
            return err->code;
        bind_digest(use, 1, &key->d);
        bind_int(use, 2, tick);
        if (query_run(ix, use, err) < 0)
            return err->code;
    }
    return 0;
}

static int touch_all(struct db *ix, void *arg, struct err *err)
{
    const struct touch *t = arg;
    int64_t tick, now = clock_wall_s();

    if (db_tick(ix, &tick, err) < 0)
        return err->code;
    for (size_t i = 0; i < t->n; i++)
        if (touch_one(ix, &t->keys[i], now, tick, err) < 0)
            return err->code;
    return 0;
}

/* Worth no fsync: who loses it only forgets that these were used. */
int record_touch(struct store *s, const struct cache_key *keys, size_t n, struct err *err)
{
    struct touch t = { .keys = keys, .n = n };

    return n == 0 ? 0 : db_write(s->db, false, touch_all, &t, err);
}

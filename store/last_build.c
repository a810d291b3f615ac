#include "store/last_build.h"
#include "store/store_internal.h"

#include "base/clock.h"

void last_build_release(struct last_build *b)
{
    mem_free(b->context);
    mem_free(b->name);
    mem_free(b->report);
    mem_free(b->good_report);
    *b = (struct last_build){ .context = NULL };
}

static int put_row(struct db *ix, void *arg, struct err *err)
{
    const struct last_build *b = arg;
    int64_t tick;
    AUTO(query_end) sqlite3_stmt *q = query(ix, Q_LAST_BUILD_PUT, err);

    if (q == NULL || db_tick(ix, &tick, err) < 0)
        return err->code;
    bind_digest(q, 1, &b->subject);
    bind_digest(q, 2, &b->kind);
    bind_text(q, 3, b->context);
    bind_text(q, 4, b->name);
    bind_text(q, 5, b->report);
    bind_text(q, 6, b->good_report);
    bind_digest(q, 7, b->has_image ? &b->image.d : NULL);
    bind_int(q, 8, b->built_s ? b->built_s : clock_wall_s());
    bind_int(q, 9, tick);
    if (query_run(ix, q, err) < 0)
        return err->code;
    AUTO(query_end) sqlite3_stmt *trim = query(ix, Q_LAST_BUILD_TRIM, err);
    if (trim == NULL)
        return err->code;
    bind_digest(trim, 1, &b->kind);
    return query_run(ix, trim, err);
}

int last_build_put(struct store *s, const struct last_build *b, struct err *err)
{
    struct last_build copy = *b;

    return db_write(s->db, false, put_row, &copy, err);
}

struct find_last {
    enum query_id which;
    const struct digest *digest; /* or */
    const char *text;            /* or neither */
    struct last_build *ret;
};

static char *text_of(sqlite3_stmt *q, int i)
{
    return sqlite3_column_type(q, i) == SQLITE_NULL ? NULL : str_dup(col_text(q, i));
}

static int take_row(sqlite3_stmt *q, struct last_build *ret, struct err *err)
{
    struct last_build b = { .built_s = col_int(q, 7) };

    if (!col_digest(q, 0, &b.subject))
        return err_set(err, ERR_NOT_FOUND, "no such build");
    col_digest(q, 1, &b.kind);
    b.context = text_of(q, 2);
    b.name = text_of(q, 3);
    b.report = text_of(q, 4);
    b.good_report = text_of(q, 5);
    b.has_image = col_digest(q, 6, &b.image.d);
    *ret = b;
    return 0;
}

static int find_row(struct db *ix, void *arg, struct err *err)
{
    struct find_last *f = arg;
    AUTO(query_end) sqlite3_stmt *q = query(ix, f->which, err);

    if (q == NULL)
        return err->code;
    if (f->digest != NULL)
        bind_digest(q, 1, f->digest);
    else if (f->text != NULL)
        bind_text(q, 1, f->text);
    int r = query_step(ix, q, err);
    if (r < 0)
        return r;
    return r > 0 ? take_row(q, f->ret, err) : err_set(err, ERR_NOT_FOUND, "no such build");
}

int last_build_get(struct store *s, const struct digest *subject, struct last_build *ret,
                   struct err *err)
{
    struct find_last f = { .which = Q_LAST_BUILD_GET, .digest = subject, .ret = ret };

    return db_read(s->db, find_row, &f, err);
}

int last_build_of_kind(struct store *s, const struct digest *kind, struct last_build *ret,
                       struct err *err)
{
    struct find_last f = { .which = Q_LAST_BUILD_OF_KIND, .digest = kind, .ret = ret };

    return db_read(s->db, find_row, &f, err);
}

int last_build_newest(struct store *s, const char *context, struct last_build *ret, struct err *err)
{
    enum query_id which = context ? Q_LAST_BUILD_OF_CONTEXT : Q_LAST_BUILD_NEWEST;
    struct find_last f = { .which = which, .text = context, .ret = ret };

    return db_read(s->db, find_row, &f, err);
}

int last_build_named(struct store *s, const char *name, struct last_build *ret, struct err *err)
{
    struct find_last f = { .which = Q_LAST_BUILD_NAMED, .text = name, .ret = ret };

    return db_read(s->db, find_row, &f, err);
}

/*
 * A store in a scratch directory, and raw tars written header by header, so
 * that what a test says is what is read.
 */
#ifndef SHALE_TESTS_STORE_SCRATCH_H
#define SHALE_TESTS_STORE_SCRATCH_H

#include "tests/unit/unit.h"

#include "base/stream.h"
#include "store/store.h"
#include <sqlite3.h>

struct scratch {
    char path[64];
    char root[80];
    int fd;
    struct store *store;
    struct err err;
};

static inline struct store *store_again(struct scratch *x)
{
    store_close(TAKE(x->store));
    err_clear(&x->err);
    x->store = store_open(x->root, &x->err);
    if (x->store == NULL)
        fail_msg("store_open: %s", x->err.msg);
    return x->store;
}

static inline int scratch_setup(void **state)
{
    struct scratch *x = mem_zalloc(sizeof(*x));

    x->fd = scratch_make(x->path);
    snprintf(x->root, sizeof(x->root), "%s/store", x->path);
    store_again(x);
    *state = x;
    return 0;
}

static inline int scratch_teardown(void **state)
{
    struct scratch *x = *state;

    store_close(x->store);
    scratch_remove(x->fd, x->path);
    mem_free(x);
    return 0;
}

/* A path below the store. */
static inline char *store_at(struct scratch *x, const char *path)
{
    return str_printf("%s/%s", x->root, path);
}

static inline char *blob_file(struct scratch *x, const struct digest *d)
{
    const char *hex = DIGEST_HEX(d);

    return str_printf("%s/blobs/sha256/%.2s/%s", x->root, hex, hex);
}

static inline void damage_file(const char *path, off_t at)
{
    char c = 0;
    int fd = open(path, O_RDWR | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &c, 1, at), 1);
    c ^= 0x55;
    assert_int_equal(pwrite(fd, &c, 1, at), 1);
    close(fd);
}

/* One number out of the database, by a connection of its own. */
static inline long long ask_db(struct scratch *x, const char *sql)
{
    AUTO(mem_free) char *path = store_at(x, "shale.db");
    sqlite3 *db = NULL;
    sqlite3_stmt *q = NULL;

    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &q, NULL), SQLITE_OK);
    long long v = sqlite3_step(q) == SQLITE_ROW ? sqlite3_column_int64(q, 0) : -1;
    sqlite3_finalize(q);
    sqlite3_close(db);
    return v;
}

static inline void exec_sql(struct scratch *x, const char *sql)
{
    AUTO(mem_free) char *path = store_at(x, "shale.db");
    sqlite3 *db = NULL;

    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

struct tar_member {
    const char *name;
    char type; /* '0' file, '1' hard link, '2' link, '3' char, '4' block, '5' directory, '6' FIFO */
    unsigned mode, uid, gid;
    const char *data; /* a string, or the target of a link */
    unsigned major, minor;
};

static inline void tar_pad(struct buf *b)
{
    static const char zeros[512];

    buf_add(b, zeros, (512 - b->len % 512) % 512);
}

static inline void tar_add(struct buf *b, const struct tar_member *m)
{
    char h[512] = { 0 };
    bool is_file = m->type == '0';
    size_t n = is_file && m->data ? strlen(m->data) : 0;
    unsigned sum = 0;

    snprintf(h, 100, "%s", m->name);
    snprintf(h + 100, 8, "%07o", m->mode);
    snprintf(h + 108, 8, "%07o", m->uid);
    snprintf(h + 116, 8, "%07o", m->gid);
    snprintf(h + 124, 12, "%011zo", n);
    snprintf(h + 136, 12, "%011o", 1000000000u);
    memset(h + 148, ' ', 8);
    h[156] = m->type;
    if (!is_file && m->data != NULL)
        snprintf(h + 157, 100, "%s", m->data);
    memcpy(h + 257, "ustar\00000", 8);
    snprintf(h + 329, 8, "%07o", m->major);
    snprintf(h + 337, 8, "%07o", m->minor);
    for (size_t i = 0; i < sizeof(h); i++)
        sum += (unsigned char)h[i];
    snprintf(h + 148, 8, "%06o", sum);
    buf_add(b, h, sizeof(h));
    buf_add(b, m->data ? m->data : "", n);
    tar_pad(b);
}

static inline void tar_end(struct buf *b)
{
    static const char zeros[1024];

    buf_add(b, zeros, sizeof(zeros));
}

static inline void tar_make(struct buf *b, const struct tar_member *members, size_t n)
{
    buf_clear(b);
    for (size_t i = 0; i < n; i++)
        tar_add(b, &members[i]);
    tar_end(b);
}

static inline void compress_buf(const struct buf *from, enum compression c, struct buf *to)
{
    struct err err = ERR_INIT;
    AUTO(sink_free) struct sink *s = sink_compress(sink_buf(to, SIZE_MAX), c, -1);

    assert_ok(sink_write(s, from->data, from->len, &err), &err);
    assert_ok(sink_finish(s, &err), &err);
}

static inline size_t count_fds(void)
{
    size_t n = 0;

    for (int fd = 0; fd < 1024; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

#endif

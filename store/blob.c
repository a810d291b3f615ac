#include "store/blob.h"
#include "store/blob_internal.h"

#include "base/fs.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BLOB_PATH_LEN (3 + DIGEST_HEX_LEN)

/* "ab/<hex>", below blobs/sha256. */
static void blob_path(const struct blob_id *id, char ret[BLOB_PATH_LEN + 1])
{
    char hex[DIGEST_HEX_LEN + 1];

    digest_hex(&id->d, hex);
    snprintf(ret, BLOB_PATH_LEN + 1, "%.2s/%s", hex, hex);
}

/* Rows. */

struct size_query {
    const struct blob_id *id;
    int64_t size; /* -1: there is no row */
};

static int find_size(struct db *ix, void *arg, struct err *err)
{
    struct size_query *sq = arg;
    AUTO(query_end) sqlite3_stmt *q = query(ix, Q_BLOB_GET, err);

    if (q == NULL)
        return err->code;
    bind_digest(q, 1, &sq->id->d);
    int r = query_step(ix, q, err);
    sq->size = r > 0 ? col_int(q, 0) : -1;
    return r;
}

static int drop_rows(struct db *ix, void *arg, struct err *err)
{
    static const enum query_id queries[] = { Q_BLOB_DROP, Q_BLOB_DROP_LAYERS, Q_STAMP_DROP };
    const struct blob_id *id = arg;

    for (size_t i = 0; i < ARRAY_LEN(queries); i++) {
        AUTO(query_end) sqlite3_stmt *q = query(ix, queries[i], err);
        if (q == NULL)
            return err->code;
        bind_digest(q, 1, &id->d);
        if (query_run(ix, q, err) < 0)
            return err->code;
    }
    return 0;
}

/*
 * Row first, then the file, and that only if it is still the one that was
 * found bad: somebody else may have put a good one there meanwhile.
 */
static void drop_blob(struct store *s, const struct blob_id *id, const struct stat *bad)
{
    struct err err = ERR_INIT;
    struct blob_id copy = *id;
    char path[BLOB_PATH_LEN + 1];
    struct stat st;

    if (db_write(s->db, false, drop_rows, &copy, &err) < 0)
        log_warn("store", "cannot forget blob %s: %s", DIGEST_S(&id->d), err.msg);
    blob_path(id, path);
    if (bad == NULL || fstatat(s->blobs, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return;
    if (st.st_ino == bad->st_ino && st.st_dev == bad->st_dev && unlinkat(s->blobs, path, 0) == 0)
        log_warn("store", "blob %s was damaged and is removed", DIGEST_S(&id->d));
}

static int is_gone(const struct blob_id *id, struct err *err)
{
    return err_set(err, ERR_NOT_FOUND, "blob '%s' is not in the store", DIGEST_S(&id->d));
}

/* The file's state agrees with the row's, where there is one. */
static int check_state(struct store *s, const struct blob_id *id, const struct stat *st,
                       struct err *err)
{
    struct size_query sq = { .id = id };

    if (db_read(s->db, find_size, &sq, err) < 0)
        return err->code;
    if (S_ISREG(st->st_mode) && (sq.size < 0 || sq.size == st->st_size))
        return 0;
    drop_blob(s, id, st);
    return is_gone(id, err);
}

static int is_missing(struct store *s, const struct blob_id *id, int sys, struct err *err)
{
    struct size_query sq = { .id = id };

    if (sys != ENOENT)
        return err_sys(err, sys, "cannot open blob '%s'", DIGEST_S(&id->d));
    if (db_read(s->db, find_size, &sq, err) < 0)
        return err->code;
    if (sq.size >= 0)
        drop_blob(s, id, NULL);
    return is_gone(id, err);
}

/* Reading. */

bool blob_has(struct store *s, const struct blob_id *id, uint64_t *ret_size)
{
    struct err ignored = ERR_INIT;
    char path[BLOB_PATH_LEN + 1];
    struct stat st;

    blob_path(id, path);
    if (fstatat(s->blobs, path, &st, AT_SYMLINK_NOFOLLOW) < 0) {
        is_missing(s, id, errno, &ignored);
        return false;
    }
    if (check_state(s, id, &st, &ignored) < 0)
        return false;
    if (ret_size != NULL)
        *ret_size = (uint64_t)st.st_size;
    return true;
}

bool blob_has_size(struct store *s, const struct blob_id *id, uint64_t size)
{
    char path[BLOB_PATH_LEN + 1];
    struct stat st;
    uint64_t other;

    blob_path(id, path);
    if (fstatat(s->blobs, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
        (uint64_t)st.st_size == size)
        return true;
    return blob_has(s, id, &other) && other == size; /* and drops what is not right */
}

static int open_blob(struct store *s, const struct blob_id *id, struct stat *ret_st,
                     struct err *err)
{
    char path[BLOB_PATH_LEN + 1];

    blob_path(id, path);
    AUTO(fd_close) int fd = openat(s->blobs, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return is_missing(s, id, errno, err);
    if (fstat(fd, ret_st) < 0)
        return err_sys(err, errno, "cannot open blob '%s'", DIGEST_S(&id->d));
    return check_state(s, id, ret_st, err) < 0 ? err->code : TAKE_FD(fd);
}

int blob_open(struct store *s, const struct blob_id *id, uint64_t *ret_size, struct err *err)
{
    struct stat st;
    int fd = open_blob(s, id, &st, err);

    if (fd >= 0 && ret_size != NULL)
        *ret_size = (uint64_t)st.st_size;
    return fd;
}

static int is_damaged(struct store *s, const struct blob_id *id, const struct stat *st,
                      struct err *err)
{
    drop_blob(s, id, st);
    return err_set(err, ERR_CORRUPT, "blob '%s' is damaged", DIGEST_S(&id->d));
}

int blob_read(struct store *s, const struct blob_id *id, size_t max, struct buf *ret,
              struct err *err)
{
    struct digest d;
    struct stat st;
    AUTO(fd_close) int fd = open_blob(s, id, &st, err);

    if (fd < 0)
        return fd;
    if ((uint64_t)st.st_size > max)
        return err_set(err, ERR_CORRUPT, "blob '%s' is larger than %zu bytes", DIGEST_S(&id->d),
                       max);
    if (fd_read_all(fd, max, ret, err) < 0)
        return err_wrap(err, "blob '%s'", DIGEST_S(&id->d));
    digest_of(buf_str(ret), ret->len, &d);
    if (digest_eq(&d, &id->d))
        return 0;
    buf_clear(ret);
    return is_damaged(s, id, &st, err);
}

struct blob_reader {
    struct source base;
    struct store *store;
    struct blob_id id;
    struct stat st;
    int fd;
    struct hasher *hasher; /* NULL: the end was reached and it was right */
};

static ssize_t blob_reader_read(struct source *s, void *p, size_t n, struct err *err)
{
    struct blob_reader *r = (struct blob_reader *)s;
    struct digest d;
    ssize_t got;

    do
        got = read(r->fd, p, n);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return err_sys(err, errno, "cannot read blob '%s'", DIGEST_S(&r->id.d));
    if (r->hasher == NULL)
        return got;
    if (got > 0) {
        hasher_add(r->hasher, p, (size_t)got);
        return got;
    }
    hasher_end(r->hasher, &d);
    if (!digest_eq(&d, &r->id.d))
        return is_damaged(r->store, &r->id, &r->st, err);
    hasher_free(TAKE(r->hasher));
    return 0;
}

static void blob_reader_free(struct source *s)
{
    struct blob_reader *r = (struct blob_reader *)s;

    hasher_free(r->hasher);
    fd_close(r->fd);
    mem_free(r);
}

struct source *blob_source(struct store *s, const struct blob_id *id, struct err *err)
{
    struct stat st;
    int fd = open_blob(s, id, &st, err);

    if (fd < 0)
        return NULL;
    struct blob_reader *r = mem_zalloc(sizeof(*r));
    *r = (struct blob_reader){ .base = { .read = blob_reader_read, .free = blob_reader_free },
                               .store = s,
                               .id = *id,
                               .st = st,
                               .fd = fd,
                               .hasher = hasher_new() };
    posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    return &r->base;
}

bool blob_is_sound(struct store *s, const struct blob_id *id)
{
    struct err err = ERR_INIT;
    AUTO(source_free) struct source *from = blob_source(s, id, &err);
    AUTO(sink_free) struct sink *nowhere = sink_null();

    return from != NULL && stream_copy(from, nowhere, NULL, &err) == 0;
}

/* Writing. */

struct blob_writer {
    struct store *store;
    struct pubfile *file;
    struct hasher *hasher;
    uint64_t size;
    struct err err; /* the first that went wrong */
};

void blob_writer_free(struct blob_writer *w)
{
    if (w == NULL)
        return;
    pubfile_free(w->file);
    hasher_free(w->hasher);
    mem_free(w);
}

struct blob_writer *blob_writer_open(struct store *s, struct err *err)
{
    AUTO(blob_writer_free) struct blob_writer *w = mem_zalloc(sizeof(*w));

    w->store = s;
    w->hasher = hasher_new();
    w->file = pubfile_open(s->blobs, 0600, err);
    if (w->file == NULL) {
        err_wrap(err, "cannot write the store '%s'", s->root);
        return NULL;
    }
    return TAKE(w);
}

int blob_writer_add(struct blob_writer *w, const void *p, size_t n, struct err *err)
{
    if (w->err.code != ERR_NONE)
        return err_copy(err, &w->err);
    if (fd_write_full(pubfile_fd(w->file), p, n, &w->err) < 0) {
        err_wrap(&w->err, "cannot write the store '%s'", w->store->root);
        return err_copy(err, &w->err);
    }
    hasher_add(w->hasher, p, n);
    w->size += n;
    return 0;
}

struct blob_sink {
    struct sink base;
    struct blob_writer *writer;
};

static int blob_sink_write(struct sink *s, const void *p, size_t n, struct err *err)
{
    return blob_writer_add(((struct blob_sink *)s)->writer, p, n, err);
}

static void blob_sink_free(struct sink *s)
{
    mem_free(s);
}

struct sink *blob_writer_sink(struct blob_writer *w)
{
    struct blob_sink *s = mem_zalloc(sizeof(*s));

    *s = (struct blob_sink){ .base = { .write = blob_sink_write, .free = blob_sink_free },
                             .writer = w };
    return &s->base;
}

/*
 * A power cut has left files of the right size that hold other bytes, for all that anybody knows:
 * somebody wrote without syncing. To read one again costs as much as to hash what was to be put.
 */
static bool may_be_damaged(struct store *s)
{
    return store_unsynced(s) != UNSYNCED_NEVER;
}

/*
 * A file that is there under the name wins, unless it cannot be right, or may not be since a power
 * cut. It may come from a build that does not sync.
 */
static int publish(struct blob_writer *w, const struct blob_id *id, struct err *err)
{
    struct store *s = w->store;
    bool durable = store_is_durable(s);
    char path[BLOB_PATH_LEN + 1], subdir[3];
    struct stat st;

    blob_path(id, path);
    AUTO(fd_close)
    int there = openat(s->blobs, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (there >= 0 && fstat(there, &st) == 0) {
        if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != w->size ||
            (may_be_damaged(s) && !blob_is_sound(s, id)))
            drop_blob(s, id, &st);
        else if (durable && fd_sync(there, err) < 0)
            return err->code;
    }
    snprintf(subdir, sizeof(subdir), "%.2s", path);
    return pubfile_publish(w->file, subdir, path + 3, durable, err);
}

/*
 * Whether a blob is here already, and as safely as publishing it would make it: a row is written
 * after the file is synced, by all but those who say that they sync nothing.
 */
static bool is_published(struct store *s, const struct blob_id *id, uint64_t size)
{
    struct size_query sq = { .id = id };
    struct err ignored = ERR_INIT;
    char path[BLOB_PATH_LEN + 1];
    struct stat st;

    blob_path(id, path);
    if (fstatat(s->blobs, path, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode) ||
        (uint64_t)st.st_size != size)
        return false;
    if (store_is_durable(s) && (db_read(s->db, find_size, &sq, &ignored) < 0 ||
                                sq.size != st.st_size || store_has_unsynced(s)))
        return false;
    return !may_be_damaged(s) || blob_is_sound(s, id);
}

int blob_writer_commit(struct blob_writer *w, const struct blob_id *want, struct blob_id *ret_id,
                       uint64_t *ret_size, struct err *err)
{
    struct blob_id id;

    if (w->err.code != ERR_NONE)
        return err_copy(err, &w->err);
    hasher_end(w->hasher, &id.d);
    if (want != NULL && !digest_eq(&want->d, &id.d))
        return err_set(err, ERR_CORRUPT, "the bytes of blob '%s' have the digest '%s'",
                       DIGEST_S(&want->d), DIGEST_S(&id.d));
    if (!is_published(w->store, &id, w->size) && publish(w, &id, err) < 0)
        return err_wrap(err, "cannot write the store '%s'", w->store->root);
    err_clear(err); /* a directory that was missing and is made now leaves its miss there */
    db_note_blob(w->store->db, &id, w->size);
    if (ret_id != NULL)
        *ret_id = id;
    if (ret_size != NULL)
        *ret_size = w->size;
    return 0;
}

int blob_put(struct store *s, const void *p, size_t n, struct blob_id *ret_id, struct err *err)
{
    struct blob_id id;

    digest_of(p, n, &id.d);
    if (is_published(s, &id, n)) {
        db_note_blob(s->db, &id, n);
        if (ret_id != NULL)
            *ret_id = id;
        return 0;
    }
    AUTO(blob_writer_free) struct blob_writer *w = blob_writer_open(s, err);
    if (w == NULL || blob_writer_add(w, p, n, err) < 0)
        return err->code;
    return blob_writer_commit(w, NULL, ret_id, NULL, err);
}

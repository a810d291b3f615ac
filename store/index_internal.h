/*
 * The index: shale.db, SQLite in WAL mode. One connection for all threads of
 * the process, behind a mutex; between processes every write transaction and
 * every checkpoint holds the lock of shale.db.lock, because SQLite before
 * 3.51.3 can lose a commit that meets a checkpoint (the "WAL-reset bug").
 *
 *     db_open -> db_read / db_write (with a function) -> db_free
 *
 * The function runs with the connection to itself and must not call back into
 * the index. It may run twice: when the database turns out to be damaged, it
 * is moved aside as shale.db.damaged-<time>, a new one begun, and the
 * function run again on that. Where another process has done so already, its
 * new one is used. Answers are lost by this, never made wrong.
 */
#ifndef SHALE_STORE_INDEX_INTERNAL_H
#define SHALE_STORE_INDEX_INTERNAL_H

#include "base/digest.h"
#include "base/err.h"
#include "base/own.h"
#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

/* Each is one row in index.c: the text of the statement is there. */
enum query_id {
    Q_BEGIN,
    Q_COMMIT,
    Q_ROLLBACK,
    Q_TICK,
    Q_BLOB_GET,
    Q_BLOB_PUT,
    Q_BLOB_DROP,
    Q_BLOB_DROP_LAYERS,
    Q_BLOB_USE,
    Q_LAYER_GET,
    Q_LAYER_PUT,
    Q_LAYER_LISTING,
    Q_STAMP_PUT,
    Q_STAMP_DROP,
    Q_LAYER_BLOBS,
    Q_LAYER_BLOB_PUT,
    Q_ORIGIN_PUT,
    Q_ORIGINS,
    Q_LAYER_CAME,
    Q_LAYER_BLOB_DROP,
    Q_LAYER_USE,
    Q_TREE_GET,
    Q_TREE_PUT,
    Q_TREE_DROP,
    Q_TREE_USE,
    Q_IMAGE_PUT,
    Q_IMAGE_GET,
    Q_IMAGES_LIKE,
    Q_IMAGES_UNNAMED,
    Q_TAG_PUT,
    Q_TAG_GET,
    Q_TAG_DROP,
    Q_TAG_LIST,
    Q_TAG_PLATFORM_PUT,
    Q_TAG_PLATFORMS,
    Q_REMOTE_PUT,
    Q_REMOTE_GET,
    Q_RECORD_GET,
    Q_RECORD_PUT,
    Q_RECORD_USE,
    Q_RECORD_USE_LAYER,
    Q_RECORD_USE_TREE,
    Q_RECORD_USE_BLOBS,
    Q_LAST_BUILD_PUT,
    Q_LAST_BUILD_TRIM,
    Q_LAST_BUILD_GET,
    Q_LAST_BUILD_OF_KIND,
    Q_LAST_BUILD_NEWEST,
    Q_LAST_BUILD_OF_CONTEXT,
    Q_LAST_BUILD_NAMED,
    Q_TRACE_PUT,
    Q_TRACE_TRIM_SETS,
    Q_TRACE_TRIM_ANSWERS,
    Q_TRACE_SETS,
    Q_TRACE_GET,
    Q_TRACE_OF_KEY,
    Q_TRACE_OF_REUSE,
    Q_TRACE_HIT,
    Q_TRACE_USE_BLOBS,
    Q_TRACE_DROP,
    Q_TRACE_REUSE_PUT,
    Q_TRACE_REUSE_DROP,
    Q_TRACE_REUSES_DROP,
    Q_TRACE_RECORDS_DROP,
    Q_TRACE_RUN_GET,
    Q_TRACE_RUN_PUT,
    Q_COUNTER_ADD,
    Q_COUNTER_LIST,
    Q_COUNT,
};

struct db;
void db_free(struct db *ix); /* writes what is pending; checkpoints when the log is long */
DEFINE_AUTO(struct db, db_free);
/* dirfd: the store's directory, root its absolute path. Makes the database when there is none. */
struct db *db_open(const char *root, int dirfd, const char *boot, struct err *err) OWNED(db_free);

typedef int (*db_fn)(struct db *ix, void *arg, struct err *err);
int db_read(struct db *ix, db_fn fn, void *arg, struct err *err);
/* fn in one transaction. sync: it is on the disk when this returns (else it may be lost by a power
 * cut). */
int db_write(struct db *ix, bool sync, db_fn fn, void *arg, struct err *err);
/* A row for a new blob, written with the next transaction: by itself it is worth no fsync. */
void db_note_blob(struct db *ix, const struct blob_id *id, uint64_t size);

/* Inside of an db_fn. A query is ended (reset, not freed) when it leaves its scope. */
void query_end(sqlite3_stmt *q);
DEFINE_AUTO(sqlite3_stmt, query_end);
sqlite3_stmt *query(struct db *ix, enum query_id which, struct err *err) OWNED(query_end);
void bind_digest(sqlite3_stmt *q, int i, const struct digest *d); /* NULL: a NULL */
void bind_int(sqlite3_stmt *q, int i, int64_t v);
void bind_text(sqlite3_stmt *q, int i, const char *s); /* NULL: a NULL; lives until query_end */
int query_step(struct db *ix, sqlite3_stmt *q, struct err *err); /* 1: a row, 0: no more */
int query_run(struct db *ix, sqlite3_stmt *q, struct err *err);  /* to the end; rows are ignored */
/* false: a NULL, or not 32 bytes. */
bool col_digest(sqlite3_stmt *q, int i, struct digest *ret);
int64_t col_int(sqlite3_stmt *q, int i);
const char *col_text(sqlite3_stmt *q, int i); /* "" for NULL; until the next step */
/* The counter that orders uses, raised once per transaction. A clock that jumps does not touch it.
 */
int db_tick(struct db *ix, int64_t *ret, struct err *err);

#endif

#include "store/index_internal.h"
#include "store/store_internal.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SCHEMA_VERSION 4
#define APPLICATION_ID 0x53484c45 /* "SHLE" */
#define BUSY_MS 10000
#define CHECKPOINT_PAGES 4000 /* of the log, after a commit */
/*
 * Of the log, at the end. Who opens the database alone reads the whole log first, some 5 us a page;
 * to write it back waits for the disk twice.
 */
#define CHECKPOINT_PAGES_CLOSE 300
#define PENDING_MAX 4096

/* Since version 2. */
#define LAST_BUILDS                                                                             \
    "CREATE TABLE last_builds(subject BLOB PRIMARY KEY, kind BLOB NOT NULL, context TEXT NOT "  \
    "NULL,"                                                                                     \
    " name TEXT, report TEXT NOT NULL, good_report TEXT, image BLOB, built_s INTEGER NOT NULL," \
    " seq INTEGER NOT NULL) STRICT, WITHOUT ROWID;"                                             \
    "CREATE INDEX last_builds_by_kind ON last_builds(kind, seq);"

/* Since version 3. traces.answer_each and layers: NULL when they were not kept. */
#define TRACES                                                                               \
    "CREATE TABLE traces(run BLOB NOT NULL, questions BLOB NOT NULL, answers BLOB NOT NULL," \
    " answer_each BLOB, key BLOB NOT NULL, layers BLOB, n_files INTEGER NOT NULL,"           \
    " n_read INTEGER NOT NULL, requests INTEGER NOT NULL, network INTEGER NOT NULL,"         \
    " made_s INTEGER NOT NULL, used_s INTEGER NOT NULL, hits INTEGER NOT NULL,"              \
    " used INTEGER NOT NULL, result BLOB NOT NULL,"                                          \
    " PRIMARY KEY (run, questions, answers)) STRICT, WITHOUT ROWID;"                         \
    "CREATE INDEX traces_by_key ON traces(key);"                                             \
    "CREATE TABLE trace_reuses(key BLOB PRIMARY KEY, run BLOB NOT NULL,"                     \
    " questions BLOB NOT NULL, answers BLOB NOT NULL) STRICT, WITHOUT ROWID;"                \
    "CREATE INDEX trace_reuses_by_run ON trace_reuses(run);"                                 \
    "CREATE TABLE trace_runs(run BLOB PRIMARY KEY, traced INTEGER NOT NULL,"                 \
    " wide INTEGER NOT NULL, untraced INTEGER NOT NULL, hits INTEGER NOT NULL,"              \
    " requests INTEGER NOT NULL, not_reproducible INTEGER NOT NULL) STRICT, WITHOUT ROWID;"  \
    "CREATE TABLE counters(name TEXT PRIMARY KEY, n INTEGER NOT NULL) STRICT, WITHOUT ROWID;"

/* Since version 4. */
#define ORIGINS                                                          \
    "CREATE TABLE origins(blob BLOB NOT NULL, repository TEXT NOT NULL," \
    " seen_s INTEGER NOT NULL, PRIMARY KEY (blob, repository)) STRICT, WITHOUT ROWID;"

#define LISTING_STAMPS                                                           \
    "CREATE TABLE listing_stamps(listing BLOB PRIMARY KEY, stamp TEXT NOT NULL)" \
    " STRICT, WITHOUT ROWID;"

/* Of version 3: before, all were of the machine's own root, form ''. */
#define TREES_NAMED(name)                                                           \
    "CREATE TABLE " name "(diff BLOB NOT NULL REFERENCES layers ON DELETE CASCADE," \
    " form TEXT NOT NULL, size INTEGER NOT NULL, boot TEXT NOT NULL,"               \
    " made_s INTEGER NOT NULL, used INTEGER NOT NULL,"                              \
    " PRIMARY KEY (diff, form)) STRICT, WITHOUT ROWID;"
#define TREES TREES_NAMED("trees")

/* Since version 4. A name that is put anew is a new row, and loses those that refer to it. */
#define TAG_PLATFORMS                                                                    \
    "CREATE TABLE tag_platforms(name TEXT NOT NULL REFERENCES tags ON DELETE CASCADE,"   \
    " platform TEXT NOT NULL, config BLOB NOT NULL REFERENCES images ON DELETE CASCADE," \
    " PRIMARY KEY (name, platform)) STRICT, WITHOUT ROWID;"                              \
    "CREATE INDEX tag_platforms_by_config ON tag_platforms(config);"

/*
 * Digests are BLOBs of 32 bytes. "used" orders by last use (db_tick); "_s" are seconds of the
 * wall clock, to be shown. layers.is_ours: the tar can be written again from the listing and a
 * tree. trees.boot is '' for a tree that is synced, else the boot in which its bytes may be
 * believed; trees.form says in which user namespace it was made. docs/store-layout.md has it in
 * words.
 */
static const char schema[] =
    "CREATE TABLE clock(one INTEGER PRIMARY KEY CHECK (one = 1), tick INTEGER NOT NULL) STRICT;"
    "INSERT INTO clock VALUES (1, 0);"
    "CREATE TABLE blobs(id BLOB PRIMARY KEY, size INTEGER NOT NULL, made_s INTEGER NOT NULL,"
    " used INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
    "CREATE TABLE layers(diff BLOB PRIMARY KEY, content BLOB NOT NULL, listing BLOB NOT NULL,"
    " listing_check INTEGER NOT NULL, tar_size INTEGER NOT NULL, is_ours INTEGER NOT NULL,"
    " made_s INTEGER NOT NULL, used INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
    "CREATE TABLE layer_blobs(diff BLOB NOT NULL REFERENCES layers ON DELETE CASCADE,"
    " compression TEXT NOT NULL, blob BLOB NOT NULL, size INTEGER NOT NULL,"
    " PRIMARY KEY (diff, compression, blob)) STRICT, WITHOUT ROWID;"
    "CREATE INDEX layer_blobs_by_blob ON layer_blobs(blob);"
    "CREATE TABLE images(config BLOB PRIMARY KEY, manifest BLOB, size INTEGER NOT NULL,"
    " made_s INTEGER NOT NULL, used INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
    "CREATE TABLE tags(name TEXT PRIMARY KEY,"
    " config BLOB NOT NULL REFERENCES images ON DELETE CASCADE,"
    " tagged_s INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
    "CREATE INDEX tags_by_config ON tags(config);"
    "CREATE TABLE remote_names(name TEXT NOT NULL, platform TEXT NOT NULL, manifest BLOB NOT "
    "NULL,"
    " config BLOB NOT NULL, seen_s INTEGER NOT NULL,"
    " PRIMARY KEY (name, platform)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE records(key BLOB PRIMARY KEY, layer BLOB, output BLOB, fields BLOB,"
    " step TEXT NOT NULL, cost_ms INTEGER NOT NULL,"
    " made_s INTEGER NOT NULL, used_s INTEGER NOT NULL, seq INTEGER NOT NULL,"
    " used INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
    "CREATE INDEX records_by_layer ON records(layer);" TREES LISTING_STAMPS LAST_BUILDS TRACES
        ORIGINS TAG_PLATFORMS;

/* What an index of version `from` lacks, in this order; `schema` has all of it. */
static const struct {
    int from;
    const char *sql;
} migrations[] = {
    { 1, "DROP INDEX records_by_subject; ALTER TABLE records DROP COLUMN subject;" },
    { 1, LISTING_STAMPS },
    { 1, LAST_BUILDS },
    { 2, TRACES },
    { 2, TREES_NAMED("trees_3") "INSERT INTO trees_3 SELECT diff, '', size, boot, made_s, used"
                                " FROM trees; DROP TABLE trees;"
                                "ALTER TABLE trees_3 RENAME TO trees;" },
    { 3, ORIGINS },
    { 3, TAG_PLATFORMS },
};

#define LAST_BUILD \
    "SELECT subject, kind, context, name, report, good_report, image, built_s FROM last_builds"

#define TRACE                                                                              \
    "SELECT run, questions, answers, answer_each, key, layers, n_files, n_read, requests," \
    " network, made_s, used_s, hits, result"
#define IN_RUN " FROM traces WHERE run = ?1"

static const char *const texts[Q_COUNT] = {
    [Q_BEGIN] = "BEGIN IMMEDIATE",
    [Q_COMMIT] = "COMMIT",
    [Q_ROLLBACK] = "ROLLBACK",
    [Q_TICK] = "UPDATE clock SET tick = tick + 1 RETURNING tick",
    [Q_BLOB_GET] = "SELECT size FROM blobs WHERE id = ?1",
    [Q_BLOB_PUT] = "INSERT INTO blobs VALUES (?1, ?2, ?3, ?4)"
                   " ON CONFLICT DO UPDATE SET size = excluded.size, used = excluded.used",
    [Q_BLOB_DROP] = "DELETE FROM blobs WHERE id = ?1",
    [Q_BLOB_DROP_LAYERS] = "DELETE FROM layer_blobs WHERE blob = ?1",
    [Q_BLOB_USE] = "UPDATE blobs SET used = ?2 WHERE id = ?1",
    [Q_LAYER_GET] = "SELECT content, listing, listing_check, tar_size, stamp FROM layers"
                    " LEFT JOIN listing_stamps USING (listing) WHERE diff = ?1",
    [Q_LAYER_PUT] = "INSERT INTO layers VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"
                    " ON CONFLICT DO UPDATE SET content = excluded.content,"
                    " listing = excluded.listing, listing_check = excluded.listing_check,"
                    " tar_size = excluded.tar_size, is_ours = excluded.is_ours,"
                    " used = excluded.used WHERE excluded.is_ours >= is_ours",
    [Q_LAYER_LISTING] = "UPDATE layers SET content = ?2, listing = ?3, listing_check = ?4,"
                        " is_ours = 0 WHERE diff = ?1",
    [Q_STAMP_PUT] = "INSERT OR REPLACE INTO listing_stamps VALUES (?1, ?2)",
    [Q_STAMP_DROP] = "DELETE FROM listing_stamps WHERE listing = ?1",
    [Q_LAYER_BLOBS] = "SELECT compression, blob, size FROM layer_blobs WHERE diff = ?1",
    [Q_ORIGIN_PUT] = "INSERT INTO origins VALUES (?1, ?2, ?3)"
                     " ON CONFLICT DO UPDATE SET seen_s = excluded.seen_s",
    [Q_LAYER_CAME] = "SELECT compression, blob, size FROM layer_blobs JOIN layers USING (diff)"
                     " WHERE diff = ?1 AND NOT is_ours AND EXISTS"
                     " (SELECT 1 FROM origins WHERE origins.blob = layer_blobs.blob)"
                     " ORDER BY compression = ?2 DESC, compression, blob",
    [Q_ORIGINS] = "SELECT repository FROM origins WHERE blob = ?1 ORDER BY seen_s DESC, repository",
    [Q_LAYER_BLOB_PUT] = "INSERT OR IGNORE INTO layer_blobs VALUES (?1, ?2, ?3, ?4)",
    [Q_LAYER_BLOB_DROP] = "DELETE FROM layer_blobs WHERE diff = ?1 AND blob = ?2",
    [Q_LAYER_USE] = "UPDATE layers SET used = ?2 WHERE diff = ?1",
    [Q_TREE_GET] = "SELECT boot, is_ours FROM trees JOIN layers USING (diff)"
                   " WHERE diff = ?1 AND form = ?2",
    [Q_TREE_PUT] = "INSERT OR REPLACE INTO trees(diff, size, boot, made_s, used, form)"
                   " VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    [Q_TREE_DROP] = "DELETE FROM trees WHERE diff = ?1 AND form = ?2",
    [Q_TREE_USE] = "UPDATE trees SET used = ?2 WHERE diff = ?1",
    [Q_IMAGE_PUT] = "INSERT INTO images VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO UPDATE SET"
                    " manifest = coalesce(excluded.manifest, manifest), size = excluded.size,"
                    " used = excluded.used",
    [Q_IMAGE_GET] = "SELECT NULL, config, manifest, made_s, size FROM images WHERE config = ?1",
    [Q_IMAGES_LIKE] = "SELECT NULL, config, manifest, made_s, size FROM images"
                      " WHERE config BETWEEN ?1 AND ?2 LIMIT 2",
    [Q_IMAGES_UNNAMED] = "SELECT NULL, config, manifest, made_s, size FROM images"
                         " WHERE config NOT IN (SELECT config FROM tags)"
                         " AND config NOT IN (SELECT config FROM tag_platforms)"
                         " ORDER BY made_s DESC, config",
    [Q_TAG_PUT] = "INSERT OR REPLACE INTO tags VALUES (?1, ?2, ?3)",
    [Q_TAG_GET] = "SELECT name, config, manifest, tagged_s, size FROM tags JOIN images"
                  " USING (config) WHERE name = ?1",
    [Q_TAG_DROP] = "DELETE FROM tags WHERE name = ?1 RETURNING name",
    [Q_TAG_LIST] = "SELECT name, config, manifest, tagged_s, size FROM tags JOIN images"
                   " USING (config) ORDER BY name",
    [Q_TAG_PLATFORM_PUT] = "INSERT OR REPLACE INTO tag_platforms VALUES (?1, ?2, ?3)",
    [Q_TAG_PLATFORMS] = "SELECT platform, config FROM tag_platforms WHERE name = ?1"
                        " ORDER BY platform",
    [Q_REMOTE_PUT] = "INSERT OR REPLACE INTO remote_names VALUES (?1, ?2, ?3, ?4, ?5)",
    [Q_REMOTE_GET] = "SELECT name, config, manifest, seen_s, 0 FROM remote_names"
                     " WHERE name = ?1 AND platform = ?2",
    [Q_RECORD_GET] = "SELECT key, layer, output, fields, step, cost_ms, made_s, used_s"
                     " FROM records WHERE key = ?1",
    [Q_RECORD_PUT] = "INSERT OR REPLACE INTO records VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9,"
                     " ?9)",
    [Q_RECORD_USE] = "UPDATE records SET used_s = ?2, used = ?3 WHERE key = ?1",
    [Q_RECORD_USE_LAYER] = "UPDATE layers SET used = ?2"
                           " WHERE diff = (SELECT layer FROM records WHERE key = ?1)",
    [Q_RECORD_USE_TREE] = "UPDATE trees SET used = ?2"
                          " WHERE diff = (SELECT layer FROM records WHERE key = ?1)",
    [Q_RECORD_USE_BLOBS] =
        "UPDATE blobs SET used = ?2 WHERE id IN ("
        " SELECT blob FROM layer_blobs WHERE diff = (SELECT layer FROM records WHERE key = ?1)"
        " UNION SELECT listing FROM layers WHERE diff ="
        "  (SELECT layer FROM records WHERE key = ?1)"
        " UNION SELECT output FROM records WHERE key = ?1"
        " UNION SELECT fields FROM records WHERE key = ?1)",
    [Q_LAST_BUILD_PUT] = "INSERT OR REPLACE INTO last_builds VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7,"
                         " ?8, ?9)",
    /* names with a commit in them make a new row each time */
    [Q_LAST_BUILD_TRIM] = "DELETE FROM last_builds WHERE kind = ?1 AND seq < (SELECT seq FROM"
                          " last_builds WHERE kind = ?1 ORDER BY seq DESC LIMIT 1 OFFSET 7)",
    [Q_LAST_BUILD_OF_KIND] = LAST_BUILD " WHERE kind = ?1 ORDER BY seq DESC LIMIT 1",
    [Q_LAST_BUILD_GET] = LAST_BUILD " WHERE subject = ?1",
    [Q_LAST_BUILD_NEWEST] = LAST_BUILD " ORDER BY seq DESC LIMIT 1",
    [Q_LAST_BUILD_OF_CONTEXT] = LAST_BUILD " WHERE context = ?1 ORDER BY seq DESC LIMIT 1",
    [Q_LAST_BUILD_NAMED] = LAST_BUILD " WHERE name = ?1 AND image IS NOT NULL"
                                      " ORDER BY seq DESC LIMIT 1",
    [Q_TRACE_PUT] = "INSERT OR REPLACE INTO traces VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9,"
                    " ?10, ?11, ?12, ?13, ?14, ?15)",
    [Q_TRACE_TRIM_SETS] = "DELETE" IN_RUN " AND questions NOT IN (SELECT questions" IN_RUN
                          " GROUP BY questions ORDER BY max(used) DESC LIMIT ?2)",
    [Q_TRACE_TRIM_ANSWERS] = "DELETE" IN_RUN " AND questions = ?2 AND answers NOT IN"
                             " (SELECT answers" IN_RUN " AND questions = ?2"
                             " ORDER BY used DESC LIMIT ?3)",
    /* the other columns are those of the row with the maximum */
    [Q_TRACE_SETS] = TRACE ", max(used)" IN_RUN " GROUP BY questions ORDER BY max(used) DESC",
    [Q_TRACE_GET] = TRACE IN_RUN " AND questions = ?2 AND answers = ?3",
    [Q_TRACE_OF_KEY] = TRACE " FROM traces WHERE key = ?1 ORDER BY used DESC LIMIT 1",
    [Q_TRACE_OF_REUSE] = TRACE " FROM traces WHERE (run, questions, answers) ="
                               " (SELECT run, questions, answers FROM trace_reuses WHERE key = ?1)",
    [Q_TRACE_HIT] = "UPDATE traces SET hits = hits + 1, used_s = ?4, used = ?5"
                    " WHERE run = ?1 AND questions = ?2 AND answers = ?3 RETURNING hits",
    [Q_TRACE_USE_BLOBS] = "UPDATE blobs SET used = ?4 WHERE id IN (?1, ?2, ?3)",
    [Q_TRACE_DROP] = "DELETE" IN_RUN,
    [Q_TRACE_REUSE_PUT] = "INSERT OR REPLACE INTO trace_reuses VALUES (?1, ?2, ?3, ?4)",
    [Q_TRACE_REUSE_DROP] = "DELETE FROM trace_reuses WHERE key = ?1",
    [Q_TRACE_REUSES_DROP] = "DELETE FROM trace_reuses WHERE run = ?1",
    [Q_TRACE_RECORDS_DROP] = "DELETE FROM records WHERE key IN"
                             " (SELECT key FROM trace_reuses WHERE run = ?1) RETURNING key",
    [Q_TRACE_RUN_GET] = "SELECT traced, wide, untraced, hits, requests, not_reproducible"
                        " FROM trace_runs WHERE run = ?1",
    [Q_TRACE_RUN_PUT] = "INSERT OR REPLACE INTO trace_runs VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    [Q_COUNTER_ADD] = "INSERT INTO counters VALUES (?1, ?2) ON CONFLICT DO UPDATE SET n ="
                      " iif(n > 9223372036854775807 - excluded.n, 9223372036854775807,"
                      " n + excluded.n)",
    [Q_COUNTER_LIST] = "SELECT name, n FROM counters ORDER BY name",
};

struct pending {
    struct blob_id id;
    uint64_t size;
};

struct db {
    char *path;
    char *root;
    int dirfd;        /* borrowed */
    const char *boot; /* borrowed */
    int lock_fd;
    pthread_mutex_t mutex; /* over all that follows */
    sqlite3 *db;           /* NULL: could not be opened again */
    sqlite3_stmt *stmts[Q_COUNT];
    bool damaged;  /* SQLite said so since it was opened */
    int sync;      /* what PRAGMA synchronous is: 1 normal, 2 full */
    int log_pages; /* of the write-ahead log, at our last commit */
    int64_t tick;  /* of this transaction, 0: not asked for */
    struct pending *pending;
    size_t n_pending, cap_pending;
};

static int failed(struct db *ix, int rc, const char *what, struct err *err)
{
    int primary = rc & 0xff, sys = ix->db ? sqlite3_system_errno(ix->db) : 0;

    if (primary == SQLITE_CORRUPT || primary == SQLITE_NOTADB) {
        ix->damaged = true;
        return err_set(err, ERR_CORRUPT, "%s '%s': it is damaged (%s)", what, ix->path,
                       sqlite3_errstr(rc));
    }
    if (primary == SQLITE_FULL)
        sys = ENOSPC;
    if (sys != 0) {
        err_sys(err, sys, "%s '%s'", what, ix->path);
        return err->code = ERR_IO;
    }
    return err_set(err, ERR_IO, "%s '%s': %s", what, ix->path,
                   ix->db ? sqlite3_errmsg(ix->db) : sqlite3_errstr(rc));
}

/* Queries. */

void query_end(sqlite3_stmt *q)
{
    if (q == NULL)
        return;
    sqlite3_reset(q);
    sqlite3_clear_bindings(q);
}

sqlite3_stmt *query(struct db *ix, enum query_id which, struct err *err)
{
    if (ix->stmts[which] != NULL)
        return ix->stmts[which];
    int rc = sqlite3_prepare_v3(ix->db, texts[which], -1, SQLITE_PREPARE_PERSISTENT,
                                &ix->stmts[which], NULL);
    if (rc == SQLITE_OK)
        return ix->stmts[which];
    failed(ix, rc, "cannot use the index", err);
    if ((rc & 0xff) == SQLITE_ERROR) { /* our statements fit our tables: these are not ours */
        ix->damaged = true;
        err->code = ERR_CORRUPT;
    }
    return NULL;
}

void bind_digest(sqlite3_stmt *q, int i, const struct digest *d)
{
    if (d != NULL)
        sqlite3_bind_blob(q, i, d->b, DIGEST_LEN, SQLITE_TRANSIENT);
}

void bind_int(sqlite3_stmt *q, int i, int64_t v)
{
    sqlite3_bind_int64(q, i, v);
}

void bind_text(sqlite3_stmt *q, int i, const char *s)
{
    if (s != NULL)
        sqlite3_bind_text(q, i, s, -1, SQLITE_STATIC);
}

int query_step(struct db *ix, sqlite3_stmt *q, struct err *err)
{
    int rc = sqlite3_step(q);

    if (rc == SQLITE_ROW)
        return 1;
    if (rc == SQLITE_DONE)
        return 0;
    return failed(ix, rc, "cannot use the index", err);
}

int query_run(struct db *ix, sqlite3_stmt *q, struct err *err)
{
    int r;

    do
        r = query_step(ix, q, err);
    while (r > 0);
    return r;
}

bool col_digest(sqlite3_stmt *q, int i, struct digest *ret)
{
    const void *p = sqlite3_column_blob(q, i);

    if (p == NULL || sqlite3_column_bytes(q, i) != DIGEST_LEN)
        return false;
    memcpy(ret->b, p, DIGEST_LEN);
    return true;
}

int64_t col_int(sqlite3_stmt *q, int i)
{
    return sqlite3_column_int64(q, i);
}

const char *col_text(sqlite3_stmt *q, int i)
{
    const unsigned char *s = sqlite3_column_text(q, i);

    return s ? (const char *)s : "";
}

static int run(struct db *ix, enum query_id which, struct err *err)
{
    AUTO(query_end) sqlite3_stmt *q = query(ix, which, err);

    return q ? query_run(ix, q, err) : err->code;
}

int db_tick(struct db *ix, int64_t *ret, struct err *err)
{
    if (ix->tick == 0) {
        AUTO(query_end) sqlite3_stmt *q = query(ix, Q_TICK, err);
        if (q == NULL)
            return err->code;
        int r = query_step(ix, q, err);
        if (r < 0)
            return r;
        if (r == 0) {
            ix->damaged = true;
            return err_set(err, ERR_CORRUPT, "the index '%s' has lost its counter", ix->path);
        }
        ix->tick = col_int(q, 0);
        if (query_run(ix, q, err) < 0)
            return err->code;
    }
    *ret = ix->tick;
    return 0;
}

/* Opening. */

static int exec(struct db *ix, const char *sql, struct err *err)
{
    int rc = sqlite3_exec(ix->db, sql, NULL, NULL, NULL);

    return rc == SQLITE_OK ? 0 : failed(ix, rc, "cannot open the index", err);
}

static int take_number(void *arg, int n, char **values, char **names UNUSED)
{
    if (n > 0 && values[0] != NULL)
        *(long long *)arg = strtoll(values[0], NULL, 10);
    return 0;
}

static int ask_number(struct db *ix, const char *sql, long long *ret, struct err *err)
{
    int rc = sqlite3_exec(ix->db, sql, take_number, ret, NULL);

    return rc == SQLITE_OK ? 0 : failed(ix, rc, "cannot open the index", err);
}

static void close_db(struct db *ix)
{
    for (int i = 0; i < Q_COUNT; i++)
        sqlite3_finalize(TAKE(ix->stmts[i]));
    sqlite3_close(TAKE(ix->db));
    ix->damaged = false;
    ix->log_pages = 0;
    ix->sync = 0;
}

/* Only called by commits, with the mutex held. */
static int log_hook(void *arg, sqlite3 *db UNUSED, const char *name UNUSED, int pages)
{
    ((struct db *)arg)->log_pages = pages;
    return SQLITE_OK;
}

static int configure(struct db *ix, struct err *err)
{
    sqlite3_busy_timeout(ix->db, BUSY_MS);
    sqlite3_db_config(ix->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    sqlite3_db_config(ix->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(ix->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_db_config(ix->db, SQLITE_DBCONFIG_ENABLE_FKEY, 1, NULL);
    sqlite3_wal_hook(ix->db, log_hook, ix); /* in place of SQLite's own, that checkpoints */
    return exec(ix, "PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0; PRAGMA temp_store = MEMORY",
                err);
}

/*
 * The file gets its mode here; SQLite gives its log the same. Only a new file
 * is opened, for to close one that a connection of this process has open
 * would drop that one's locks.
 */
static int make_file(struct db *ix, struct err *err)
{
    AUTO(fd_close)
    int fd =
        openat(ix->dirfd, "shale.db", O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd < 0)
        return errno == EEXIST ? 0 : err_sys(err, errno, "cannot make the index '%s'", ix->path);
    if (fchmod(fd, 0600) < 0 || fsync(ix->dirfd) < 0)
        return err_sys(err, errno, "cannot make the index '%s'", ix->path);
    return 0;
}

static int read_version(struct db *ix, long long *ret_version, long long *ret_app, struct err *err)
{
    if (ask_number(ix, "PRAGMA user_version", ret_version, err) < 0)
        return err->code;
    return ask_number(ix, "PRAGMA application_id", ret_app, err);
}

static bool is_older(long long version, long long app)
{
    return app == APPLICATION_ID && version > 0 && version < SCHEMA_VERSION;
}

/* Who wrote version 1 did not say so when he synced nothing. */
static int migrate(struct db *ix, long long version, struct err *err)
{
    if (version == 1 && store_say_unsynced(ix->dirfd, ix->boot, err) < 0)
        return err->code;
    for (size_t i = 0; i < ARRAY_LEN(migrations); i++)
        if (migrations[i].from >= version && exec(ix, migrations[i].sql, err) < 0)
            return err->code;
    return 0;
}

/* With the lock: nobody else makes tables at the same time. */
static int make_tables(struct db *ix, struct err *err)
{
    long long version = 0, app = 0, tables = 0;
    char end[100];

    if (exec(ix, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; BEGIN IMMEDIATE", err) <
            0 ||
        read_version(ix, &version, &app, err) < 0 ||
        ask_number(ix, "SELECT count(*) FROM sqlite_schema", &tables, err) < 0)
        return err->code;
    if (version == SCHEMA_VERSION)
        return exec(ix, "ROLLBACK", err);
    if (tables != 0 && !is_older(version, app)) {
        ix->damaged = true;
        return err_set(err, ERR_CORRUPT, "the index '%s' is another program's database", ix->path);
    }
    snprintf(end, sizeof(end), "PRAGMA user_version = %d; PRAGMA application_id = %d; COMMIT",
             SCHEMA_VERSION, APPLICATION_ID);
    int r = tables == 0 ? exec(ix, schema, err) : migrate(ix, version, err);
    return r < 0 ? r : exec(ix, end, err);
}

static int check_version(struct db *ix, struct err *err)
{
    long long version = 0, app = 0;

    if (read_version(ix, &version, &app, err) < 0)
        return err->code;
    if (app == APPLICATION_ID && version == SCHEMA_VERSION)
        return 0;
    if (app == APPLICATION_ID && version > SCHEMA_VERSION)
        return err_set(err, ERR_UNSUPPORTED,
                       "the store '%s' was written by a newer shale (its index has version %lld, "
                       "this shale knows %d): use that shale, or another SHALE_ROOT",
                       ix->root, version, SCHEMA_VERSION);
    if ((app == 0 && version == 0) || is_older(version, app))
        return 1;
    ix->damaged = true;
    return err_set(err, ERR_CORRUPT, "the index '%s' is another program's database", ix->path);
}

static int connect_db(struct db *ix, struct err *err)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW |
                SQLITE_OPEN_EXRESCODE | SQLITE_OPEN_PRIVATECACHE;

    if (make_file(ix, err) < 0)
        return err->code;
    int rc = sqlite3_open_v2(ix->path, &ix->db, flags, NULL);
    if (rc != SQLITE_OK)
        return failed(ix, rc, "cannot open the index", err);
    return configure(ix, err);
}

static int lock_db(struct db *ix, struct err *err)
{
    if (lock_byte(ix->lock_fd, 0, err) < 0)
        return err_wrap(err, "cannot lock the index '%s'", ix->path);
    return 0;
}

static void unlock_db(struct db *ix)
{
    struct err ignored = ERR_INIT;

    unlock_byte(ix->lock_fd, 0, &ignored); /* cannot fail on an fd that was locked */
}

static int open_db(struct db *ix, bool is_locked, struct err *err)
{
    if (connect_db(ix, err) < 0)
        return err->code;
    int r = check_version(ix, err);
    if (r <= 0)
        return r;
    if (!is_locked && lock_db(ix, err) < 0)
        return err->code;
    r = make_tables(ix, err);
    if (!is_locked)
        unlock_db(ix);
    return r;
}

/* Damage. */

/*
 * The log first: a database that is left without it by a crash here is
 * still damaged and comes here again; a log left behind would be taken for the
 * new database's. Readers of the old files keep them by their fds.
 */
static int move_aside(struct db *ix, struct err *err)
{
    static const char *const suffixes[] = { "-wal", "-shm", "" };
    time_t now = (time_t)clock_wall_s();
    struct tm tm;
    char stamp[32];

    strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%SZ", gmtime_r(&now, &tm));
    for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
        AUTO(mem_free) char *from = str_printf("shale.db%s", suffixes[i]);
        AUTO(mem_free)
        char *to = str_printf("shale.db.damaged-%s-%d%s", stamp, (int)getpid(), suffixes[i]);
        if (renameat(ix->dirfd, from, ix->dirfd, to) < 0 && errno != ENOENT)
            return err_sys(err, errno, "cannot move the damaged index '%s' aside", ix->path);
    }
    fsync(ix->dirfd); /* best effort: what is lost by a power cut is damaged and moved again */
    log_warn(
        "store",
        "the index '%s' was damaged and is kept as shale.db.damaged-%s-%d: a new one is begun; "
        "names of images and answers of earlier builds are lost",
        ix->path, stamp, (int)getpid());
    return 0;
}

/* Whether it really is: somebody else may have replaced it already. */
static bool is_sound(struct db *ix)
{
    struct err err = ERR_INIT;
    long long bad = 1;

    if (open_db(ix, true, &err) < 0)
        return !ix->damaged;
    sqlite3_stmt *q = NULL;
    if (sqlite3_prepare_v2(ix->db, "PRAGMA integrity_check(1)", -1, &q, NULL) == SQLITE_OK &&
        sqlite3_step(q) == SQLITE_ROW)
        bad = strcmp(col_text(q, 0), "ok") != 0;
    sqlite3_finalize(q);
    for (int i = 0; !bad && i < Q_COUNT; i++) /* the tables are the ones that we know */
        bad = query(ix, (enum query_id)i, &err) == NULL;
    return !bad;
}

static int recover_locked(struct db *ix, struct err *err)
{
    close_db(ix);
    if (!is_sound(ix)) {
        close_db(ix);
        if (move_aside(ix, err) < 0)
            return err->code;
    }
    close_db(ix);
    return open_db(ix, true, err);
}

static int recover(struct db *ix, struct err *err)
{
    if (lock_db(ix, err) < 0)
        return err->code;
    int r = recover_locked(ix, err);
    unlock_db(ix);
    if (r < 0)
        close_db(ix);
    return r;
}

struct db *db_open(const char *root, int dirfd, const char *boot, struct err *err)
{
    AUTO(db_free) struct db *ix = mem_zalloc(sizeof(*ix));

    ix->root = str_dup(root);
    ix->path = str_printf("%s/shale.db", root);
    ix->dirfd = dirfd;
    ix->boot = boot;
    pthread_mutex_init(&ix->mutex, NULL);
    ix->lock_fd = openat(dirfd, "shale.db.lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (ix->lock_fd < 0) {
        err_sys(err, errno, "cannot open '%s.lock'", ix->path);
        return NULL;
    }
    int r = open_db(ix, false, err);
    if (r < 0 && ix->damaged) {
        err_clear(err);
        r = recover(ix, err);
    }
    return r < 0 ? NULL : TAKE(ix);
}

/* Transactions. */

static int set_sync(struct db *ix, bool sync, struct err *err)
{
    int want = sync ? 2 : 1;

    if (ix->sync == want)
        return 0;
    if (exec(ix, sync ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL", err) < 0)
        return err->code;
    ix->sync = want;
    return 0;
}

static int put_pending(struct db *ix, struct err *err)
{
    int64_t tick, now = clock_wall_s();

    for (size_t i = 0; i < ix->n_pending; i++) {
        AUTO(query_end) sqlite3_stmt *q = query(ix, Q_BLOB_PUT, err);
        if (q == NULL || db_tick(ix, &tick, err) < 0)
            return err->code;
        bind_digest(q, 1, &ix->pending[i].id.d);
        bind_int(q, 2, (int64_t)ix->pending[i].size);
        bind_int(q, 3, now);
        bind_int(q, 4, tick);
        if (query_run(ix, q, err) < 0)
            return err->code;
    }
    return 0;
}

static int transact(struct db *ix, db_fn fn, void *arg, struct err *err)
{
    struct err ignored = ERR_INIT;

    ix->tick = 0;
    if (run(ix, Q_BEGIN, err) < 0)
        return err->code;
    int r = put_pending(ix, err);
    if (r == 0 && fn != NULL)
        r = fn(ix, arg, err);
    if (r >= 0 && run(ix, Q_COMMIT, err) < 0)
        r = err->code;
    if (r >= 0)
        ix->n_pending = 0;
    else if (!sqlite3_get_autocommit(ix->db))
        run(ix, Q_ROLLBACK, &ignored); /* r is what went wrong */
    return r;
}

/* With the lock. What cannot be written back now is written back another time. */
static void checkpoint(struct db *ix, int mode)
{
    int rc = sqlite3_wal_checkpoint_v2(ix->db, NULL, mode, NULL, NULL);

    if (rc != SQLITE_OK)
        log_debug("store", "checkpoint of '%s': %s", ix->path, sqlite3_errstr(rc));
}

/* Another process found it damaged and began a new one: what goes into this one is lost. */
static bool has_moved(struct db *ix)
{
    int moved = 0;

    return sqlite3_file_control(ix->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved) == SQLITE_OK &&
           moved != 0;
}

static int check_place(struct db *ix, struct err *err)
{
    if (!has_moved(ix))
        return 0;
    ix->damaged = true; /* recover opens what is there now */
    return err_set(err, ERR_CORRUPT, "the index '%s' is another one now", ix->path);
}

static int write_once(struct db *ix, bool sync, db_fn fn, void *arg, struct err *err)
{
    if (lock_db(ix, err) < 0)
        return err->code;
    int r = check_place(ix, err); /* with the lock it cannot move any more */
    if (r == 0)
        r = set_sync(ix, sync, err);
    if (r == 0)
        r = transact(ix, fn, arg, err);
    if (r >= 0 && ix->log_pages > CHECKPOINT_PAGES)
        checkpoint(ix, SQLITE_CHECKPOINT_PASSIVE);
    unlock_db(ix);
    return r;
}

static int must_be_open(struct db *ix, struct err *err)
{
    return ix->db || recover(ix, err) == 0 ? 0 : err->code;
}

static int write_held(struct db *ix, bool sync, db_fn fn, void *arg, struct err *err)
{
    if (must_be_open(ix, err) < 0)
        return err->code;
    int r = write_once(ix, sync, fn, arg, err);
    if (r >= 0 || !ix->damaged)
        return r;
    err_clear(err);
    return recover(ix, err) < 0 ? err->code : write_once(ix, sync, fn, arg, err);
}

int db_write(struct db *ix, bool sync, db_fn fn, void *arg, struct err *err)
{
    pthread_mutex_lock(&ix->mutex);
    int r = write_held(ix, sync, fn, arg, err);
    pthread_mutex_unlock(&ix->mutex);
    return r;
}

static int read_held(struct db *ix, db_fn fn, void *arg, struct err *err)
{
    if (must_be_open(ix, err) < 0)
        return err->code;
    int r = check_place(ix, err);
    if (r == 0)
        r = fn(ix, arg, err);
    if (r >= 0 || !ix->damaged)
        return r;
    err_clear(err);
    return recover(ix, err) < 0 ? err->code : fn(ix, arg, err);
}

int db_read(struct db *ix, db_fn fn, void *arg, struct err *err)
{
    pthread_mutex_lock(&ix->mutex);
    int r = read_held(ix, fn, arg, err);
    pthread_mutex_unlock(&ix->mutex);
    return r;
}

void db_note_blob(struct db *ix, const struct blob_id *id, uint64_t size)
{
    struct err ignored = ERR_INIT;

    pthread_mutex_lock(&ix->mutex);
    MEM_ROOM(ix->pending, ix->n_pending, ix->cap_pending);
    ix->pending[ix->n_pending++] = (struct pending){ .id = *id, .size = size };
    if (ix->n_pending >= PENDING_MAX && write_held(ix, false, NULL, NULL, &ignored) < 0)
        ix->n_pending = 0; /* blobs without a row are found all the same */
    pthread_mutex_unlock(&ix->mutex);
}

static void finish(struct db *ix)
{
    struct err err = ERR_INIT;

    if (ix->n_pending > 0 && write_once(ix, false, NULL, NULL, &err) < 0)
        log_debug("store", "%s", err.msg);
    if (ix->log_pages > CHECKPOINT_PAGES_CLOSE && !ix->damaged && lock_db(ix, &err) == 0) {
        sqlite3_busy_timeout(ix->db, 0); /* readers have time: the log is cut when they are gone */
        checkpoint(ix, SQLITE_CHECKPOINT_TRUNCATE);
        unlock_db(ix);
    }
}

void db_free(struct db *ix)
{
    if (ix == NULL)
        return;
    if (ix->db != NULL)
        finish(ix);
    close_db(ix);
    fd_close(ix->lock_fd);
    pthread_mutex_destroy(&ix->mutex);
    mem_free(ix->pending);
    mem_free(ix->path);
    mem_free(ix->root);
    mem_free(ix);
}

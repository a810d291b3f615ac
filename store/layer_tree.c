#include "store/layer.h"
#include "store/layer_internal.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "store/feed.h"
#include "store/layer_away.h"
#include "store/unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TRIES 4

struct tree_query {
    struct store *store;
    const struct diff_id *id;
    bool found; /* and to be believed in this boot */
    bool is_ours;
};

static int find_tree(struct db *ix, void *arg, struct err *err)
{
    struct tree_query *tq = arg;
    AUTO(query_end) sqlite3_stmt *q = query(ix, Q_TREE_GET, err);

    if (q == NULL)
        return err->code;
    bind_digest(q, 1, &tq->id->d);
    bind_text(q, 2, tq->store->ns.form);
    int r = query_step(ix, q, err);
    tq->found = r > 0 && (*col_text(q, 0) == '\0' || strcmp(col_text(q, 0), tq->store->boot) == 0);
    tq->is_ours = r > 0 && col_int(q, 1) != 0;
    return r;
}

static int look_for_tree(struct tree_query *tq, struct err *err)
{
    struct stat st;

    if (db_read(tq->store->db, find_tree, tq, err) < 0)
        return err->code;
    return tq->found &&
           fstatat(tq->store->trees, DIGEST_HEX(&tq->id->d), &st, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISDIR(st.st_mode);
}

int tree_find(struct store *s, const struct diff_id *id, struct err *err)
{
    struct tree_query tq = { .store = s, .id = id };

    return look_for_tree(&tq, err);
}

/* For those who have another way when there is none. */
static bool is_there(struct tree_query *tq)
{
    struct err err = ERR_INIT;
    int r = look_for_tree(tq, &err);

    if (r < 0)
        log_warn("store", "%s", err.msg);
    return r > 0;
}

bool tree_is_there(struct store *s, const struct diff_id *id)
{
    struct tree_query tq = { .store = s, .id = id };

    return is_there(&tq);
}

bool tree_is_enough(struct store *s, const struct diff_id *id)
{
    struct tree_query tq = { .store = s, .id = id };

    return is_there(&tq) && tq.is_ours;
}

bool layer_has_tree(struct store *s, const struct layer *l)
{
    return !layer_is_away(l) && tree_is_there(s, &l->diff_id);
}

int tree_open(struct store *s, const struct diff_id *id, struct err *err)
{
    int fd = openat(s->trees, DIGEST_HEX(&id->d), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    return fd < 0 ? err_sys(err, errno, "tree of layer '%s'", DIGEST_S(&id->d)) : fd;
}

int tree_open_file(int root, const struct entry *e, struct err *err)
{
    struct stat st;
    AUTO(fd_close)
    int fd = inroot_open(root, e->path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0, err);

    if (fd < 0)
        return err->code;
    if (fstat(fd, &st) < 0)
        return err_sys(err, errno, "cannot open '/%s'", e->path);
    if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != e->size)
        return err_set(err, ERR_CORRUPT, "'/%s' in the layer's tree is not as it was made",
                       e->path);
    return TAKE_FD(fd);
}

struct source *tree_content(void *arg, const struct entry *e, struct err *err)
{
    const int *root = arg;
    int fd = tree_open_file(*root, e, err);

    return fd < 0 ? NULL : source_fd(fd, true);
}

/* Away from its name at once; the removing may take long. */
static int move_away(struct store *s, const struct diff_id *id, struct err *err)
{
    struct work *w = store_scratch(s, err);

    if (w == NULL)
        return err->code;
    AUTO(mem_free) char *dir = work_subdir(w, "dropped", err);
    if (dir == NULL)
        return err->code;
    if (renameat(s->trees, DIGEST_HEX(&id->d), work_dirfd(w), dir) < 0 && errno != ENOENT)
        return err_sys(err, errno, "cannot remove tree '%s'", DIGEST_HEX(&id->d));
    return tree_remove(work_dirfd(w), dir, err);
}

static int drop_tree_row(struct db *ix, void *arg, struct err *err)
{
    const struct tree_query *tq = arg;
    AUTO(query_end) sqlite3_stmt *q = query(ix, Q_TREE_DROP, err);

    if (q == NULL)
        return err->code;
    bind_digest(q, 1, &tq->id->d);
    bind_text(q, 2, tq->store->ns.form);
    return query_run(ix, q, err);
}

/* With the claim. */
static int drop_held(struct store *s, const struct diff_id *id, const struct stat *bad,
                     struct err *err)
{
    struct tree_query tq = { .store = s, .id = id };
    struct stat st;

    if (fstatat(s->trees, DIGEST_HEX(&id->d), &st, AT_SYMLINK_NOFOLLOW) == 0 &&
        (st.st_dev != bad->st_dev || st.st_ino != bad->st_ino))
        return 0; /* somebody else has replaced it */
    log_warn("store", "the tree of layer %s was damaged and is removed", DIGEST_S(&id->d));
    return db_write(s->db, false, drop_tree_row, &tq, err) < 0 ? err->code : move_away(s, id, err);
}

void tree_drop(struct store *s, const struct diff_id *id, const struct stat *bad)
{
    struct err err = ERR_INIT;
    AUTO(fd_close) int claim = store_claim(s, CLAIM_TREE, &id->d, &err);

    if (claim < 0 || drop_held(s, id, bad, &err) < 0)
        log_warn("store", "%s", err.msg);
}

int tree_sync(struct store *s, struct err *err)
{
    return syncfs(s->trees) < 0 ? err_sys(err, errno, "cannot sync the store '%s'", s->root) : 0;
}

int tree_place(struct store *s, const struct diff_id *id, int dirfd, const char *name, bool sync,
               struct err *err)
{
    const char *hex = DIGEST_HEX(&id->d);

    if (sync && tree_sync(s, err) < 0)
        return err->code;
    int r = renameat2(dirfd, name, s->trees, hex, RENAME_NOREPLACE);
    if (r < 0 && (errno == EEXIST || errno == ENOTEMPTY)) {
        if (move_away(s, id, err) < 0)
            return err->code;
        r = renameat2(dirfd, name, s->trees, hex, RENAME_NOREPLACE);
    }
    if (r < 0)
        return err_sys(err, errno, "cannot keep tree '%s' of '%s'", hex, name);
    return sync ? fd_sync(s->trees, err) : 0;
}

/* Unpacking. */

struct tree_row {
    struct store *store;
    const struct layer *layer;
};

/* Not synced: after a crash of the machine it is made again from the blob. */
static int put_tree_row(struct db *ix, void *arg, struct err *err)
{
    const struct tree_row *row = arg;
    int64_t tick;
    AUTO(query_end) sqlite3_stmt *q = query(ix, Q_TREE_PUT, err);

    if (q == NULL || db_tick(ix, &tick, err) < 0)
        return err->code;
    bind_digest(q, 1, &row->layer->diff_id.d);
    bind_int(q, 2, (int64_t)listing_total_size(row->layer->listing));
    bind_text(q, 3, row->store->boot);
    bind_int(q, 4, clock_wall_s());
    bind_int(q, 5, tick);
    bind_text(q, 6, row->store->ns.form);
    return query_run(ix, q, err);
}

/* aside: a directory for what comes under another name than the listing's. */
static int unpack_blob(struct store *s, struct work *w, const struct layer *l,
                       const struct layer_blob *b, const char *dir, const char *aside,
                       struct err *err)
{
    AUTO(fd_close) int root = dir_open(work_dirfd(w), dir, err);
    AUTO(fd_close) int scratch = root < 0 ? -1 : dir_open(work_dirfd(w), aside, err);
    AUTO(source_free) struct source *tar = scratch < 0 ? NULL : layer_blob_tar(s, b, err);

    if (tar == NULL)
        return err->code;
    AUTO(source_free)
    struct source *ahead = source_ahead(source_limit(TAKE(tar), l->tar_size, "the layer"));
    return unpack_layer(root, scratch, l->listing, ahead, err);
}

static int unpack_into(struct store *s, struct work *w, const struct layer *l,
                       const struct layer_blob *b, const char *dir, struct err *err)
{
    struct err ignored = ERR_INIT;
    AUTO(mem_free) char *aside = work_subdir(w, "aside", err);

    if (aside == NULL)
        return err->code;
    int r = unpack_blob(s, w, l, b, dir, aside, err);
    if (r < 0) {
        tree_remove(work_dirfd(w), aside, &ignored); /* r is what went wrong */
        return r;
    }
    return tree_remove(work_dirfd(w), aside, err);
}

/* dir holds the tree when r is 0; else what was made of it goes. */
static int keep_tree(struct store *s, struct work *w, const struct layer *l, const char *dir, int r,
                     struct err *err)
{
    struct tree_row row = { .store = s, .layer = l };
    struct err ignored = ERR_INIT;

    if (r == 0)
        r = tree_place(s, &l->diff_id, work_dirfd(w), dir, false, err);
    if (r == 0)
        return db_write(s->db, false, put_tree_row, &row, err);
    if (tree_remove(work_dirfd(w), dir, &ignored) < 0)
        log_debug("store", "%s", ignored.msg);
    return r;
}

static int unpack_from(struct store *s, const struct layer *l, const struct layer_blob *b,
                       struct err *err)
{
    struct work *w = store_scratch(s, err);

    if (w == NULL)
        return err->code;
    AUTO(mem_free) char *dir = work_subdir(w, "tree", err);
    if (dir == NULL)
        return err->code;
    int r = keep_tree(s, w, l, dir, unpack_into(s, w, l, b, dir, err), err);
    if (r == ERR_CORRUPT)
        layer_blob_distrust(s, &l->diff_id, b);
    return r;
}

/* With the claim. Blobs that turn out to be damaged are gone afterwards: the next one is tried. */
static int make_tree(struct store *s, const struct layer *l, struct err *err)
{
    struct layer_blobs blobs;
    int r = ERR_CORRUPT;

    for (int i = 0; r == ERR_CORRUPT && i < TRIES; i++) {
        err_clear(err);
        if (layer_blobs_find(s, &l->diff_id, &blobs, err) < 0)
            return err->code;
        if (blobs.n == 0)
            return err_set(err, ERR_NOT_FOUND, "layer '%s' is no longer in the store",
                           DIGEST_S(&l->diff_id.d));
        r = unpack_from(s, l, &blobs.v[0], err);
    }
    return r;
}

/* With the claim. */
static int make_from_loose(struct store *s, const struct layer *l, struct loose *files,
                           struct err *err)
{
    struct work *w = store_scratch(s, err);

    if (w == NULL)
        return err->code;
    AUTO(mem_free) char *dir = work_subdir(w, "tree", err);
    AUTO(fd_close) int root = dir ? dir_open(work_dirfd(w), dir, err) : -1;
    if (root < 0)
        return err->code;
    return keep_tree(s, w, l, dir, unpack_loose(root, l->listing, files, err), err);
}

void tree_from_loose(struct store *s, const struct layer *l, struct loose *files)
{
    struct err err = ERR_INIT;
    AUTO(fd_close) int claim = store_claim(s, CLAIM_TREE, &l->diff_id.d, &err);
    int r = claim < 0 ? claim : tree_find(s, &l->diff_id, &err);

    if (r == 0)
        r = make_from_loose(s, l, files, &err);
    if (r == 0)
        log_debug("store", "layer %s was unpacked as it came", DIGEST_S(&l->diff_id.d));
    if (r < 0)
        log_debug("store", "layer %s is not unpacked yet: %s", DIGEST_S(&l->diff_id.d), err.msg);
}

static int have_tree(struct store *s, const struct layer *l, struct err *err)
{
    int r = tree_find(s, &l->diff_id, err);

    if (r != 0)
        return r;
    AUTO(fd_close) int claim = store_claim(s, CLAIM_TREE, &l->diff_id.d, err);
    if (claim < 0)
        return claim;
    r = tree_find(s, &l->diff_id, err);
    return r == 0 ? make_tree(s, l, err) : r;
}

char *layer_tree(struct store *s, const struct layer *l, struct err *err)
{
    if (layer_whole(s, l, err) == NULL || have_tree(s, l, err) < 0) {
        err_wrap(err, "cannot unpack layer '%s'", DIGEST_S(&l->diff_id.d));
        return NULL;
    }
    return str_printf("%s/%s/%s", s->root, s->trees_name, DIGEST_HEX(&l->diff_id.d));
}

#include "store/layer.h"
#include "store/layer_internal.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "store/blob_internal.h"
#include "store/feed.h"
#include "store/layer_away.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Names of encodings in the index, in the order in which they are read from. */
static const struct {
    enum compression compression;
    const char *name;
} encodings[] = {
    { COMPRESSION_NONE, "none" },
    { COMPRESSION_ZSTD, "zstd" },
    { COMPRESSION_GZIP, "gzip" },
};

static const char *encoding_name(enum compression c)
{
    for (size_t i = 0; i < ARRAY_LEN(encodings); i++)
        if (encodings[i].compression == c)
            return encodings[i].name;
    return NULL;
}

static int not_here(const struct diff_id *id, struct err *err)
{
    return err_set(err, ERR_NOT_FOUND, "layer '%s' is not in the store", DIGEST_S(&id->d));
}

/* In the index a level that was asked for follows: "gzip/9". */
static bool parse_encoding(const char *text, enum compression *ret, int *ret_level)
{
    for (size_t i = 0; i < ARRAY_LEN(encodings); i++) {
        const char *rest = text + strlen(encodings[i].name);
        if (!str_starts(text, encodings[i].name) || (*rest != '\0' && *rest != '/'))
            continue;
        *ret = encodings[i].compression;
        *ret_level = *rest == '/' ? atoi(rest + 1) : COMPRESSION_LEVEL_DEFAULT;
        return true;
    }
    return false;
}

/* Blobs of a layer. */

struct blobs_query {
    const struct diff_id *id;
    struct layer_blobs found;
};

static void take_blob_row(sqlite3_stmt *q, struct layer_blobs *found)
{
    struct layer_blob *b = &found->v[found->n];

    if (!parse_encoding(col_text(q, 0), &b->compression, &found->level[found->n]) ||
        !col_digest(q, 1, &b->id.d))
        return;
    b->size = (uint64_t)col_int(q, 2);
    found->n++;
}

static int find_blob_rows(struct db *ix, void *arg, struct err *err)
{
    struct blobs_query *bq = arg;
    int r = 1;
    AUTO(query_end) sqlite3_stmt *q = query(ix, Q_LAYER_BLOBS, err);

    if (q == NULL)
        return err->code;
    bq->found.n = 0;
    bind_digest(q, 1, &bq->id->d);
    while (bq->found.n < ARRAY_LEN(bq->found.v) && (r = query_step(ix, q, err)) > 0)
        take_blob_row(q, &bq->found);
    return r < 0 ? r : 0;
}

struct came_query {
    const struct diff_id *id;
    enum compression preferred;
    struct layer_blobs found;
};

static int find_came_rows(struct db *ix, void *arg, struct err *err)
{
    struct came_query *cq = arg;
    int r = 1;
    AUTO(query_end) sqlite3_stmt *q = query(ix, Q_LAYER_CAME, err);

    if (q == NULL)
        return err->code;
    cq->found.n = 0;
    bind_digest(q, 1, &cq->id->d);
    bind_text(q, 2, encoding_name(cq->preferred));
    while (cq->found.n < ARRAY_LEN(cq->found.v) && (r = query_step(ix, q, err)) > 0)
        take_blob_row(q, &cq->found);
    return r < 0 ? r : 0;
}

int layer_came_as(struct store *s, const struct layer *l, enum compression preferred,
                  struct layer_blob *ret, struct err *err)
{
    struct came_query cq = { .id = &l->diff_id, .preferred = preferred };

    if (db_read(s->db, find_came_rows, &cq, err) < 0)
        return err->code;
    for (size_t i = 0; i < cq.found.n; i++)
        if (blob_has_size(s, &cq.found.v[i].id, cq.found.v[i].size)) {
            *ret = cq.found.v[i];
            return 1;
        }
    return 0;
}

int layer_blobs_find(struct store *s, const struct diff_id *id, struct layer_blobs *ret,
                     struct err *err)
{
    struct blobs_query bq = { .id = id };

    if (db_read(s->db, find_blob_rows, &bq, err) < 0)
        return err->code;
    ret->n = 0;
    for (size_t e = 0; e < ARRAY_LEN(encodings); e++)
        for (size_t i = 0; i < bq.found.n; i++) {
            struct layer_blob *b = &bq.found.v[i];
            if (b->compression != encodings[e].compression || !blob_has_size(s, &b->id, b->size))
                continue;
            ret->level[ret->n] = bq.found.level[i];
            ret->v[ret->n++] = *b;
        }
    return 0;
}

struct blob_row {
    const struct diff_id *id;
    const struct layer_blob *blob;
    int level;
};

static int put_blob_row(struct db *ix, void *arg, struct err *err)
{
    const struct blob_row *row = arg;
    const char *name = encoding_name(row->blob->compression);
    char text[32];
    AUTO(query_end) sqlite3_stmt *q = query(ix, Q_LAYER_BLOB_PUT, err);

    if (q == NULL)
        return err->code;
    bind_digest(q, 1, &row->id->d);
    snprintf(text, sizeof(text), row->level < 0 ? "%s" : "%s/%d", name, row->level);
    bind_text(q, 2, text);
    bind_digest(q, 3, &row->blob->id.d);
    bind_int(q, 4, (int64_t)row->blob->size);
    return query_run(ix, q, err);
}

int layer_blob_note(struct store *s, const struct diff_id *id, const struct layer_blob *b,
                    int level, struct err *err)
{
    struct blob_row row = { .id = id, .blob = b, .level = level };

    return db_write(s->db, store_is_durable(s), put_blob_row, &row, err);
}

static int drop_blob_row(struct db *ix, void *arg, struct err *err)
{
    const struct blob_row *row = arg;
    AUTO(query_end) sqlite3_stmt *q = query(ix, Q_LAYER_BLOB_DROP, err);

    if (q == NULL)
        return err->code;
    bind_digest(q, 1, &row->id->d);
    bind_digest(q, 2, &row->blob->id.d);
    return query_run(ix, q, err);
}

void layer_blob_distrust(struct store *s, const struct diff_id *id, const struct layer_blob *b)
{
    struct err err = ERR_INIT;
    struct blob_row row = { .id = id, .blob = b };

    if (!blob_is_sound(s, &b->id))
        return; /* it is removed, and its rows */
    log_warn("store", "blob %s does not hold layer %s: forgotten", DIGEST_S(&b->id.d),
             DIGEST_S(&id->d));
    if (db_write(s->db, false, drop_blob_row, &row, &err) < 0)
        log_warn("store", "%s", err.msg);
}

struct source *layer_blob_tar(struct store *s, const struct layer_blob *b, struct err *err)
{
    int fd = blob_open(s, &b->id, NULL, err);

    return fd < 0 ? NULL : source_decompress(source_fd(fd, true), NULL, err);
}

/* Verified tar streams. */

struct verified {
    struct source base;
    struct store *store;
    struct source *next;
    struct hasher *hasher; /* NULL: ended well */
    struct diff_id want;
    bool is_tree; /* what the bytes come from */
    struct layer_blob blob;
    struct stat tree; /* its root */
};

static ssize_t distrust(struct verified *v, struct err *err)
{
    if (v->is_tree)
        tree_drop(v->store, &v->want, &v->tree);
    else
        layer_blob_distrust(v->store, &v->want, &v->blob);
    err->code = ERR_CORRUPT;
    return err_wrap(err, "layer '%s'", DIGEST_S(&v->want.d));
}

static ssize_t verified_read(struct source *s, void *p, size_t n, struct err *err)
{
    struct verified *v = (struct verified *)s;
    struct diff_id id;
    ssize_t got = source_read(v->next, p, n, err);

    if (got == ERR_CORRUPT || (got == ERR_NOT_FOUND && v->is_tree))
        return distrust(v, err);
    if (got < 0 || v->hasher == NULL)
        return got;
    if (got > 0) {
        hasher_add(v->hasher, p, (size_t)got);
        return got;
    }
    hasher_end(v->hasher, &id.d);
    if (!digest_eq(&id.d, &v->want.d)) {
        err_set(err, ERR_CORRUPT, "its bytes have the digest '%s'", DIGEST_S(&id.d));
        return distrust(v, err);
    }
    hasher_free(TAKE(v->hasher));
    return 0;
}

static void verified_free(struct source *s)
{
    struct verified *v = (struct verified *)s;

    source_free(v->next);
    hasher_free(v->hasher);
    mem_free(v);
}

/* blob or tree is where the bytes come from, the other is NULL. */
static struct source *source_verified(struct store *s, struct source *next,
                                      const struct diff_id *want, const struct layer_blob *blob,
                                      const struct stat *tree)
{
    struct verified *v = mem_zalloc(sizeof(*v));

    v->base = (struct source){ .read = verified_read, .free = verified_free };
    v->store = s;
    v->next = next;
    v->hasher = hasher_new();
    v->want = *want;
    v->is_tree = tree != NULL;
    if (tree != NULL)
        v->tree = *tree;
    else
        v->blob = *blob;
    return &v->base;
}

struct source *layer_tar_from_blobs(struct store *s, const struct diff_id *id, struct err *err)
{
    struct layer_blobs blobs;

    if (layer_blobs_find(s, id, &blobs, err) < 0)
        return NULL;
    for (size_t i = 0; i < blobs.n; i++) {
        err_clear(err);
        struct source *tar = layer_blob_tar(s, &blobs.v[i], err);
        if (tar != NULL)
            return source_verified(s, tar, id, &blobs.v[i], NULL);
        if (err->code == ERR_CORRUPT)
            layer_blob_distrust(s, id, &blobs.v[i]);
    }
    not_here(id, err);
    return NULL;
}

struct tree_tar {
    const struct layer *layer;
    int root;
};

static int produce_tree_tar(void *arg, struct sink *to, struct err *err)
{
    struct tree_tar *t = arg;

    return layer_tar_write(t->layer->listing, tree_content, &t->root, to, err);
}

static void tree_tar_free(void *arg)
{
    struct tree_tar *t = arg;

    fd_close(t->root);
    mem_free(t);
}

static struct source *tar_from_tree(struct store *s, const struct layer *l, struct err *err)
{
    struct stat st;
    AUTO(fd_close) int root = tree_open(s, &l->diff_id, err);

    if (root < 0)
        return NULL;
    if (fstat(root, &st) < 0) {
        err_sys(err, errno, "tree of layer '%s'", DIGEST_S(&l->diff_id.d));
        return NULL;
    }
    struct tree_tar *t = mem_zalloc(sizeof(*t));
    t->layer = l;
    t->root = TAKE_FD(root);
    struct source *tar = source_feed(produce_tree_tar, t, tree_tar_free);
    return source_verified(s, tar, &l->diff_id, NULL, &st);
}

struct source *layer_tar_source(struct store *s, const struct layer *l, struct err *err)
{
    if (layer_whole(s, l, err) == NULL)
        return NULL;
    struct source *tar = layer_tar_from_blobs(s, &l->diff_id, err);

    if (tar != NULL || err->code != ERR_NOT_FOUND || !tree_is_enough(s, &l->diff_id))
        return tar;
    err_clear(err);
    return tar_from_tree(s, l, err);
}

/* Layers that are known. */

void layer_cache_free(void *p)
{
    struct layer *l = p;
    union {
        const struct listing *borrowed;
        struct listing *own;
    } listing = { .borrowed = l->listing };

    listing_free(listing.own); /* shown as const, made by us */
    layer_absence_free(l->absence);
    mem_free(l);
}

static const struct layer *cached(struct store *s, const struct diff_id *id)
{
    char hex[DIGEST_HEX_LEN + 1];

    pthread_mutex_lock(&s->lock);
    const struct layer *l = map_get(s->layers, digest_hex(&id->d, hex));
    pthread_mutex_unlock(&s->lock);
    return l;
}

/* Takes l over; the first of several that were made of one layer stays. */
static const struct layer *keep(struct store *s, struct layer *l)
{
    char hex[DIGEST_HEX_LEN + 1];

    digest_hex(&l->diff_id.d, hex);
    pthread_mutex_lock(&s->lock);
    struct layer *there = map_get(s->layers, hex);
    if (there == NULL)
        map_set(s->layers, hex, l);
    pthread_mutex_unlock(&s->lock);
    if (there == NULL)
        return l;
    layer_cache_free(l);
    return there;
}

static int find_row(struct db *ix, void *arg, struct err *err)
{
    struct layer_row *row = arg;
    AUTO(query_end) sqlite3_stmt *q = query(ix, Q_LAYER_GET, err);

    if (q == NULL)
        return err->code;
    bind_digest(q, 1, &row->id->d);
    int r = query_step(ix, q, err);
    row->found = r > 0 && col_digest(q, 0, &row->content.d) && col_digest(q, 1, &row->listing.d);
    if (row->found) {
        row->check = (uint64_t)col_int(q, 2);
        row->tar_size = (uint64_t)col_int(q, 3);
        snprintf(row->stamp.text, sizeof(row->stamp.text), "%s", col_text(q, 4));
    }
    return r;
}

struct listing *layer_row_load(struct store *s, struct layer_row *row, struct err *err)
{
    if (db_read(s->db, find_row, row, err) < 0)
        return NULL;
    if (!row->found) {
        not_here(row->id, err);
        return NULL;
    }
    struct listing *listing = layer_listing_load(s, row, err);
    if (listing == NULL && err->code == ERR_CORRUPT)
        err->code = ERR_NOT_FOUND; /* damage is a miss */
    return listing;
}

static const struct layer *load(struct store *s, const struct diff_id *id, struct err *err)
{
    struct layer_row row = { .id = id };
    struct listing *listing = layer_row_load(s, &row, err);
    if (listing == NULL)
        return NULL;
    struct layer *l = mem_zalloc(sizeof(*l));
    *l = (struct layer){ .diff_id = *id,
                         .content_id = row.content,
                         .listing_id = row.listing,
                         .listing = listing,
                         .tar_size = row.tar_size };
    return keep(s, l);
}

const struct layer *layer_get(struct store *s, const struct diff_id *id, struct err *err)
{
    struct layer_blobs blobs = { .n = 0 };

    if (!tree_is_enough(s, id)) {
        if (layer_blobs_find(s, id, &blobs, err) < 0)
            return NULL;
        if (blobs.n == 0) {
            not_here(id, err);
            return NULL;
        }
    }
    const struct layer *l = cached(s, id);
    return l ? l : load(s, id, err);
}

/* Layers that are new. */

void new_layer_release(struct new_layer *n)
{
    listing_free(n->listing);
    blob_writer_free(n->listing_bytes);
    blob_writer_free(n->packed);
}

int new_layer_list(struct store *s, struct listing_builder *b, struct new_layer *n, struct err *err)
{
    AUTO(buf_release) struct buf bytes = BUF_INIT;

    if (listing_builder_write(b, &bytes, NULL, err) < 0)
        return err->code;
    n->listing_check = quick_hash(buf_str(&bytes), bytes.len, 0);
    n->listing_bytes = blob_writer_open(s, err);
    if (n->listing_bytes == NULL ||
        blob_writer_add(n->listing_bytes, buf_str(&bytes), bytes.len, err) < 0)
        return err->code;
    n->listing = listing_open_buf(&bytes, err);
    return n->listing ? 0 : err->code;
}

struct layer_put {
    const struct new_layer *n;
    const struct layer *layer;
    const struct layer_blob *blob; /* NULL: none */
    const char *tree_boot, *tree_form;
};

static int put_layer_row(struct db *ix, const struct layer_put *put, int64_t tick, struct err *err)
{
    AUTO(query_end) sqlite3_stmt *q = query(ix, Q_LAYER_PUT, err);

    if (q == NULL)
        return err->code;
    bind_digest(q, 1, &put->layer->diff_id.d);
    bind_digest(q, 2, &put->layer->content_id.d);
    bind_digest(q, 3, &put->layer->listing_id.d);
    bind_int(q, 4, (int64_t)put->n->listing_check);
    bind_int(q, 5, (int64_t)put->layer->tar_size);
    bind_int(q, 6, put->n->is_ours);
    bind_int(q, 7, clock_wall_s());
    bind_int(q, 8, tick);
    return query_run(ix, q, err);
}

static int put_tree_row(struct db *ix, const struct layer_put *put, int64_t tick, struct err *err)
{
    AUTO(query_end) sqlite3_stmt *q = query(ix, Q_TREE_PUT, err);

    if (q == NULL)
        return err->code;
    bind_digest(q, 1, &put->layer->diff_id.d);
    bind_int(q, 2, (int64_t)listing_total_size(put->layer->listing));
    bind_text(q, 3, put->tree_boot);
    bind_int(q, 4, clock_wall_s());
    bind_int(q, 5, tick);
    bind_text(q, 6, put->tree_form);
    return query_run(ix, q, err);
}

static int put_rows(struct db *ix, void *arg, struct err *err)
{
    const struct layer_put *put = arg;
    struct blob_row row = { .id = &put->layer->diff_id,
                            .blob = put->blob,
                            .level = COMPRESSION_LEVEL_DEFAULT };
    int64_t tick;

    if (db_tick(ix, &tick, err) < 0 || put_layer_row(ix, put, tick, err) < 0)
        return err->code;
    if (put->blob != NULL && put_blob_row(ix, &row, err) < 0)
        return err->code;
    return put->n->has_tree ? put_tree_row(ix, put, tick, err) : 0;
}

static int publish(struct store *s, struct new_layer *n, struct layer *l, struct err *err)
{
    struct layer_blob blob = { .compression = n->compression };
    struct layer_put put = {
        .n = n, .layer = l, .tree_boot = n->is_synced ? "" : s->boot, .tree_form = s->ns.form
    };

    if (n->packed != NULL) {
        if (blob_writer_commit(n->packed, n->want, &blob.id, &blob.size, err) < 0)
            return err->code;
        put.blob = &blob;
    }
    if (blob_writer_commit(n->listing_bytes, NULL, &l->listing_id, NULL, err) < 0)
        return err->code;
    return db_write(s->db, store_is_durable(s), put_rows, &put, err);
}

const struct layer *new_layer_publish(struct store *s, struct new_layer *n, struct err *err)
{
    struct layer *l = mem_zalloc(sizeof(*l));

    l->diff_id = n->diff_id;
    l->content_id = *listing_content_id(n->listing);
    l->listing = n->listing;
    l->tar_size = n->tar_size;
    if (publish(s, n, l, err) < 0) {
        mem_free(l);
        return NULL;
    }
    n->listing = NULL;
    return keep(s, l);
}

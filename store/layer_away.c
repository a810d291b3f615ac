#include "store/layer_away.h"
#include "store/layer_internal.h"

#include "base/clock.h"
#include "base/fs.h"
#include "store/blob_internal.h"

#include <stdatomic.h>
#include <string.h>

#define ORIGINS_MAX 8 /* of a blob, that are looked at */

/* Behind a struct layer that is away; layers are immutable, this is not. */
struct layer_absence {
    struct layer_place place;
    char *repository;
    char *heard_from;
    pthread_mutex_t lock;              /* of those who bring the bytes */
    const struct layer *_Atomic whole; /* NULL: not here yet */
    atomic_bool is_refuted;
};

void layer_absence_free(struct layer_absence *a)
{
    if (a == NULL)
        return;
    pthread_mutex_destroy(&a->lock);
    mem_free(a->repository);
    mem_free(a->heard_from);
    mem_free(a);
}

static struct layer_absence *absence_new(const struct layer_place *where)
{
    struct layer_absence *a = mem_zalloc(sizeof(*a));

    pthread_mutex_init(&a->lock, NULL);
    a->repository = str_dup(where->repository);
    a->place = *where;
    a->place.repository = a->repository;
    a->heard_from = str_dup(where->heard_from);
    a->place.heard_from = a->heard_from;
    return a;
}

/* The store's from now on. */
static const struct layer *keep(struct store *s, struct layer *l)
{
    pthread_mutex_lock(&s->lock);
    MEM_ROOM(s->away, s->n_away, s->cap_away);
    s->away[s->n_away++] = l;
    pthread_mutex_unlock(&s->lock);
    return l;
}

/* Its bytes are looked at in full: they came from elsewhere, and a listing only says of itself what
 * content it has. */
static struct listing *open_claim(struct store *s, const struct blob_id *id, struct err *err)
{
    AUTO(fd_close) int fd = blob_open(s, id, NULL, err);

    if (fd < 0)
        return NULL;
    if (!blob_is_sound(s, id)) {
        err_set(err, ERR_NOT_FOUND, "listing '%s' was damaged", DIGEST_S(&id->d));
        return NULL;
    }
    AUTO(listing_free) struct listing *l = listing_open_fd(fd, err);
    return l == NULL || listing_verify(l, err) < 0 ? NULL : TAKE(l);
}

static const struct layer *make(struct store *s, const struct diff_id *id,
                                const struct blob_id *listing_id, struct listing *listing,
                                uint64_t tar_size, const struct layer_place *where)
{
    struct layer *l = mem_zalloc(sizeof(*l));

    *l = (struct layer){ .diff_id = *id,
                         .content_id = *listing_content_id(listing),
                         .listing_id = *listing_id,
                         .listing = listing,
                         .tar_size = tar_size,
                         .absence = absence_new(where) };
    return keep(s, l);
}

const struct layer *layer_away(struct store *s, const struct diff_id *id,
                               const struct blob_id *listing, uint64_t tar_size,
                               const struct layer_place *where, struct err *err)
{
    struct listing *claim = open_claim(s, listing, err);

    return claim == NULL ? NULL : make(s, id, listing, claim, tar_size, where);
}

const struct layer *layer_away_known(struct store *s, const struct diff_id *id,
                                     const struct layer_place *where, struct err *err)
{
    struct layer_row row = { .id = id };
    struct listing *known = layer_row_load(s, &row, err);

    return known == NULL ? NULL : make(s, id, &row.listing, known, row.tar_size, where);
}

const struct layer_place *layer_place(const struct layer *l)
{
    return l->absence != NULL ? &l->absence->place : NULL;
}

bool layer_is_away(const struct layer *l)
{
    return l->absence != NULL && l->absence->whole == NULL;
}

bool layer_is_refuted(const struct layer *l)
{
    return l->absence != NULL && l->absence->is_refuted;
}

bool layer_is_lost(struct store *s, const struct layer *l)
{
    struct err ignored = ERR_INIT;

    if (layer_is_away(l))
        return layer_is_refuted(l);
    return layer_get(s, &l->diff_id, &ignored) == NULL;
}

/* Under the layer's lock. */
static int bring(struct store *s, const struct layer *l, struct err *err)
{
    struct layer_absence *a = l->absence;
    struct err miss = ERR_INIT;
    const struct layer *here = layer_get(s, &l->diff_id, &miss);

    if (here == NULL && s->fetch == NULL)
        return err_copy(err, &miss);
    if (here == NULL)
        here = s->fetch(s->fetch_arg, &l->diff_id, &a->place, err);
    if (here == NULL)
        return err->code;
    if (!digest_eq(&here->listing_id.d, &l->listing_id.d) || here->tar_size != l->tar_size) {
        a->is_refuted = true;
        return err_set(err, ERR_CORRUPT,
                       "layer '%s' of %s does not have the files that its listing names",
                       DIGEST_S(&l->diff_id.d), a->repository);
    }
    a->whole = here;
    return 0;
}

const struct layer *layer_whole(struct store *s, const struct layer *l, struct err *err)
{
    struct layer_absence *a = l->absence;

    if (a == NULL)
        return l;
    pthread_mutex_lock(&a->lock);
    int r = a->whole == NULL ? bring(s, l, err) : 0;
    const struct layer *whole = r < 0 ? NULL : a->whole;
    pthread_mutex_unlock(&a->lock);
    return whole;
}

void store_fetch_with(struct store *s, layer_fetch_fn fn, void *arg)
{
    s->fetch = fn;
    s->fetch_arg = arg;
}

/* Origins. */

struct origin {
    const struct blob_id *id;
    const char *repository;
    struct strv *ret;
};

static int put_origin(struct db *ix, void *arg, struct err *err)
{
    const struct origin *o = arg;
    AUTO(query_end) sqlite3_stmt *q = query(ix, Q_ORIGIN_PUT, err);

    if (q == NULL)
        return err->code;
    bind_digest(q, 1, &o->id->d);
    bind_text(q, 2, o->repository);
    bind_int(q, 3, clock_wall_s());
    return query_run(ix, q, err);
}

int blob_origin_add(struct store *s, const struct blob_id *id, const char *repository,
                    struct err *err)
{
    struct origin o = { .id = id, .repository = repository };

    return db_write(s->db, false, put_origin, &o, err);
}

static int find_origins(struct db *ix, void *arg, struct err *err)
{
    const struct origin *o = arg;
    int r = 1;
    AUTO(query_end) sqlite3_stmt *q = query(ix, Q_ORIGINS, err);

    if (q == NULL)
        return err->code;
    strv_clear(o->ret);
    bind_digest(q, 1, &o->id->d);
    while (o->ret->n < ORIGINS_MAX && (r = query_step(ix, q, err)) > 0)
        strv_add(o->ret, col_text(q, 0));
    return r < 0 ? r : 0;
}

int blob_origins(struct store *s, const struct blob_id *id, struct strv *ret, struct err *err)
{
    struct origin o = { .id = id, .ret = ret };

    return db_read(s->db, find_origins, &o, err);
}

/*
 * A layer's listing out of its blob. That its bytes are good is found out
 * once: XXH3 over all of them, and the check of each record. What was found
 * good gets a stamp in the index, the state of the very file; as long as the
 * file has that state nothing of it is read but what is asked for.
 */
#include "store/layer_internal.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "image/listing.h"
#include "store/blob_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/*
 * A write in the same tick of the clock that the file's time is from could leave that time as it
 * is: only a file that is older than a tick when its check begins gets a stamp. (A file system that
 * keeps whole seconds has long ticks.)
 */
#define TICK_NS 100000000LL
#define COARSE_TICK_NS 3000000000LL

/* Any write to a file moves its ctime, which nobody can set; a crash may lose bytes, hence the
 * boot. */
static void take_stamp(const struct store *s, const struct stat *st, struct listing_stamp *ret)
{
    snprintf(ret->text, sizeof(ret->text), "%llx.%llx.%llx.%lld.%ld.%lld.%ld.%s.",
             (unsigned long long)st->st_dev, (unsigned long long)st->st_ino,
             (unsigned long long)st->st_size, (long long)st->st_mtim.tv_sec, st->st_mtim.tv_nsec,
             (long long)st->st_ctim.tv_sec, st->st_ctim.tv_nsec, s->boot);
}

/* The facts of the listing stand at the end of a stamp that was kept, as a letter. */
#define FACTS_FIRST 'a'
#define FACTS_ALL (LISTING_HAS_OPAQUE | LISTING_HAS_LINKS)

/* False: it is not the stamp of this state. */
static bool stamp_says(const struct listing_stamp *kept, const struct listing_stamp *now,
                       unsigned *ret_facts)
{
    size_t n = strlen(now->text);
    char end = strncmp(kept->text, now->text, n) == 0 ? kept->text[n] : '\0';

    *ret_facts = (unsigned char)end - (unsigned)FACTS_FIRST;
    return end != '\0' && *ret_facts <= FACTS_ALL && kept->text[n + 1] == '\0';
}

static bool is_settled(const struct stat *st, struct clock_time now)
{
    bool coarse = st->st_ctim.tv_nsec == 0 && st->st_mtim.tv_nsec == 0;
    int64_t age = (now.s - st->st_ctim.tv_sec) * 1000000000LL + now.ns - st->st_ctim.tv_nsec;

    return age > (coarse ? COARSE_TICK_NS : TICK_NS);
}

/* Written when the store is closed, all at once. */
static void keep_stamp(struct store *s, const struct blob_id *listing,
                       const struct listing_stamp *now, unsigned facts)
{
    struct pending_stamp p = { .listing = *listing };
    size_t n = strlen(now->text);

    memcpy(p.stamp.text, now->text, n);
    p.stamp.text[n] = (char)(FACTS_FIRST + facts);
    pthread_mutex_lock(&s->lock);
    MEM_ROOM(s->stamps, s->n_stamps, s->cap_stamps);
    s->stamps[s->n_stamps++] = p;
    pthread_mutex_unlock(&s->lock);
}

/* XXH3 finds damage; that it is this layer's listing is what the row says. */
static struct listing *check_whole(int fd, uint64_t want, struct err *err)
{
    AUTO(listing_free) struct listing *l = listing_open_fd(fd, err);

    if (l == NULL)
        return NULL;
    if (listing_quick_hash(l) == want)
        return TAKE(l);
    err_set(err, ERR_CORRUPT, "the listing is damaged");
    return NULL;
}

static struct listing *open_listing(struct store *s, const struct layer_row *row, int fd,
                                    struct err *err)
{
    struct listing_stamp now;
    struct stat st;
    struct clock_time begun = clock_now();
    unsigned facts;

    if (fstat(fd, &st) < 0) {
        err_sys(err, errno, "cannot open a listing");
        return NULL;
    }
    take_stamp(s, &st, &now);
    if (stamp_says(&row->stamp, &now, &facts))
        return listing_open_trusted(fd, facts, err);
    struct listing *l = check_whole(fd, row->check, err);
    if (l != NULL && is_settled(&st, begun))
        keep_stamp(s, &row->listing, &now, listing_facts(l));
    return l;
}

static struct listing *load_listing(struct store *s, const struct layer_row *row, struct err *err)
{
    AUTO(fd_close) int fd = blob_open(s, &row->listing, NULL, err);
    AUTO(listing_free) struct listing *l = fd < 0 ? NULL : open_listing(s, row, fd, err);

    if (l == NULL)
        return NULL;
    if (digest_eq(&listing_content_id(l)->d, &row->content.d))
        return TAKE(l);
    err_set(err, ERR_CORRUPT, "the listing is another layer's");
    return NULL;
}

static int put_listing_row(struct db *ix, void *arg, struct err *err)
{
    const struct layer_row *row = arg;
    AUTO(query_end) sqlite3_stmt *q = query(ix, Q_LAYER_LISTING, err);

    if (q == NULL)
        return err->code;
    bind_digest(q, 1, &row->id->d);
    bind_digest(q, 2, &row->content.d);
    bind_digest(q, 3, &row->listing.d);
    bind_int(q, 4, (int64_t)row->check);
    return query_run(ix, q, err);
}

/* A listing that is lost is made again from the layer's tar. */
static struct listing *list_again(struct store *s, struct layer_row *row, struct err *err)
{
    AUTO(new_layer_release) struct new_layer n = { .packed = NULL };
    AUTO(listing_builder_free) struct listing_builder *b = listing_builder_new();
    AUTO(source_free) struct source *tar = layer_tar_from_blobs(s, row->id, err);

    if (tar == NULL || layer_tar_list(tar, b, err) < 0 || new_layer_list(s, b, &n, err) < 0)
        return NULL;
    if (blob_writer_commit(n.listing_bytes, NULL, &row->listing, NULL, err) < 0)
        return NULL;
    row->content = *listing_content_id(n.listing);
    row->check = n.listing_check;
    if (db_write(s->db, store_is_durable(s), put_listing_row, row, err) < 0)
        return NULL;
    log_info("store", "the listing of layer %s was made again", DIGEST_S(&row->id->d));
    return TAKE(n.listing);
}

struct listing *layer_listing_load(struct store *s, struct layer_row *row, struct err *err)
{
    struct listing *l = load_listing(s, row, err);

    if (l != NULL || (err->code != ERR_CORRUPT && err->code != ERR_NOT_FOUND))
        return l;
    if (err->code == ERR_CORRUPT) {
        log_warn("store", "layer %s: %s", DIGEST_S(&row->id->d), err->msg);
        blob_is_sound(s, &row->listing);
    }
    err_clear(err);
    return list_again(s, row, err);
}

/* Stamps that are to be written, and those of listings that were not as they should be. */

static int put_stamp(struct db *ix, const struct pending_stamp *p, struct err *err)
{
    AUTO(query_end) sqlite3_stmt *q = query(ix, Q_STAMP_PUT, err);

    if (q == NULL)
        return err->code;
    bind_digest(q, 1, &p->listing.d);
    bind_text(q, 2, p->stamp.text);
    return query_run(ix, q, err);
}

static int drop_stamp(struct db *ix, const struct blob_id *listing, struct err *err)
{
    AUTO(query_end) sqlite3_stmt *q = query(ix, Q_STAMP_DROP, err);

    if (q == NULL)
        return err->code;
    bind_digest(q, 1, &listing->d);
    return query_run(ix, q, err);
}

static bool next_damaged(const struct store *s, size_t *i, const struct layer **ret)
{
    const char *key;
    void *value;

    while (map_next(s->layers, i, &key, &value)) {
        *ret = value;
        if (listing_is_damaged((*ret)->listing))
            return true;
    }
    return false;
}

static int put_stamps(struct db *ix, void *arg, struct err *err)
{
    const struct store *s = arg;
    const struct layer *l;

    for (size_t i = 0; i < s->n_stamps; i++)
        if (put_stamp(ix, &s->stamps[i], err) < 0)
            return err->code;
    for (size_t i = 0; next_damaged(s, &i, &l);)
        if (drop_stamp(ix, &l->listing_id, err) < 0)
            return err->code;
    return 0;
}

/* They save work and promise nothing: they cost no sync. */
void layer_stamps_write(struct store *s)
{
    const struct layer *l;
    struct err err = ERR_INIT;
    size_t i = 0;

    if ((s->n_stamps > 0 || next_damaged(s, &i, &l)) &&
        db_write(s->db, false, put_stamps, s, &err) < 0)
        log_debug("store", "%s", err.msg);
}

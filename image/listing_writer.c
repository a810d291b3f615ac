/* The records of a listing, one behind the other. */
#include "image/listing_writer.h"
#include "image/listing_internal.h"

#include "base/mem.h"
#include <assert.h>

struct listing_writer {
    struct buf records, xattrs, pool;
    struct hasher *hasher;
    uint32_t n, n_xattrs;
    uint64_t total_size;
};

struct listing_writer *listing_writer_new(void)
{
    struct listing_writer *w = mem_zalloc(sizeof(*w));
    w->hasher = hasher_new();
    hasher_add(w->hasher, LISTING_RECIPE, sizeof(LISTING_RECIPE));
    buf_addc(&w->pool, '\0');
    return w;
}

void listing_writer_free(struct listing_writer *w)
{
    if (w == NULL)
        return;
    buf_release(&w->records);
    buf_release(&w->xattrs);
    buf_release(&w->pool);
    hasher_free(w->hasher);
    mem_free(w);
}

/* ---- What an entry may be ---- */

int entry_bad(struct err *err, const struct entry *e, const char *what)
{
    return err_set(err, ERR_CORRUPT, "'%s': %s", e->path, what);
}

bool path_is_clean(const char *path)
{
    size_t n = strlen(path);
    return n <= LISTING_PATH_MAX && (n == 0 || path_components_ok(path, n));
}

/* All but the path's form. */
static int check_fields(const struct entry *e, struct err *err)
{
    if (e->type == '\0' || strchr("fdlcbpw", e->type) == NULL)
        return entry_bad(err, e, "unknown type");
    if (e->path[0] == '\0' && e->type != ENTRY_DIR && !(e->type == ENTRY_WHITEOUT && e->opaque))
        return entry_bad(err, e, "the root is no directory");
    if (e->type == ENTRY_LINK &&
        (e->target == NULL || *e->target == '\0' || strlen(e->target) > LISTING_PATH_MAX))
        return entry_bad(err, e, "symbolic link with a bad target");
    if (e->mtime_ns > 999999999 || e->mode > 07777)
        return entry_bad(err, e, "bad mode or time");
    if (e->n_xattrs > LISTING_XATTRS_MAX)
        return entry_bad(err, e, "too many xattrs");
    for (size_t i = 0; i < e->n_xattrs; i++) {
        size_t n = strlen(e->xattrs[i].name);
        if (n == 0 || n > 255 || e->xattrs[i].len > LISTING_XATTR_MAX)
            return entry_bad(err, e, "bad xattr");
    }
    return 0;
}

int entry_check(const struct entry *e, struct err *err)
{
    if (e->path == NULL || !path_is_clean(e->path))
        return err_set(err, ERR_CORRUPT, "'%.256s': not a clean path", e->path ? e->path : "");
    return check_fields(e, err);
}

struct entry entry_plain(const struct entry *e)
{
    struct entry plain = { .type = e->type, .opaque = e->opaque && e->type == ENTRY_DIR };
    if (e->type == ENTRY_WHITEOUT)
        return plain;
    plain.mode = e->type == ENTRY_LINK ? 0777 : e->mode;
    plain.uid = e->uid;
    plain.gid = e->gid;
    plain.mtime = e->mtime;
    plain.mtime_ns = e->mtime_ns;
    plain.n_xattrs = e->n_xattrs;
    plain.xattrs = e->n_xattrs > 0 ? e->xattrs : NULL;
    if (e->type == ENTRY_FILE) {
        plain.size = e->size;
        plain.content = e->content;
        plain.inline_data = e->size <= LISTING_INLINE_MAX ? e->inline_data : NULL;
    } else if (e->type == ENTRY_LINK) {
        plain.target = e->target;
    } else if (e->type == ENTRY_CHAR || e->type == ENTRY_BLOCK) {
        plain.dev_major = e->dev_major;
        plain.dev_minor = e->dev_minor;
    }
    return plain;
}

/* ---- Records ---- */

static int pool_add(struct listing_writer *w, const void *p, size_t n, uint32_t *ret,
                    struct err *err)
{
    if (w->pool.len + n + 1 > UINT32_MAX)
        return err_set(err, ERR_CORRUPT, "listing: more than 4 GiB of names");
    *ret = (uint32_t)w->pool.len;
    buf_add(&w->pool, p, n);
    buf_addc(&w->pool, '\0');
    return 0;
}

static int put_xattrs(struct listing_writer *w, const struct entry *e, uint8_t *r, struct err *err)
{
    uint32_t name = 0, value = 0;
    if (e->n_xattrs == 0)
        return 0;
    put16(r + REC_N_XATTRS, (uint16_t)e->n_xattrs);
    put32(r + REC_XATTRS, w->n_xattrs);
    for (size_t i = 0; i < e->n_xattrs; i++) {
        const struct entry_xattr *x = &e->xattrs[i];
        uint8_t row[XATTR_LEN];
        if (pool_add(w, x->name, strlen(x->name), &name, err) < 0 ||
            pool_add(w, x->value, x->len, &value, err) < 0)
            return err->code;
        put32(row + XATTR_NAME, name);
        put32(row + XATTR_VALUE, value);
        put32(row + XATTR_VALUE_LEN, (uint32_t)x->len);
        buf_add(&w->xattrs, row, sizeof(row));
        w->n_xattrs++;
    }
    return 0;
}

/* What is common to all names of one inode. */
static int put_inode(struct listing_writer *w, const struct entry *e, uint8_t *r, struct err *err)
{
    uint32_t a = e->dev_major, b = e->dev_minor;
    put16(r + REC_MODE, e->mode);
    r[REC_TYPE] = (uint8_t)e->type;
    r[REC_FLAGS] = e->opaque ? FLAG_OPAQUE : 0;
    put32(r + REC_UID, e->uid);
    put32(r + REC_GID, e->gid);
    put32(r + REC_MTIME_NS, e->mtime_ns);
    put64(r + REC_SIZE, e->size);
    put64(r + REC_MTIME, (uint64_t)e->mtime);
    memcpy(r + REC_CONTENT, e->content.b, DIGEST_LEN);
    if (e->target) {
        b = (uint32_t)strlen(e->target);
        if (pool_add(w, e->target, b, &a, err) < 0)
            return err->code;
    } else if (e->inline_data) {
        r[REC_FLAGS] |= FLAG_INLINE;
        if (pool_add(w, e->inline_data, e->size, &b, err) < 0)
            return err->code;
    }
    put32(r + REC_A, a);
    put32(r + REC_B, b);
    return put_xattrs(w, e, r, err);
}

static const uint8_t *record(const struct listing_writer *w, size_t i)
{
    return (const uint8_t *)w->records.data + i * REC_LEN;
}

/* A further name: the first one's record, pointing to it. */
static void put_again(struct listing_writer *w, uint32_t first, uint8_t *r)
{
    memcpy(r + REC_MODE, record(w, first - 1) + REC_MODE, REC_LEN - REC_MODE);
    put32(r + REC_A, first);
}

int writer_put(struct listing_writer *w, const char *path, size_t len, const struct entry *e,
               uint32_t first, struct err *err)
{
    uint8_t r[REC_LEN] = { 0 };
    uint32_t at = 0;
    if (w->n >= LISTING_ENTRIES_MAX)
        return err_set(err, ERR_CORRUPT, "listing: more than %u entries", LISTING_ENTRIES_MAX);
    if (len > 0 && pool_add(w, path, len, &at, err) < 0)
        return err->code;
    put32(r + REC_PATH, at);
    put16(r + REC_PATH_LEN, (uint16_t)len);
    if (first > 0) {
        put_again(w, first, r);
    } else {
        if (put_inode(w, e, r, err) < 0)
            return err->code;
        if (__builtin_add_overflow(w->total_size, e->size, &w->total_size))
            return err_set(err, ERR_CORRUPT, "'%s': size too large", path);
    }
    entry_hash(w->hasher, e, path);
    buf_add(&w->records, r, sizeof(r));
    w->n++;
    return 0;
}

uint32_t writer_len(const struct listing_writer *w)
{
    return w->n;
}

/* ---- In order ---- */

static const char *path_at(const struct listing_writer *w, size_t i, size_t *ret_len)
{
    const uint8_t *r = record(w, i);
    *ret_len = get16(r + REC_PATH_LEN);
    return w->pool.data + get32(r + REC_PATH);
}

/* path comes after the one before, not below it unless that is a directory, and is clean. */
static int check_path(const struct listing_writer *w, const struct entry *e, size_t len,
                      struct err *err)
{
    size_t start = 0;
    if (len > LISTING_PATH_MAX)
        return err_set(err, ERR_CORRUPT, "'%.256s': not a clean path", e->path);
    if (w->n > 0) {
        size_t n, common;
        const char *before = path_at(w, w->n - 1, &n);
        if (path_cmp_n(before, n, e->path, len, &common) >= 0)
            return entry_bad(err, e, "out of order");
        if (common == n && (n == 0 || e->path[n] == '/') &&
            record(w, w->n - 1)[REC_TYPE] != ENTRY_DIR)
            return err_set(err, ERR_CORRUPT, "'%s': '%s' is not a directory", e->path, before);
        for (start = common; start > 0 && e->path[start - 1] != '/';)
            start--; /* what is before is the same as before, and was looked at there */
    }
    if (len > 0 && !path_components_ok(e->path + start, len - start))
        return err_set(err, ERR_CORRUPT, "'%.256s': not a clean path", e->path);
    return 0;
}

static int check_xattrs(const struct entry *e, struct err *err)
{
    for (size_t i = 1; i < e->n_xattrs; i++)
        if (strcmp(e->xattrs[i - 1].name, e->xattrs[i].name) >= 0)
            return entry_bad(err, e, "xattrs out of order");
    return 0;
}

/* 1 + the record of that path; 0: there is none. */
static uint32_t find(const struct listing_writer *w, const char *path)
{
    size_t len = strlen(path), low = 0, high = w->n, n, common;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        const char *p = path_at(w, mid, &n);
        int order = path_cmp_n(p, n, path, len, &common);
        if (order == 0)
            return (uint32_t)mid + 1;
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return 0;
}

/* *ret is 1 + the record of the first name of the file that e is a link to. */
static int find_first(const struct listing_writer *w, const struct entry *e, uint32_t *ret,
                      struct err *err)
{
    uint32_t to = find(w, e->hardlink);
    if (to == 0 || record(w, to - 1)[REC_TYPE] != ENTRY_FILE)
        return err_set(err, ERR_CORRUPT, "'%s': hard link to '%s', which is no file before it",
                       e->path, e->hardlink);
    const uint8_t *r = record(w, to - 1);
    assert(get64(r + REC_SIZE) == e->size && get16(r + REC_MODE) == e->mode &&
           memcmp(r + REC_CONTENT, e->content.b, DIGEST_LEN) == 0);
    *ret = get32(r + REC_A) ? get32(r + REC_A) : to;
    return 0;
}

int listing_writer_add(struct listing_writer *w, const struct entry *e, struct err *err)
{
    size_t len = strlen(e->path);
    uint32_t first = 0;
    if (check_path(w, e, len, err) < 0 || check_fields(e, err) < 0 || check_xattrs(e, err) < 0)
        return err->code;
    if (e->type == ENTRY_FILE && e->hardlink != NULL && find_first(w, e, &first, err) < 0)
        return err->code;
    struct entry plain = entry_plain(e);
    return writer_put(w, e->path, len, &plain, first, err);
}

/* ---- The whole ---- */

static void put_head(const struct listing_writer *w, const struct content_id *id,
                     uint8_t head[HEAD_LEN])
{
    memcpy(head, LISTING_MAGIC, HEAD_VERSION);
    put32(head + HEAD_VERSION, LISTING_VERSION);
    put32(head + HEAD_ENTRIES, w->n);
    put32(head + HEAD_XATTRS, w->n_xattrs);
    put32(head + HEAD_POOL, (uint32_t)w->pool.len);
    put64(head + HEAD_TOTAL, w->total_size);
    memcpy(head + HEAD_ID, id->d.b, DIGEST_LEN);
}

void listing_writer_end(struct listing_writer *w, struct buf *ret, struct content_id *ret_id)
{
    uint8_t head[HEAD_LEN], tail[TAIL_LEN];
    struct content_id id;
    hasher_end(w->hasher, &id.d);
    if (ret_id)
        *ret_id = id;
    if (ret == NULL)
        return;
    put_head(w, &id, head);
    buf_clear(ret);
    buf_room(ret, HEAD_LEN + w->records.len + w->xattrs.len + w->pool.len + TAIL_LEN);
    buf_add(ret, head, HEAD_LEN);
    buf_add(ret, w->records.data, w->records.len);
    buf_add(ret, w->xattrs.data, w->xattrs.len);
    buf_add(ret, w->pool.data, w->pool.len);
    put64(tail, quick_hash(ret->data, ret->len, 0));
    buf_add(ret, tail, TAIL_LEN);
}

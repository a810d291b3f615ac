#include "image/listing.h"
#include "image/listing_internal.h"

#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Up to how many bytes a file is read at once, when all of it will be looked at, or parts. */
#define SMALL_WHOLE (256u << 10)
#define SMALL_PARTS (32u << 10)

/* ---- Opening ---- */

void listing_free(struct listing *l)
{
    if (l == NULL)
        return;
    if (l->mapped)
        munmap(l->mapped, l->len);
    mem_free(l->owned);
    if (l->late)
        mem_free(atomic_load(&l->late->xattrs));
    mem_free(l->late);
    mem_free(l);
}

static int take_head(struct listing *l, struct err *err)
{
    const uint8_t *p = l->data;
    if (l->len < HEAD_LEN + TAIL_LEN || memcmp(p, LISTING_MAGIC, HEAD_VERSION) != 0)
        return err_set(err, ERR_CORRUPT, "listing: no listing");
    if (get32(p + HEAD_VERSION) != LISTING_VERSION)
        return err_set(err, ERR_UNSUPPORTED, "listing: version %u, not %u", get32(p + HEAD_VERSION),
                       LISTING_VERSION);
    l->n = get32(p + HEAD_ENTRIES);
    l->n_xattrs = get32(p + HEAD_XATTRS);
    l->pool_len = get32(p + HEAD_POOL);
    l->total_size = get64(p + HEAD_TOTAL);
    memcpy(l->id.d.b, p + HEAD_ID, DIGEST_LEN);
    uint64_t want = HEAD_LEN + (uint64_t)l->n * REC_LEN + (uint64_t)l->n_xattrs * XATTR_LEN +
                    l->pool_len + TAIL_LEN;
    if (l->n > LISTING_ENTRIES_MAX || l->pool_len == 0 || want != l->len)
        return err_set(err, ERR_CORRUPT, "listing: its length does not fit its counts");
    l->records = p + HEAD_LEN;
    l->xattrs = l->records + l->n * REC_LEN;
    l->pool = (const char *)(l->xattrs + l->n_xattrs * XATTR_LEN);
    if (l->pool[0] != '\0' || l->pool[l->pool_len - 1] != '\0')
        return err_set(err, ERR_CORRUPT, "listing: its strings do not begin and end with a NUL");
    l->late = mem_zalloc(sizeof(*l->late));
    return 0;
}

static int take_buf(struct listing *l, struct buf *b, struct err *err)
{
    l->len = b->len;
    l->owned = buf_take(b);
    l->data = l->owned;
    return take_head(l, err);
}

struct listing *listing_open_buf(struct buf *b, struct err *err)
{
    AUTO(listing_free) struct listing *l = mem_zalloc(sizeof(*l));
    return take_buf(l, b, err) < 0 || listing_check(l, err) < 0 ? NULL : TAKE(l);
}

struct listing *listing_trust_buf(struct buf *b, unsigned facts, struct err *err)
{
    AUTO(listing_free) struct listing *l = mem_zalloc(sizeof(*l));
    l->facts = facts;
    return take_buf(l, b, err) < 0 ? NULL : TAKE(l);
}

static int read_file(struct listing *l, int fd, size_t size, struct err *err)
{
    AUTO(buf_release) struct buf b = BUF_INIT;
    size_t got = 0;
    if (lseek(fd, 0, SEEK_SET) < 0 && errno != ESPIPE)
        return err_sys(err, errno, "cannot read a listing");
    if (fd_read_full(fd, buf_room(&b, size), size, &got, err) < 0)
        return err->code;
    b.len += got;
    return take_buf(l, &b, err);
}

static int map_file(struct listing *l, int fd, size_t size, int flags, struct err *err)
{
    void *p = mmap(NULL, size, PROT_READ, MAP_PRIVATE | flags, fd, 0);
    if (p == MAP_FAILED)
        return err_sys(err, errno, "cannot map a listing");
    l->mapped = p;
    l->data = p;
    l->len = size;
    return take_head(l, err);
}

/* Files of up to small bytes are read: cheaper than a mapping and its faults. */
static int take_file(struct listing *l, int fd, size_t small, int flags, struct err *err)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return err_sys(err, errno, "cannot open a listing");
    if (!S_ISREG(st.st_mode) || st.st_size < HEAD_LEN + TAIL_LEN || st.st_size > INT64_C(1) << 34)
        return err_set(err, ERR_CORRUPT, "listing: no listing");
    size_t size = (size_t)st.st_size;
    return size <= small ? read_file(l, fd, size, err) : map_file(l, fd, size, flags, err);
}

struct listing *listing_open_fd(int fd, struct err *err)
{
    AUTO(listing_free) struct listing *l = mem_zalloc(sizeof(*l));
    if (take_file(l, fd, SMALL_WHOLE, MAP_POPULATE, err) < 0 || listing_check(l, err) < 0)
        return NULL;
    return TAKE(l);
}

struct listing *listing_open_trusted(int fd, unsigned facts, struct err *err)
{
    AUTO(listing_free) struct listing *l = mem_zalloc(sizeof(*l));
    l->facts = facts;
    return take_file(l, fd, SMALL_PARTS, 0, err) < 0 ? NULL : TAKE(l);
}

struct listing *listing_empty(void)
{
    AUTO(listing_builder_free) struct listing_builder *b = listing_builder_new();
    AUTO(buf_release) struct buf bytes = BUF_INIT;
    struct err err = ERR_INIT;
    if (listing_builder_write(b, &bytes, NULL, &err) < 0)
        abort();
    struct listing *l = listing_open_buf(&bytes, &err);
    if (l == NULL)
        abort();
    return l;
}

/* ---- Reading ---- */

size_t listing_len(const struct listing *l)
{
    return l->n;
}

const struct content_id *listing_content_id(const struct listing *l)
{
    return &l->id;
}

uint64_t listing_size(const struct listing *l)
{
    return l->len;
}

uint64_t listing_total_size(const struct listing *l)
{
    return l->total_size;
}

unsigned listing_facts(const struct listing *l)
{
    return l->facts;
}

bool listing_is_damaged(const struct listing *l)
{
    return atomic_load_explicit(&l->late->is_damaged, memory_order_relaxed);
}

uint64_t listing_quick_hash(const struct listing *l)
{
    return quick_hash(l->data, l->len, 0);
}

/*
 * From here on: whatever the bytes are, nothing outside of them is read. That
 * they are good was found out at some time; when they no longer are, what
 * cannot be is as good as not there, and it is said once.
 */

static __attribute__((cold)) void note_damage(const struct listing *l)
{
    if (!atomic_exchange(&l->late->is_damaged, true))
        log_warn("image", "a listing of %zu entries is damaged", l->n);
}

/* A string of len bytes, or "", which begins the pool. */
static const char *text_at(const struct listing *l, size_t off, size_t len)
{
    if (listing_has_string(l, off, len))
        return l->pool + off;
    note_damage(l);
    return l->pool;
}

const char *listing_path(const struct listing *l, size_t i, size_t *ret_len)
{
    const uint8_t *r = listing_record(l, i);
    size_t len = get16(r + REC_PATH_LEN);
    const char *path = text_at(l, get32(r + REC_PATH), len);
    *ret_len = path == l->pool ? 0 : len;
    return path;
}

static enum entry_type type_of(const struct listing *l, const uint8_t *r)
{
    static const bool known[256] = {
        [ENTRY_FILE] = true,  [ENTRY_DIR] = true,  [ENTRY_LINK] = true,     [ENTRY_CHAR] = true,
        [ENTRY_BLOCK] = true, [ENTRY_FIFO] = true, [ENTRY_WHITEOUT] = true,
    };
    if (known[r[REC_TYPE]])
        return r[REC_TYPE];
    note_damage(l);
    return ENTRY_FIFO;
}

enum entry_type listing_type(const struct listing *l, size_t i)
{
    return type_of(l, listing_record(l, i));
}

/* The name that a hard link's record points to: an earlier one, and no link itself. */
static const char *first_name(const struct listing *l, const uint8_t *r, size_t i)
{
    const uint8_t *to = i < l->n ? listing_record(l, i) : r;
    if (to < r && get32(to + REC_A) == 0)
        return text_at(l, get32(to + REC_PATH), get16(to + REC_PATH_LEN));
    note_damage(l);
    return NULL;
}

static const void *carried(const struct listing *l, size_t off, uint64_t size)
{
    if (size <= LISTING_INLINE_MAX && listing_in_pool(l, off, size))
        return l->pool + off;
    note_damage(l);
    return NULL;
}

/* What the two numbers mean depends on the type. */
static void take_numbers(const struct listing *l, const uint8_t *r, struct entry *e)
{
    uint32_t a = get32(r + REC_A), b = get32(r + REC_B);
    if (e->type == ENTRY_FILE) {
        if (a > 0)
            e->hardlink = first_name(l, r, a - 1);
        if (r[REC_FLAGS] & FLAG_INLINE)
            e->inline_data = carried(l, b, e->size);
    } else if (e->type == ENTRY_LINK) {
        e->target = text_at(l, a, b);
    } else if (e->type == ENTRY_CHAR || e->type == ENTRY_BLOCK) {
        e->dev_major = a;
        e->dev_minor = b;
    }
}

bool listing_xattr(const struct listing *l, size_t i, struct entry_xattr *ret)
{
    const uint8_t *p = l->xattrs + i * XATTR_LEN;
    size_t name = get32(p + XATTR_NAME), value = get32(p + XATTR_VALUE);
    size_t len = get32(p + XATTR_VALUE_LEN);
    if (name >= l->pool_len || l->pool[name] == '\0' || strnlen(l->pool + name, 256) > 255 ||
        len > LISTING_XATTR_MAX || !listing_in_pool(l, value, len))
        return false; /* the pool ends with a NUL */
    *ret = (struct entry_xattr){ .name = l->pool + name, .value = l->pool + value, .len = len };
    return true;
}

static struct entry_xattr *make_xattrs(const struct listing *l)
{
    struct entry_xattr *table = mem_calloc(l->n_xattrs, sizeof(*table));
    for (size_t i = 0; i < l->n_xattrs; i++)
        if (!listing_xattr(l, i, &table[i])) {
            note_damage(l);
            table[i] = (struct entry_xattr){ .name = l->pool, .value = l->pool };
        }
    return table;
}

/* Names and values as pointers, made when they are first asked for: few layers have any. */
static const struct entry_xattr *xattr_table(const struct listing *l)
{
    struct entry_xattr *table = atomic_load(&l->late->xattrs), *own;
    if (table)
        return table;
    own = make_xattrs(l);
    if (atomic_compare_exchange_strong(&l->late->xattrs, &table, own))
        return own;
    mem_free(own); /* another thread was first */
    return table;
}

static void take_xattrs(const struct listing *l, const uint8_t *r, struct entry *e)
{
    size_t n = get16(r + REC_N_XATTRS), first = get32(r + REC_XATTRS);
    if (n == 0)
        return;
    if (n > LISTING_XATTRS_MAX || first > l->n_xattrs || n > l->n_xattrs - first) {
        note_damage(l);
        return;
    }
    e->n_xattrs = n;
    e->xattrs = xattr_table(l) + first;
}

void listing_at(const struct listing *l, size_t i, struct entry *ret)
{
    const uint8_t *r = listing_record(l, i);
    uint32_t ns = get32(r + REC_MTIME_NS);
    *ret = (struct entry){
        .path = text_at(l, get32(r + REC_PATH), get16(r + REC_PATH_LEN)),
        .type = type_of(l, r),
        .opaque = r[REC_TYPE] == ENTRY_DIR && (r[REC_FLAGS] & FLAG_OPAQUE) != 0,
        .mode = get16(r + REC_MODE) & 07777,
        .uid = get32(r + REC_UID),
        .gid = get32(r + REC_GID),
        .size = get64(r + REC_SIZE),
        .mtime = (int64_t)get64(r + REC_MTIME),
        .mtime_ns = ns <= 999999999 ? ns : 0,
    };
    memcpy(ret->content.b, r + REC_CONTENT, DIGEST_LEN);
    take_numbers(l, r, ret);
    take_xattrs(l, r, ret);
}

bool listing_next_hardlink(const struct listing *l, size_t *i, struct entry *ret)
{
    while ((l->facts & LISTING_HAS_LINKS) && *i < l->n) {
        const uint8_t *r = listing_record(l, (*i)++);
        if (r[REC_TYPE] != ENTRY_FILE || get32(r + REC_A) == 0)
            continue;
        listing_at(l, *i - 1, ret);
        if (ret->hardlink != NULL) /* else it was damaged after its check */
            return true;
    }
    return false;
}

size_t listing_lower_bound(const struct listing *l, const char *path, size_t len)
{
    size_t low = 0, high = l->n, common, n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        const char *p = listing_path(l, mid, &n);
        if (path_cmp_n(p, n, path, len, &common) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static bool at_or_below(const struct listing *l, size_t i, const char *path, size_t len)
{
    size_t n;
    const char *p = listing_path(l, i, &n);
    return n >= len && memcmp(p, path, len) == 0 && (n == len || len == 0 || p[len] == '/');
}

size_t listing_subtree_end(const struct listing *l, size_t i, const char *path, size_t len)
{
    size_t low = i, step = 1;
    while (low < l->n && at_or_below(l, low, path, len)) {
        i = low;
        low += step;
        step *= 2;
    }
    size_t high = low < l->n ? low : l->n;
    while (i < high) {
        size_t mid = i + (high - i) / 2;
        if (at_or_below(l, mid, path, len))
            i = mid + 1;
        else
            high = mid;
    }
    return i;
}

bool listing_find(const struct listing *l, const char *path, struct entry *ret)
{
    size_t len = strlen(path), n;
    size_t i = listing_lower_bound(l, path, len);
    if (i == l->n)
        return false;
    const char *p = listing_path(l, i, &n);
    if (n != len || memcmp(p, path, len) != 0)
        return false;
    if (ret)
        listing_at(l, i, ret);
    return true;
}

bool listing_range(const struct listing *l, const char *path, size_t *ret_first, size_t *ret_end)
{
    size_t len = strlen(path);
    size_t first = listing_lower_bound(l, path, len);
    if (first == l->n || !at_or_below(l, first, path, len))
        return false;
    *ret_first = first;
    *ret_end = listing_subtree_end(l, first, path, len);
    return true;
}

/* ---- Identity ---- */

/* Gathers small fields, so that the hash is called once or twice for an entry. */
struct stage {
    struct hasher *h;
    size_t n;
    uint8_t b[512];
};

static void stage_add(struct stage *s, const void *p, size_t n)
{
    if (n > sizeof(s->b) - s->n) {
        hasher_add(s->h, s->b, s->n);
        s->n = 0;
    }
    if (n > sizeof(s->b))
        hasher_add(s->h, p, n);
    else if (n > 0)
        memcpy(s->b + s->n, p, n);
    s->n += n > sizeof(s->b) ? 0 : n;
}

static void stage_32(struct stage *s, uint32_t v)
{
    uint8_t b[4];
    put32(b, v);
    stage_add(s, b, sizeof(b));
}

static void stage_bytes(struct stage *s, const void *p, size_t n)
{
    stage_32(s, (uint32_t)n);
    stage_add(s, p, n);
}

static bool is_device(const struct entry *e)
{
    return e->type == ENTRY_CHAR || e->type == ENTRY_BLOCK;
}

static uint16_t mode_of(const struct entry *e)
{
    if (e->type == ENTRY_WHITEOUT)
        return 0;
    return e->type == ENTRY_LINK ? 0777 : e->mode & 07777;
}

void entry_hash(struct hasher *h, const struct entry *e, const char *path)
{
    static const struct digest none;
    struct stage s = { .h = h };
    bool file = e->type == ENTRY_FILE, bare = e->type == ENTRY_WHITEOUT;
    uint8_t fixed[64] = { 0 };

    fixed[0] = (uint8_t)e->type;
    fixed[1] = e->type == ENTRY_DIR && e->opaque;
    put16(fixed + 2, mode_of(e));
    put32(fixed + 4, bare ? 0 : e->uid);
    put32(fixed + 8, bare ? 0 : e->gid);
    put32(fixed + 12, is_device(e) ? e->dev_major : 0);
    put32(fixed + 16, is_device(e) ? e->dev_minor : 0);
    put64(fixed + 20, file ? e->size : 0);
    memcpy(fixed + 28, file ? e->content.b : none.b, DIGEST_LEN);
    stage_add(&s, fixed, 60);
    stage_bytes(&s, path, strlen(path));
    stage_bytes(&s, e->target, e->type == ENTRY_LINK ? strlen(e->target) : 0);
    stage_32(&s, bare ? 0 : (uint32_t)e->n_xattrs);
    for (size_t i = 0; !bare && i < e->n_xattrs; i++) {
        stage_bytes(&s, e->xattrs[i].name, strlen(e->xattrs[i].name));
        stage_bytes(&s, e->xattrs[i].value, e->xattrs[i].len);
    }
    hasher_add(h, s.b, s.n);
}

static bool same_xattrs(const struct entry *a, const struct entry *b)
{
    if (a->n_xattrs != b->n_xattrs)
        return false;
    for (size_t i = 0; i < a->n_xattrs; i++) {
        const struct entry_xattr *x = &a->xattrs[i], *y = &b->xattrs[i];
        if (strcmp(x->name, y->name) != 0 || x->len != y->len ||
            (x->len > 0 && memcmp(x->value, y->value, x->len) != 0))
            return false;
    }
    return true;
}

bool entry_same(const struct entry *a, const struct entry *b)
{
    if (a->type != b->type)
        return false;
    if (a->type == ENTRY_WHITEOUT)
        return true;
    if (mode_of(a) != mode_of(b) || a->uid != b->uid || a->gid != b->gid || !same_xattrs(a, b))
        return false;
    if (a->type == ENTRY_FILE)
        return a->size == b->size && digest_eq(&a->content, &b->content);
    if (a->type == ENTRY_LINK)
        return strcmp(a->target, b->target) == 0;
    return !is_device(a) || (a->dev_major == b->dev_major && a->dev_minor == b->dev_minor);
}

void listing_compute_content_id(const struct listing *l, struct content_id *ret)
{
    AUTO(hasher_free) struct hasher *h = hasher_new();
    struct entry e;
    hasher_add(h, LISTING_RECIPE, sizeof(LISTING_RECIPE));
    for (size_t i = 0; i < l->n; i++) {
        listing_at(l, i, &e);
        entry_hash(h, &e, e.path);
    }
    hasher_end(h, &ret->d);
}

int listing_verify(const struct listing *l, struct err *err)
{
    size_t body = l->len - TAIL_LEN;
    struct content_id id;
    if (quick_hash(l->data, body, 0) != get64(l->data + body))
        return err_set(err, ERR_CORRUPT, "listing: its bytes are damaged");
    listing_compute_content_id(l, &id);
    if (!digest_eq(&id.d, &l->id.d))
        return err_set(err, ERR_CORRUPT, "listing: its content id is wrong");
    return 0;
}

bool listing_wants_inline(const char *path)
{
    static const char *const wanted[] = { "etc/group", "etc/os-release", "etc/passwd",
                                          "usr/lib/os-release" };
    for (size_t i = 0; i < ARRAY_LEN(wanted); i++)
        if (strcmp(path, wanted[i]) == 0)
            return true;
    return false;
}

#include "image/listing.h"
#include "image/listing_internal.h"

#include "base/fs.h"
#include "base/mem.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct listing {
    const uint8_t *data;
    size_t len;
    void *owned;  /* memory of ours, or NULL */
    void *mapped; /* a mapping of len bytes, or NULL */

    const uint8_t *records;
    const char *pool;
    size_t n, pool_len;
    struct entry_xattr *xattrs; /* all tables one after the other */
    size_t n_xattrs;
    uint64_t total_size;
    struct content_id id;
    bool has_opaque;

    /* While it is checked: tables and content may be used once each, so that the work is bounded.
     */
    size_t seen_xattrs, seen_inline;
};

static const uint8_t *record(const struct listing *l, size_t i)
{
    return l->records + i * REC_LEN;
}

/* ---- The check at open ---- */

static int bad(struct err *err, size_t i, const char *what)
{
    return err_set(err, ERR_CORRUPT, "listing: entry %zu: %s", i, what);
}

bool path_components_ok(const char *p, size_t n)
{
    size_t start = 0;
    for (size_t i = 0; i <= n; i++) {
        if (i < n && p[i] != '/') {
            if (p[i] == '\0')
                return false;
            continue;
        }
        size_t len = i - start;
        if (len <= 2 && (len == 0 || (p[start] == '.' && (len == 1 || p[start + 1] == '.'))))
            return false;
        start = i + 1;
    }
    return true;
}

static bool in_pool(const struct listing *l, uint64_t off, uint64_t len)
{
    return off <= l->pool_len && len <= l->pool_len - off;
}

/* A string of len bytes and its NUL. */
static bool string_ok(const struct listing *l, uint64_t off, uint64_t len)
{
    return in_pool(l, off, len + 1) && l->pool[off + len] == '\0';
}

/* Path form, and that it comes after the one before and not below something that is no directory.
 */
static const char *check_path(const struct listing *l, size_t i, const uint8_t *r)
{
    size_t off = get32(r + REC_PATH), len = get16(r + REC_PATH_LEN);
    if (len > LISTING_PATH_MAX || !string_ok(l, off, len))
        return "its path is outside of the listing";
    const char *path = l->pool + off;
    size_t start = 0;
    if (i > 0) {
        const uint8_t *before = r - REC_LEN;
        size_t before_len = get16(before + REC_PATH_LEN), common;
        if (path_cmp_n(l->pool + get32(before + REC_PATH), before_len, path, len, &common) >= 0)
            return "its path is out of order";
        if (common == before_len && (before_len == 0 || path[common] == '/') &&
            before[REC_TYPE] != ENTRY_DIR)
            return "its path is below something that is no directory";
        /* What is the same as before was found good there, up to the component that differs. */
        for (start = common; start > 0 && path[start - 1] != '/';)
            start--;
    }
    if (len > 0 && !path_components_ok(path + start, len - start))
        return "its path is not clean";
    return NULL;
}

static const char *check_xattrs(struct listing *l, const uint8_t *r)
{
    size_t n = get16(r + REC_N_XATTRS), first = get32(r + REC_XATTRS);
    if (r[REC_TYPE] == ENTRY_FILE && get32(r + REC_A) > 0)
        return NULL; /* the same as its target's */
    if (n == 0)
        return first == 0 ? NULL : "it has a table of no xattrs";
    if (first != l->seen_xattrs || n > LISTING_XATTRS_MAX || n > l->n_xattrs - first)
        return "its xattrs are not the next ones";
    l->seen_xattrs += n;
    for (size_t i = first + 1; i < first + n; i++)
        if (strcmp(l->xattrs[i - 1].name, l->xattrs[i].name) >= 0)
            return "its xattrs are out of order";
    return NULL;
}

static const char *check_inline(struct listing *l, const uint8_t *r)
{
    uint64_t off = get32(r + REC_B), size = get64(r + REC_SIZE);
    struct digest got;
    if (size > LISTING_INLINE_MAX || !in_pool(l, off, size) || size > l->pool_len - l->seen_inline)
        return "its content is outside of the listing";
    l->seen_inline += size;
    digest_of(l->pool + off, size, &got);
    return memcmp(got.b, r + REC_CONTENT, DIGEST_LEN) == 0 ? NULL
                                                           : "its content has another digest";
}

/* The fields that names of one file have in common, content and xattrs included. */
static bool same_file(const uint8_t *a, const uint8_t *b)
{
    return memcmp(a + REC_MODE, b + REC_MODE, REC_A - REC_MODE) == 0 &&
           memcmp(a + REC_B, b + REC_B, REC_LEN - REC_B) == 0;
}

static const char *check_file(struct listing *l, size_t i, const uint8_t *r)
{
    uint32_t link = get32(r + REC_A);
    if (link > 0) {
        if (link > i)
            return "it is a hard link to a later entry";
        const uint8_t *to = record(l, link - 1);
        if (get32(to + REC_A) != 0 || !same_file(to, r))
            return "it differs from what it is a hard link to";
        return NULL;
    }
    if (__builtin_add_overflow(l->total_size, get64(r + REC_SIZE), &l->total_size))
        return "its size is too large";
    if (r[REC_FLAGS] & FLAG_INLINE)
        return check_inline(l, r);
    return get32(r + REC_B) == 0 ? NULL : "it has a place of content but none carried";
}

static bool all_zero(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] != 0)
            return false;
    return true;
}

static const char *check_link(const struct listing *l, const uint8_t *r)
{
    size_t off = get32(r + REC_A), len = get32(r + REC_B);
    if (len == 0 || len > LISTING_PATH_MAX || !string_ok(l, off, len) ||
        memchr(l->pool + off, '\0', len) != NULL)
        return "its target is outside of the listing";
    return get16(r + REC_MODE) == 0777 ? NULL : "it is a link with a mode";
}

static const char *check_whiteout(const uint8_t *r)
{
    bool bare = get16(r + REC_MODE) == 0 && get16(r + REC_N_XATTRS) == 0 &&
                all_zero(r + REC_UID, REC_SIZE - REC_UID) && all_zero(r + REC_MTIME, 8);
    return bare ? NULL : "it is a whiteout with attributes";
}

static const char *check_kind(struct listing *l, size_t i, const uint8_t *r)
{
    uint8_t type = r[REC_TYPE], allowed = 0;
    const char *why = NULL;
    if (type == ENTRY_FILE) {
        allowed = FLAG_INLINE;
        why = check_file(l, i, r);
    } else if (!all_zero(r + REC_SIZE, 8) || !all_zero(r + REC_CONTENT, DIGEST_LEN)) {
        why = "it is no file and has content";
    } else if (type == ENTRY_LINK) {
        why = check_link(l, r);
    } else if (type == ENTRY_DIR || type == ENTRY_FIFO || type == ENTRY_WHITEOUT) {
        allowed = type == ENTRY_DIR ? FLAG_OPAQUE : 0;
        l->has_opaque |= (r[REC_FLAGS] & FLAG_OPAQUE) != 0;
        why = !all_zero(r + REC_A, 8) ? "it is no device and has a number" : NULL;
        if (type == ENTRY_WHITEOUT && why == NULL)
            why = check_whiteout(r);
    } else if (type != ENTRY_CHAR && type != ENTRY_BLOCK) {
        why = "its type is unknown";
    }
    if (why == NULL && (r[REC_FLAGS] & ~allowed) != 0)
        why = "its flags are unknown";
    return why;
}

static int check_records(struct listing *l, struct err *err)
{
    for (size_t i = 0; i < l->n; i++) {
        const uint8_t *r = record(l, i);
        const char *why = check_path(l, i, r);
        if (why == NULL)
            why = check_kind(l, i, r);
        if (why == NULL && (get16(r + REC_N_XATTRS) != 0 || get32(r + REC_XATTRS) != 0))
            why = check_xattrs(l, r);
        if (why == NULL && get16(r + REC_MODE) > 07777)
            why = "its mode is no mode";
        if (why == NULL && get32(r + REC_MTIME_NS) > 999999999)
            why = "its time is no time";
        if (why == NULL && i == 0 && get16(r + REC_PATH_LEN) == 0 && r[REC_TYPE] != ENTRY_DIR)
            why = "the root is no directory";
        if (why)
            return bad(err, i, why);
    }
    return 0;
}

static bool xattr_name_ok(const struct listing *l, size_t off)
{
    if (off >= l->pool_len || l->pool[off] == '\0')
        return false;
    size_t rest = l->pool_len - off;
    return memchr(l->pool + off, '\0', rest < 256 ? rest : 256) != NULL;
}

/* The one thing that is made at open: names and values as pointers. */
static int take_xattrs(struct listing *l, const uint8_t *p, struct err *err)
{
    l->xattrs = l->n_xattrs ? mem_calloc(l->n_xattrs, sizeof(*l->xattrs)) : NULL;
    for (size_t i = 0; i < l->n_xattrs; i++, p += XATTR_LEN) {
        size_t name = get32(p + XATTR_NAME), value = get32(p + XATTR_VALUE);
        size_t len = get32(p + XATTR_VALUE_LEN);
        if (!xattr_name_ok(l, name) || len > LISTING_XATTR_MAX || !in_pool(l, value, len))
            return err_set(err, ERR_CORRUPT, "listing: xattr %zu is outside of it", i);
        l->xattrs[i] =
            (struct entry_xattr){ .name = l->pool + name, .value = l->pool + value, .len = len };
    }
    return 0;
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
    memcpy(l->id.d.b, p + HEAD_ID, DIGEST_LEN);
    uint64_t want = HEAD_LEN + (uint64_t)l->n * REC_LEN + (uint64_t)l->n_xattrs * XATTR_LEN +
                    l->pool_len + TAIL_LEN;
    if (l->n > LISTING_ENTRIES_MAX || l->pool_len == 0 || want != l->len)
        return err_set(err, ERR_CORRUPT, "listing: its length does not fit its counts");
    l->records = p + HEAD_LEN;
    const uint8_t *xattrs = l->records + l->n * REC_LEN;
    l->pool = (const char *)(xattrs + l->n_xattrs * XATTR_LEN);
    if (l->pool[0] != '\0' || l->pool[l->pool_len - 1] != '\0')
        return err_set(err, ERR_CORRUPT, "listing: its strings do not begin and end with a NUL");
    return take_xattrs(l, xattrs, err);
}

static int check(struct listing *l, struct err *err)
{
    if (take_head(l, err) < 0 || check_records(l, err) < 0)
        return err->code;
    if (l->seen_xattrs != l->n_xattrs)
        return err_set(err, ERR_CORRUPT, "listing: xattrs that are nobody's");
    if (l->total_size != get64(l->data + HEAD_TOTAL))
        return err_set(err, ERR_CORRUPT, "listing: its total size is wrong");
    return 0;
}

/* ---- Opening ---- */

void listing_free(struct listing *l)
{
    if (l == NULL)
        return;
    if (l->mapped)
        munmap(l->mapped, l->len);
    mem_free(l->owned);
    mem_free(l->xattrs);
    mem_free(l);
}

struct listing *listing_open_buf(struct buf *b, struct err *err)
{
    AUTO(listing_free) struct listing *l = mem_zalloc(sizeof(*l));
    l->len = b->len;
    l->owned = buf_take(b);
    l->data = l->owned;
    if (check(l, err) < 0)
        return NULL;
    return TAKE(l);
}

/* Small ones are read: cheaper than a mapping and its faults. */
static struct listing *open_small(int fd, size_t size, struct err *err)
{
    AUTO(buf_release) struct buf b = BUF_INIT;
    size_t got = 0;
    if (lseek(fd, 0, SEEK_SET) < 0 && errno != ESPIPE) {
        err_sys(err, errno, "cannot read a listing");
        return NULL;
    }
    if (fd_read_full(fd, buf_room(&b, size), size, &got, err) < 0)
        return NULL;
    b.len += got;
    return listing_open_buf(&b, err);
}

struct listing *listing_open_fd(int fd, struct err *err)
{
    struct stat st;
    if (fstat(fd, &st) < 0) {
        err_sys(err, errno, "cannot open a listing");
        return NULL;
    }
    if (!S_ISREG(st.st_mode) || st.st_size < HEAD_LEN + TAIL_LEN || st.st_size > INT64_C(1) << 34) {
        err_set(err, ERR_CORRUPT, "listing: no listing");
        return NULL;
    }
    if (st.st_size <= 256 * 1024)
        return open_small(fd, (size_t)st.st_size, err);
    AUTO(listing_free) struct listing *l = mem_zalloc(sizeof(*l));
    void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
    if (p == MAP_FAILED) {
        err_sys(err, errno, "cannot map a listing");
        return NULL;
    }
    l->mapped = p;
    l->data = p;
    l->len = (size_t)st.st_size;
    if (check(l, err) < 0)
        return NULL;
    return TAKE(l);
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

uint64_t listing_total_size(const struct listing *l)
{
    return l->total_size;
}

bool listing_has_opaque(const struct listing *l)
{
    return l->has_opaque;
}

const char *listing_path(const struct listing *l, size_t i, size_t *ret_len)
{
    const uint8_t *r = record(l, i);
    *ret_len = get16(r + REC_PATH_LEN);
    return l->pool + get32(r + REC_PATH);
}

enum entry_type listing_type(const struct listing *l, size_t i)
{
    return record(l, i)[REC_TYPE];
}

/* What the two numbers mean depends on the type. */
static void take_numbers(const struct listing *l, const uint8_t *r, struct entry *e)
{
    uint32_t a = get32(r + REC_A), b = get32(r + REC_B);
    if (e->type == ENTRY_FILE) {
        if (a > 0)
            e->hardlink = l->pool + get32(record(l, a - 1) + REC_PATH);
        if (r[REC_FLAGS] & FLAG_INLINE)
            e->inline_data = l->pool + b;
    } else if (e->type == ENTRY_LINK) {
        e->target = l->pool + a;
    } else if (e->type == ENTRY_CHAR || e->type == ENTRY_BLOCK) {
        e->dev_major = a;
        e->dev_minor = b;
    }
}

void listing_at(const struct listing *l, size_t i, struct entry *ret)
{
    const uint8_t *r = record(l, i);
    *ret = (struct entry){
        .path = l->pool + get32(r + REC_PATH),
        .type = r[REC_TYPE],
        .opaque = (r[REC_FLAGS] & FLAG_OPAQUE) != 0,
        .mode = get16(r + REC_MODE),
        .uid = get32(r + REC_UID),
        .gid = get32(r + REC_GID),
        .size = get64(r + REC_SIZE),
        .mtime = (int64_t)get64(r + REC_MTIME),
        .mtime_ns = get32(r + REC_MTIME_NS),
        .n_xattrs = get16(r + REC_N_XATTRS),
    };
    memcpy(ret->content.b, r + REC_CONTENT, DIGEST_LEN);
    if (ret->n_xattrs > 0)
        ret->xattrs = l->xattrs + get32(r + REC_XATTRS);
    take_numbers(l, r, ret);
}

bool listing_next_hardlink(const struct listing *l, size_t *i, struct entry *ret)
{
    while (*i < l->n) {
        const uint8_t *r = record(l, (*i)++);
        if (r[REC_TYPE] != ENTRY_FILE || get32(r + REC_A) == 0)
            continue;
        listing_at(l, *i - 1, ret);
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

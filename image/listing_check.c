/* What opening a listing checks: whoever wrote it, no accessor can fail afterwards. */
#include "image/listing_internal.h"

struct check {
    const struct listing *l;
    /* Tables and content may be used once each, so that the work is bounded. */
    size_t seen_xattrs, seen_inline;
    uint64_t total_size;
    unsigned facts;
};

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

/* Path form, and that it comes after the one before and not below something that is no directory.
 */
static const char *check_path(const struct listing *l, size_t i, const uint8_t *r)
{
    size_t off = get32(r + REC_PATH), len = get16(r + REC_PATH_LEN);
    if (len > LISTING_PATH_MAX || !listing_has_string(l, off, len))
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

static const char *check_xattrs(struct check *c, const uint8_t *r)
{
    size_t n = get16(r + REC_N_XATTRS), first = get32(r + REC_XATTRS);
    struct entry_xattr x, before = { .name = "" };
    if (r[REC_TYPE] == ENTRY_FILE && get32(r + REC_A) > 0)
        return NULL; /* the same as its target's */
    if (n == 0)
        return first == 0 ? NULL : "it has a table of no xattrs";
    if (first != c->seen_xattrs || n > LISTING_XATTRS_MAX || n > c->l->n_xattrs - first)
        return "its xattrs are not the next ones";
    c->seen_xattrs += n;
    for (size_t i = first; i < first + n; i++) {
        if (!listing_xattr(c->l, i, &x))
            return "its xattrs are outside of the listing";
        if (strcmp(before.name, x.name) >= 0) /* no name is empty */
            return "its xattrs are out of order";
        before = x;
    }
    return NULL;
}

static const char *check_inline(struct check *c, const uint8_t *r)
{
    const struct listing *l = c->l;
    uint64_t off = get32(r + REC_B), size = get64(r + REC_SIZE);
    struct digest got;
    if (size > LISTING_INLINE_MAX || !listing_in_pool(l, off, size) ||
        size > l->pool_len - c->seen_inline)
        return "its content is outside of the listing";
    c->seen_inline += size;
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

static const char *check_file(struct check *c, size_t i, const uint8_t *r)
{
    uint32_t link = get32(r + REC_A);
    if (link > 0) {
        if (link > i)
            return "it is a hard link to a later entry";
        const uint8_t *to = listing_record(c->l, link - 1);
        if (get32(to + REC_A) != 0 || !same_file(to, r))
            return "it differs from what it is a hard link to";
        c->facts |= LISTING_HAS_LINKS;
        return NULL;
    }
    if (__builtin_add_overflow(c->total_size, get64(r + REC_SIZE), &c->total_size))
        return "its size is too large";
    if (r[REC_FLAGS] & FLAG_INLINE)
        return check_inline(c, r);
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
    if (len == 0 || len > LISTING_PATH_MAX || !listing_has_string(l, off, len) ||
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

static const char *check_kind(struct check *c, size_t i, const uint8_t *r)
{
    uint8_t type = r[REC_TYPE], allowed = 0;
    const char *why = NULL;
    if (type == ENTRY_FILE) {
        allowed = FLAG_INLINE;
        why = check_file(c, i, r);
    } else if (!all_zero(r + REC_SIZE, 8) || !all_zero(r + REC_CONTENT, DIGEST_LEN)) {
        why = "it is no file and has content";
    } else if (type == ENTRY_LINK) {
        why = check_link(c->l, r);
    } else if (type == ENTRY_DIR || type == ENTRY_FIFO || type == ENTRY_WHITEOUT) {
        allowed = type == ENTRY_DIR ? FLAG_OPAQUE : 0;
        c->facts |= r[REC_FLAGS] & FLAG_OPAQUE ? LISTING_HAS_OPAQUE : 0;
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

static int check_records(struct check *c, struct err *err)
{
    for (size_t i = 0; i < c->l->n; i++) {
        const uint8_t *r = listing_record(c->l, i);
        const char *why = check_path(c->l, i, r);
        if (why == NULL)
            why = check_kind(c, i, r);
        if (why == NULL && (get16(r + REC_N_XATTRS) != 0 || get32(r + REC_XATTRS) != 0))
            why = check_xattrs(c, r);
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

int listing_check(struct listing *l, struct err *err)
{
    struct check c = { .l = l };
    if (check_records(&c, err) < 0)
        return err->code;
    if (c.seen_xattrs != l->n_xattrs)
        return err_set(err, ERR_CORRUPT, "listing: xattrs that are nobody's");
    if (c.total_size != l->total_size)
        return err_set(err, ERR_CORRUPT, "listing: its total size is wrong");
    l->facts = c.facts;
    return 0;
}

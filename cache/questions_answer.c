#include "cache/questions_internal.h"

#include "base/fs.h"
#include "base/log.h"
#include <assert.h>
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#define RECIPE "shale answers 1" /* hashed first, with its NUL */

/* Kinds that compare what the entry itself says, whatever else they do. */
#define OF_ENTRY                                                                       \
    (QUESTION_EXIST | QUESTION_STAT | QUESTION_READ | QUESTION_LINK | QUESTION_XLIST | \
     QUESTION_XATTR)

/* One layer that answers. Questions come in the order of listings, so that the next is near. */
struct teller {
    const struct questions *q;
    const struct listing *layer;
    size_t at;
    const char **firsts; /* sorted: of each hard link, the name that it is a link to */
    size_t n_firsts, cap_firsts;
    struct buf stream;
};

struct found {
    bool is_there;
    struct entry e; /* a plain directory when only names below it are in the listing */
    size_t below;   /* the first entry that can be below it */
};

static void teller_release(struct teller *t)
{
    mem_free(t->firsts);
    buf_release(&t->stream);
}
DEFINE_AUTO_VALUE(struct teller, teller_release);

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void teller_turn(struct teller *t, const struct listing *layer)
{
    struct entry e;
    t->layer = layer;
    t->at = t->n_firsts = 0;
    for (size_t i = 0; listing_next_hardlink(layer, &i, &e);) {
        MEM_ROOM(t->firsts, t->n_firsts, t->cap_firsts);
        t->firsts[t->n_firsts++] = e.hardlink;
    }
    if (t->n_firsts > 0)
        qsort(t->firsts, t->n_firsts, sizeof(*t->firsts), compare_texts);
}

/* ---- finding ---- */

typedef bool (*holds_fn)(const char *path, const char *key, size_t len);

static bool is_before(const char *path, const char *key, size_t len UNUSED)
{
    return path_cmp(path, key) < 0;
}

static bool is_at_or_below(const char *path, const char *key, size_t len)
{
    return strncmp(path, key, len) == 0 && (path[len] == '\0' || path[len] == '/');
}

static bool holds_at(const struct listing *l, size_t i, holds_fn holds, const char *key, size_t len)
{
    struct entry e;
    listing_at(l, i, &e);
    return holds(e.path, key, len);
}

/* The first entry from i on of which it does not hold; it holds of some first ones. */
static size_t gallop(const struct listing *l, size_t i, holds_fn holds, const char *key, size_t len)
{
    size_t n = listing_len(l), high = i;
    for (size_t step = 1; high < n && holds_at(l, high, holds, key, len); step *= 2) {
        i = high + 1;
        high += step;
    }
    high = high < n ? high : n;
    while (i < high) {
        size_t mid = i + (high - i) / 2;
        if (holds_at(l, mid, holds, key, len))
            i = mid + 1;
        else
            high = mid;
    }
    return i;
}

static void look_up(struct teller *t, const char *path, struct found *ret)
{
    size_t i = t->at = gallop(t->layer, t->at, is_before, path, 0);
    bool is_more = i < listing_len(t->layer);
    *ret = (struct found){ .below = i };
    if (is_more)
        listing_at(t->layer, i, &ret->e);
    if (is_more && str_eq(ret->e.path, path)) {
        ret->is_there = true;
        ret->below = i + 1;
    } else if (*path == '\0' || (is_more && path_is_below(ret->e.path, path))) {
        ret->is_there = true;
        ret->e = (struct entry){ .path = path, .type = ENTRY_DIR, .mode = 0755 };
    }
}

static size_t count_before(const struct teller *t, const char *name, bool or_equal)
{
    size_t low = 0, high = t->n_firsts;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (strcmp(t->firsts[mid], name) < or_equal)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* How many names the file has; nearly always 1. */
static uint32_t count_names(const struct teller *t, const struct entry *e)
{
    const char *name = e->hardlink != NULL ? e->hardlink : e->path;
    return 1 + (uint32_t)(count_before(t, name, true) - count_before(t, name, false));
}

/* ---- streams ---- */

static void put_byte(struct teller *t, unsigned v)
{
    buf_addc(&t->stream, (char)v);
}

static void put_16(struct teller *t, uint16_t v)
{
    v = htole16(v);
    buf_add(&t->stream, &v, sizeof(v));
}

static void put_32(struct teller *t, uint32_t v)
{
    v = htole32(v);
    buf_add(&t->stream, &v, sizeof(v));
}

static void put_64(struct teller *t, uint64_t v)
{
    v = htole64(v);
    buf_add(&t->stream, &v, sizeof(v));
}

static void put_bytes(struct teller *t, const void *p, size_t n)
{
    put_32(t, (uint32_t)n); /* a path, a name or a value: listings bound them */
    buf_add(&t->stream, p, n);
}

static void put_text(struct teller *t, const char *s)
{
    put_bytes(t, s, strlen(s));
}

static void put_target(struct teller *t, const struct entry *e)
{
    if (e->type == ENTRY_LINK)
        put_text(t, e->target);
}

static uint64_t size_of(const struct entry *e)
{
    if (e->type == ENTRY_LINK)
        return strlen(e->target);
    return e->type == ENTRY_FILE ? e->size : 0;
}

static void put_entry(struct teller *t, const struct entry *e)
{
    put_32(t, e->mode);
    put_32(t, e->uid);
    put_32(t, e->gid);
    put_32(t, e->dev_major);
    put_32(t, e->dev_minor);
    put_64(t, size_of(e));
    put_32(t, count_names(t, e));
}

static void put_content(struct teller *t, const struct entry *e)
{
    if (e->type == ENTRY_FILE)
        buf_add(&t->stream, e->content.b, DIGEST_LEN);
    put_target(t, e);
}

static void put_xattr_names(struct teller *t, const struct entry *e)
{
    put_32(t, (uint32_t)e->n_xattrs);
    for (size_t i = 0; i < e->n_xattrs; i++)
        put_text(t, e->xattrs[i].name);
}

static void put_xattr(struct teller *t, const struct entry *e, const char *name)
{
    size_t i = 0;
    while (i < e->n_xattrs && !str_eq(e->xattrs[i].name, name))
        i++;
    put_text(t, name);
    put_byte(t, i < e->n_xattrs);
    if (i < e->n_xattrs)
        put_bytes(t, e->xattrs[i].value, e->xattrs[i].len);
}

static void put_xattrs(struct teller *t, const struct entry *e, uint32_t asked)
{
    for (size_t i = 0; i < t->q->n_xattrs; i++)
        if (asked >> i & 1)
            put_xattr(t, e, t->q->xattrs[i]);
}

/* The directory's children in the order of listings; what is below them is jumped over. */
static void put_children(struct teller *t, const struct found *f, const char *dir)
{
    size_t len = strlen(dir), skip = len > 0 ? len + 1 : 0, n = listing_len(t->layer);
    struct entry e;
    for (size_t i = f->below; i < n;) {
        listing_at(t->layer, i, &e);
        if (!path_is_below(e.path, dir))
            break;
        size_t name = strcspn(e.path + skip, "/");
        bool is_itself = e.path[skip + name] == '\0';
        put_byte(t, is_itself ? (unsigned)e.type : ENTRY_DIR);
        put_bytes(t, e.path + skip, name);
        i++;
        if (!is_itself || e.type == ENTRY_DIR)
            i = gallop(t->layer, i, is_at_or_below, e.path, skip + name);
    }
    put_byte(t, 0);
}

static void put_whole(struct teller *t)
{
    struct entry e;
    put_16(t, QUESTION_WHOLE);
    buf_add(&t->stream, listing_content_id(t->layer)->d.b, DIGEST_LEN);
    for (size_t i = 0; listing_next_hardlink(t->layer, &i, &e);) { /* content ids leave them out */
        put_text(t, e.path);
        put_text(t, e.hardlink);
    }
}

static void put_found(struct teller *t, const struct found *f, const struct question *x,
                      unsigned kinds)
{
    put_16(t, (uint16_t)kinds);
    put_byte(t, f->is_there);
    if (!f->is_there || kinds == QUESTION_NEG)
        return;
    put_byte(t, f->e.type);
    put_byte(t, f->e.opaque);
    if (kinds & OF_ENTRY)
        put_entry(t, &f->e);
    if (kinds & (QUESTION_STAT | QUESTION_READ))
        put_content(t, &f->e);
    if (kinds & QUESTION_LINK)
        put_target(t, &f->e);
    if (kinds & QUESTION_XLIST)
        put_xattr_names(t, &f->e);
    if (kinds & QUESTION_XATTR)
        put_xattrs(t, &f->e, x->xattrs);
    if (kinds & QUESTION_LIST)
        put_children(t, f, x->path);
}

/* ---- answers ---- */

/*
 * A question has one answer, or two: to LIST, and to the other kinds. So it can be told whether
 * names have come and gone or the directory itself is another.
 */
struct answers {
    bool is_there;
    unsigned kinds[2]; /* the question's, shared out */
    size_t n;
    struct digest d[2];
};

static void end_answer(struct teller *t, struct answers *ret, unsigned kinds)
{
    ret->kinds[ret->n] = kinds;
    digest_of(t->stream.data, t->stream.len, &ret->d[ret->n++]);
    buf_clear(&t->stream);
}

static void answer_one(struct teller *t, const struct question *x, struct answers *ret)
{
    const unsigned parts[2] = { x->kinds & ~(unsigned)QUESTION_LIST, x->kinds & QUESTION_LIST };
    struct found f;
    ret->n = 0;
    ret->is_there = true;
    if (x->kinds == QUESTION_WHOLE) {
        put_whole(t);
        end_answer(t, ret, QUESTION_WHOLE);
        return;
    }
    look_up(t, x->path, &f);
    ret->is_there = f.is_there;
    for (size_t i = 0; i < 2; i++) {
        if (parts[i] == 0)
            continue;
        put_found(t, &f, x, parts[i]);
        end_answer(t, ret, parts[i]);
    }
}

/* ANSWER_LEN bytes, shared by the answers. */
static size_t each_len(const struct answers *a)
{
    return ANSWER_LEN / a->n;
}

void questions_answer(const struct questions *q, const struct listing *const *layers,
                      struct digest *ret, struct buf *ret_each)
{
    AUTO(hasher_free) struct hasher *h = hasher_new();
    AUTO(teller_release) struct teller t = { .q = q, .stream = BUF_INIT };
    struct answers a;
    hasher_add(h, RECIPE, sizeof(RECIPE));
    for (size_t s = 0; s < q->n_segments; s++) {
        uint64_t n = htole64(questions_len(q, s));
        hasher_add(h, &n, sizeof(n));
        teller_turn(&t, layers[s]);
        for (size_t i = q->first[s]; i < q->first[s + 1]; i++) {
            answer_one(&t, &q->v[i], &a);
            hasher_add(h, a.d, a.n * sizeof(a.d[0]));
            for (size_t k = 0; ret_each != NULL && k < a.n; k++)
                buf_add(ret_each, a.d[k].b, each_len(&a));
        }
    }
    hasher_end(h, ret);
}

/* ---- which one is another now ---- */

/* What says most comes first. */
static const struct {
    unsigned kinds;
    const char *changed, *gone;
} told[] = {
    { QUESTION_READ, "read %s, which changed", "read %s, which is gone" },
    { OF_ENTRY, "looked at %s, which changed", "looked at %s, which is gone" },
    { QUESTION_NEG, "looked for %s, which is there now", "looked for %s, which was there" },
    { QUESTION_LIST, "listed %s, where names have come or gone", "listed %s, which is gone" },
    { QUESTION_WHOLE, "needs all of %s, where something changed",
      "needs all of %s, which is gone" },
};

static size_t rank(unsigned kinds)
{
    size_t i = 0;
    while (i < ARRAY_LEN(told) && (told[i].kinds & kinds) == 0)
        i++;
    return i;
}

/* The kinds whose answers are not those of each; 0: all are the same. */
static unsigned kinds_broken(const struct answers *a, const uint8_t *each)
{
    unsigned kinds = 0;
    for (size_t i = 0; i < a->n; i++)
        if (memcmp(a->d[i].b, each + i * each_len(a), each_len(a)) != 0)
            kinds |= a->kinds[i];
    return kinds;
}

bool questions_broken(const struct questions *q, const struct listing *const *layers,
                      const void *each, size_t n_each, struct broken *ret)
{
    AUTO(teller_release) struct teller t = { .q = q, .stream = BUF_INIT };
    const uint8_t *before = each;
    size_t best = ARRAY_LEN(told);
    struct answers a;
    if (n_each != q->n * ANSWER_LEN)
        return false;
    for (size_t s = 0; s < q->n_segments && best > 0; s++) {
        teller_turn(&t, layers[s]);
        for (size_t i = q->first[s]; i < q->first[s + 1] && best > 0; i++) {
            answer_one(&t, &q->v[i], &a);
            unsigned kinds = kinds_broken(&a, before + i * ANSWER_LEN);
            if (kinds == 0 || rank(kinds) >= best)
                continue;
            best = rank(kinds);
            *ret = (struct broken){ .segment = s, .question = q->v[i], .is_there = a.is_there };
            ret->question.kinds = kinds;
        }
    }
    return best < ARRAY_LEN(told);
}

void broken_text(const struct broken *b, const char *path, struct buf *ret)
{
    AUTO(buf_release) struct buf name = BUF_INIT;
    size_t i = rank(b->question.kinds);
    assert(i < ARRAY_LEN(told));
    log_escape(&name, path, strlen(path));
    const char *text = b->is_there ? told[i].changed : told[i].gone;
    const char *at = strstr(text, "%s");
    buf_add(ret, text, (size_t)(at - text));
    buf_adds(ret, buf_str(&name));
    buf_adds(ret, at + 2);
}

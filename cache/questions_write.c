#include "cache/questions_internal.h"

#include "base/fs.h"
#include <stdlib.h>
#include <string.h>

struct questions_builder {
    struct questions q; /* names of xattrs in the order in which they came */
    size_t n_bytes;     /* of paths */
};

void questions_builder_free(struct questions_builder *b)
{
    if (b == NULL)
        return;
    arena_release(&b->q.texts);
    mem_free(b->q.v);
    mem_free(b->q.first);
    mem_free(b);
}

struct questions_builder *questions_new(void)
{
    return mem_zalloc(sizeof(struct questions_builder));
}

void questions_segment(struct questions_builder *b)
{
    MEM_ROOM(b->q.first, b->q.n_segments, b->q.cap_segments);
    b->q.first[b->q.n_segments++] = b->q.n;
}

static int bit_of(struct questions *q, const char *name, uint32_t *ret, struct err *err)
{
    size_t i = 0, len = strlen(name);
    while (i < q->n_xattrs && !str_eq(q->xattrs[i], name))
        i++;
    if (len == 0 || len > QUESTIONS_XATTR_LEN_MAX)
        return err_set(err, ERR_USAGE, "question set: '%s' is no name of an xattr", name);
    if (i == QUESTION_XATTRS_MAX)
        return err_set(err, ERR_USAGE, "question set: too many names of xattrs");
    if (i == q->n_xattrs)
        q->xattrs[q->n_xattrs++] = arena_str(&q->texts, name);
    *ret |= UINT32_C(1) << i;
    return 0;
}

/* The last question of this segment, or NULL. */
static const struct question *last(const struct questions *q)
{
    return q->n > q->first[q->n_segments - 1] ? &q->v[q->n - 1] : NULL;
}

static const char *fault_of(const struct questions_builder *b, const char *path, size_t len)
{
    if (b->q.n_segments == 0)
        return "it belongs to no segment";
    const struct question *before = last(&b->q);
    if (b->q.n == QUESTIONS_MAX || len >= QUESTIONS_PATHS_MAX - b->n_bytes)
        return "there are too many";
    if (len > QUESTIONS_PATH_MAX || !question_path_is_clean(path, len, 0))
        return "its path is not clean";
    if (before != NULL && path_cmp(before->path, path) >= 0)
        return "it is out of order";
    return before != NULL && before->kinds == QUESTION_WHOLE ? "it is not alone" : NULL;
}

int questions_add(struct questions_builder *b, const char *path, unsigned kinds,
                  const char *const *names, size_t n_names, struct err *err)
{
    uint32_t xattrs = 0;
    size_t len = strlen(path);
    const char *fault = fault_of(b, path, len);
    for (size_t i = 0; fault == NULL && i < n_names; i++)
        if (bit_of(&b->q, names[i], &xattrs, err) < 0)
            return err->code;
    if (fault == NULL)
        fault = question_fault(path, kinds, xattrs);
    if (fault != NULL)
        return err_set(err, ERR_USAGE, "question about '%s': %s", path, fault);
    MEM_ROOM(b->q.v, b->q.n, b->q.cap);
    b->q.v[b->q.n++] = (struct question){ .path = arena_strn(&b->q.texts, path, len),
                                          .kinds = kinds,
                                          .xattrs = xattrs };
    b->n_bytes += len + 1;
    return 0;
}

/* ---- bytes ---- */

static void put_number(struct buf *b, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        buf_addc(b, (char)(v | 0x80));
    buf_addc(b, (char)v);
}

static void put_text(struct buf *b, const char *s, size_t n)
{
    put_number(b, n);
    buf_add(b, s, n);
}

struct name {
    const char *text;
    uint32_t bit; /* that the builder gave it */
};

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const struct name *)a)->text, ((const struct name *)b)->text);
}

/* Those that a question has: one that was refused may have left its names. */
static size_t sort_names(const struct questions *q, struct name ret[QUESTION_XATTRS_MAX])
{
    uint32_t used = 0;
    size_t n = 0;
    for (size_t i = 0; i < q->n; i++)
        used |= q->v[i].xattrs;
    for (size_t i = 0; i < q->n_xattrs; i++)
        if (used >> i & 1)
            ret[n++] = (struct name){ .text = q->xattrs[i], .bit = UINT32_C(1) << i };
    if (n > 0)
        qsort(ret, n, sizeof(*ret), compare_names);
    return n;
}

static size_t shared_len(const char *a, const char *b)
{
    size_t i = 0;
    while (a[i] != '\0' && a[i] == b[i])
        i++;
    return i;
}

static void put_question(struct buf *b, const char *before, const struct question *x,
                         const struct name *names, size_t n_names)
{
    size_t shared = shared_len(before, x->path);
    uint32_t xattrs = 0;
    for (size_t i = 0; i < n_names; i++)
        if (x->xattrs & names[i].bit)
            xattrs |= UINT32_C(1) << i;
    put_number(b, shared);
    put_text(b, x->path + shared, strlen(x->path + shared));
    put_number(b, x->kinds);
    if (x->kinds & QUESTION_XATTR)
        put_number(b, xattrs);
}

void questions_write(const struct questions_builder *b, struct buf *ret)
{
    const struct questions *q = &b->q;
    struct name names[QUESTION_XATTRS_MAX];
    size_t n_names = sort_names(q, names);
    buf_adds(ret, QUESTIONS_MAGIC);
    put_number(ret, QUESTIONS_VERSION);
    put_number(ret, n_names);
    for (size_t i = 0; i < n_names; i++)
        put_text(ret, names[i].text, strlen(names[i].text));
    put_number(ret, q->n_segments);
    for (size_t s = 0; s < q->n_segments; s++) {
        size_t end = s + 1 < q->n_segments ? q->first[s + 1] : q->n;
        const char *before = "";
        put_number(ret, end - q->first[s]);
        for (size_t i = q->first[s]; i < end; i++) {
            put_question(ret, before, &q->v[i], names, n_names);
            before = q->v[i].path;
        }
    }
}

#include "cache/questions_internal.h"

#include "base/fs.h"
#include <string.h>

void questions_free(struct questions *q)
{
    if (q == NULL)
        return;
    arena_release(&q->texts);
    mem_free(q->v);
    mem_free(q->first);
    mem_free(q);
}

/* ---- what both sides check ---- */

const char *question_fault(const char *path, unsigned kinds, uint32_t xattrs)
{
    if (kinds == 0 || (kinds & ~QUESTIONS_ALL) != 0)
        return "its kinds are unknown";
    if ((kinds & QUESTION_WHOLE) && (kinds != QUESTION_WHOLE || *path != '\0'))
        return "it is about the whole layer and about more";
    if (((kinds & QUESTION_XATTR) != 0) != (xattrs != 0))
        return "xattrs and their names do not go together";
    return NULL;
}

static bool is_component(const char *p, size_t n)
{
    if (n == 0 || memchr(p, '\0', n) != NULL)
        return false;
    return !(n == 1 && p[0] == '.') && !(n == 2 && p[0] == '.' && p[1] == '.');
}

bool question_path_is_clean(const char *path, size_t len, size_t from)
{
    if (len == 0)
        return true;
    while (from > 0 && path[from - 1] != '/')
        from--;
    for (size_t end; from <= len; from = end + 1) {
        const char *slash = memchr(path + from, '/', len - from);
        end = slash != NULL ? (size_t)(slash - path) : len;
        if (!is_component(path + from, end - from))
            return false;
    }
    return true;
}

/* ---- opening ---- */

struct reader {
    const uint8_t *p, *end;
    struct questions *q;
    uint32_t used; /* names of xattrs that a question has */
    size_t n_bytes;
    char path[QUESTIONS_PATH_MAX + 1]; /* of the question before */
    size_t path_len;
    struct err *err;
};

static int bad(struct reader *r, const char *what)
{
    return err_set(r->err, ERR_CORRUPT, "question set: question %zu: %s", r->q->n, what);
}

static int bad_head(struct reader *r, const char *what)
{
    return err_set(r->err, ERR_CORRUPT, "question set: %s", what);
}

static size_t left(const struct reader *r)
{
    return (size_t)(r->end - r->p);
}

/* Up to max, in as few bytes as it can be written. */
static int take_number(struct reader *r, uint64_t max, uint64_t *ret)
{
    uint64_t v = 0;
    for (unsigned shift = 0; r->p < r->end && shift < 63; shift += 7) {
        uint8_t byte = *r->p++;
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (byte & 0x80)
            continue;
        if (v > max || (byte == 0 && shift > 0))
            break;
        *ret = v;
        return 0;
    }
    return bad(r, "a number is too large or cut off");
}

static int take_text(struct reader *r, size_t max, const char **ret, size_t *ret_len)
{
    uint64_t n = 0;
    if (take_number(r, max, &n) < 0)
        return r->err->code;
    if (n > left(r))
        return bad(r, "a text is cut off");
    *ret = (const char *)r->p;
    *ret_len = (size_t)n;
    r->p += n;
    return 0;
}

static int take_names(struct reader *r)
{
    uint64_t n = 0;
    const char *s = NULL;
    size_t len = 0;
    if (take_number(r, QUESTION_XATTRS_MAX, &n) < 0)
        return r->err->code;
    for (uint64_t i = 0; i < n; i++) {
        if (take_text(r, QUESTIONS_XATTR_LEN_MAX, &s, &len) < 0)
            return r->err->code;
        if (len == 0 || memchr(s, '\0', len) != NULL)
            return bad_head(r, "a name of an xattr is none");
        const char *name = arena_strn(&r->q->texts, s, len);
        if (i > 0 && strcmp(r->q->xattrs[i - 1], name) >= 0)
            return bad_head(r, "names of xattrs are out of order");
        r->q->xattrs[r->q->n_xattrs++] = name;
    }
    return 0;
}

static int rank(char c)
{
    return c == '/' ? 0 : (unsigned char)c + 1;
}

/*
 * The path after the one in r->path: it comes behind that one, and shares with it no more than is
 * said. What is shared has been found clean.
 */
static int take_path(struct reader *r, bool is_first)
{
    uint64_t shared = 0;
    const char *rest = NULL;
    size_t len = 0;
    if (take_number(r, r->path_len, &shared) < 0)
        return r->err->code;
    if (take_text(r, QUESTIONS_PATH_MAX - (size_t)shared, &rest, &len) < 0)
        return r->err->code;
    if (len == 0 && !is_first)
        return bad(r, "it is out of order");
    if (len > 0 && shared < r->path_len && rank(r->path[shared]) >= rank(*rest))
        return bad(r, "it is out of order");
    memcpy(r->path + shared, rest, len);
    r->path_len = (size_t)shared + len;
    r->path[r->path_len] = '\0';
    if (!question_path_is_clean(r->path, r->path_len, (size_t)shared))
        return bad(r, "its path is not clean");
    r->n_bytes += r->path_len + 1;
    return r->n_bytes > QUESTIONS_PATHS_MAX ? bad(r, "there are too many") : 0;
}

static uint64_t all_names(const struct questions *q)
{
    return (UINT64_C(1) << q->n_xattrs) - 1;
}

static int take_question(struct reader *r, bool is_first)
{
    struct questions *q = r->q;
    uint64_t kinds = 0, xattrs = 0;
    if (take_path(r, is_first) < 0 || take_number(r, QUESTIONS_ALL, &kinds) < 0)
        return r->err->code;
    if ((kinds & QUESTION_XATTR) && take_number(r, all_names(q), &xattrs) < 0)
        return r->err->code;
    const char *fault = question_fault(r->path, (unsigned)kinds, (uint32_t)xattrs);
    if (fault == NULL && !is_first && q->v[q->n - 1].kinds == QUESTION_WHOLE)
        fault = "it is not alone";
    if (fault != NULL)
        return bad(r, fault);
    r->used |= (uint32_t)xattrs;
    MEM_ROOM(q->v, q->n, q->cap);
    q->v[q->n++] = (struct question){ .path = arena_strn(&q->texts, r->path, r->path_len),
                                      .kinds = (unsigned)kinds,
                                      .xattrs = (uint32_t)xattrs };
    return 0;
}

static void mark_segment(struct questions *q)
{
    MEM_ROOM(q->first, q->n_segments, q->cap_segments);
    q->first[q->n_segments] = q->n;
}

static int take_segments(struct reader *r)
{
    uint64_t n = 0, count = 0;
    if (take_number(r, left(r), &n) < 0) /* each has a byte at least */
        return r->err->code;
    mark_segment(r->q);
    while (r->q->n_segments < n) {
        r->path_len = 0;
        if (take_number(r, QUESTIONS_MAX - r->q->n, &count) < 0)
            return r->err->code;
        for (uint64_t i = 0; i < count; i++)
            if (take_question(r, i == 0) < 0)
                return r->err->code;
        r->q->n_segments++;
        mark_segment(r->q);
    }
    return 0;
}

static int take_all(struct reader *r)
{
    uint64_t version = 0;
    size_t magic = strlen(QUESTIONS_MAGIC);
    if (left(r) < magic || memcmp(r->p, QUESTIONS_MAGIC, magic) != 0)
        return bad_head(r, "no question set");
    r->p += magic;
    if (take_number(r, UINT32_MAX, &version) < 0)
        return r->err->code;
    if (version != QUESTIONS_VERSION)
        return bad_head(r, "another version than ours");
    if (take_names(r) < 0 || take_segments(r) < 0)
        return r->err->code;
    if (left(r) > 0)
        return bad_head(r, "bytes behind its end");
    return r->used == all_names(r->q) ? 0 : bad_head(r, "a name of an xattr that is nobody's");
}

struct questions *questions_open(const void *p, size_t n, struct err *err)
{
    AUTO(questions_free) struct questions *q = mem_zalloc(sizeof(*q));
    AUTO(mem_free) struct reader *r = mem_zalloc(sizeof(*r));
    r->p = p;
    r->end = r->p + n;
    r->q = q;
    r->err = err;
    return take_all(r) < 0 ? NULL : TAKE(q);
}

/* ---- reading ---- */

size_t questions_segments(const struct questions *q)
{
    return q->n_segments;
}

size_t questions_len(const struct questions *q, size_t segment)
{
    return q->first[segment + 1] - q->first[segment];
}

void questions_at(const struct questions *q, size_t segment, size_t i, struct question *ret)
{
    *ret = q->v[q->first[segment] + i];
}

const char *questions_xattr(const struct questions *q, size_t i)
{
    return i < q->n_xattrs ? q->xattrs[i] : NULL;
}

bool questions_find(const struct questions *q, size_t segment, const char *path,
                    struct question *ret)
{
    size_t low = q->first[segment], high = q->first[segment + 1];
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int order = path_cmp(q->v[mid].path, path);
        if (order == 0) {
            if (ret != NULL)
                *ret = q->v[mid];
            return true;
        }
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return false;
}

static unsigned asked(const struct questions *q, size_t segment, const char *path)
{
    struct question x;
    return questions_find(q, segment, path, &x) ? x.kinds : 0;
}

bool questions_touch(const struct questions *q, size_t segment, const char *path, bool came_or_went)
{
    if (asked(q, segment, "") == QUESTION_WHOLE || asked(q, segment, path) != 0)
        return true;
    if (!came_or_went)
        return false;
    AUTO(mem_free) char *above = str_dup(path);
    unsigned of_interest = QUESTION_LIST | QUESTION_NEG;
    while (*above != '\0') {
        char *slash = strrchr(above, '/');
        *(slash != NULL ? slash : above) = '\0';
        if (asked(q, segment, above) & of_interest)
            return true;
        of_interest = QUESTION_NEG; /* further up, nothing else sees it */
    }
    return false;
}

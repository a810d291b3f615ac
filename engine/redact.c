#include "engine/redact.h"

#include "engine/secret.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define SHORTEST 8
#define LONGEST 1024 /* a longer line is looked for in pieces: so much is held back at most */
#define INSTEAD "***"
#define N_STREAMS 2

/* One thing that is looked for. */
struct needle {
    const char *p;
    size_t n;
};

struct redactor {
    redact_fn to;
    void *arg;
    struct needle *v; /* by their first SHORTEST bytes */
    size_t n, cap;
    bool is_sorted;
    bool begins[256];           /* a needle begins with this byte */
    struct buf held[N_STREAMS]; /* not passed on yet */
};

void redactor_free(struct redactor *r)
{
    if (r == NULL)
        return;
    for (size_t i = 0; i < N_STREAMS; i++)
        secret_wipe(&r->held[i]);
    mem_free(r->v);
    mem_free(r);
}

struct redactor *redactor_new(redact_fn to, void *arg)
{
    struct redactor *r = mem_zalloc(sizeof(*r));

    r->to = to;
    r->arg = arg;
    return r;
}

/* ---- what is looked for ---- */

static void add_needle(struct redactor *r, const char *p, size_t n)
{
    MEM_ROOM(r->v, r->n, r->cap);
    r->v[r->n++] = (struct needle){ .p = p, .n = n };
    r->begins[(unsigned char)*p] = true;
}

static void add_line(struct redactor *r, const char *p, size_t n)
{
    for (; n > 0 && isspace((unsigned char)*p); n--)
        p++;
    while (n > 0 && isspace((unsigned char)p[n - 1]))
        n--;
    for (; n >= LONGEST + SHORTEST; n -= LONGEST, p += LONGEST)
        add_needle(r, p, LONGEST);
    if (n >= SHORTEST)
        add_needle(r, p, n);
}

void redactor_add(struct redactor *r, const char *value, size_t n)
{
    const char *end = value + n;

    while (value < end) {
        const char *nl = memchr(value, '\n', (size_t)(end - value));
        const char *stop = nl != NULL ? nl : end;
        add_line(r, value, (size_t)(stop - value));
        value = stop + (nl != NULL);
    }
    r->is_sorted = false;
}

static int by_beginning(const void *a, const void *b)
{
    const struct needle *x = a, *y = b;

    return memcmp(x->p, y->p, SHORTEST);
}

static void sort(struct redactor *r)
{
    if (!r->is_sorted && r->n > 0)
        qsort(r->v, r->n, sizeof(*r->v), by_beginning);
    r->is_sorted = true;
}

/* ---- looking ---- */

/* The first needle whose beginning is not before that of p, in so many bytes. */
static size_t lower_bound(const struct redactor *r, const char *p, size_t n)
{
    size_t low = 0, high = r->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (memcmp(r->v[middle].p, p, n) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Bytes of the longest needle that stands at p, or 0. *ret_more: with more bytes it may be one. */
static size_t find_at(const struct redactor *r, const char *p, size_t n, bool *ret_more)
{
    size_t head = n < SHORTEST ? n : SHORTEST;
    size_t longest = 0;

    *ret_more = false;
    if (!r->begins[(unsigned char)*p])
        return 0;
    for (size_t i = lower_bound(r, p, head); i < r->n; i++) {
        const struct needle *x = &r->v[i];
        if (memcmp(x->p, p, head) != 0)
            break;
        if (x->n > n)
            *ret_more |= memcmp(x->p, p, n) == 0;
        else if (x->n > longest && memcmp(x->p, p, x->n) == 0)
            longest = x->n;
    }
    return longest;
}

static void keep_from(struct buf *b, size_t at)
{
    size_t n = b->len - at;

    if (n > 0)
        memmove(b->data, b->data + at, n);
    if (at > 0)
        explicit_bzero(b->data + n, at);
    buf_truncate(b, n);
}

/* Passes on what is certain; with all also what may have become a needle. */
static void pass(struct redactor *r, size_t which, bool all)
{
    struct buf *held = &r->held[which];
    AUTO(buf_release) struct buf out = BUF_INIT;
    size_t at = 0;

    while (at < held->len) {
        bool more = false;
        size_t found = find_at(r, held->data + at, held->len - at, &more);
        if (more && !all)
            break;
        if (found > 0)
            buf_adds(&out, INSTEAD);
        else
            buf_addc(&out, held->data[at]);
        at += found > 0 ? found : 1;
    }
    keep_from(held, at);
    if (out.len > 0)
        r->to(r->arg, (int)which + 1, out.data, out.len);
}

void redactor_pass(struct redactor *r, int stream, const char *p, size_t n)
{
    size_t which = stream == 1 ? 0 : 1;

    if (r->n == 0) {
        r->to(r->arg, stream, p, n);
        return;
    }
    sort(r);
    buf_add(&r->held[which], p, n);
    pass(r, which, false);
}

void redactor_end(struct redactor *r)
{
    for (size_t i = 0; i < N_STREAMS; i++)
        if (r->held[i].len > 0)
            pass(r, i, true);
}

/* Nothing gets longer. What could be the beginning of a needle that was cut off counts as one. */
void redactor_message(struct redactor *r, char *text)
{
    size_t n = strlen(text);
    char *to = text;

    _Static_assert(sizeof(INSTEAD) - 1 <= SHORTEST,
                   "a needle is not shorter than what replaces it");
    sort(r);
    for (size_t at = 0; at < n;) {
        bool more = false;
        size_t found = find_at(r, text + at, n - at, &more);
        if (more && n - at >= SHORTEST)
            found = n - at;
        if (found == 0) {
            *to++ = text[at++];
            continue;
        }
        memcpy(to, INSTEAD, sizeof(INSTEAD) - 1);
        to += sizeof(INSTEAD) - 1;
        at += found;
    }
    *to = '\0';
}

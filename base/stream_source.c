#include "base/stream.h"
#include "base/fs.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

ssize_t source_read(struct source *s, void *p, size_t n, struct err *err)
{
    return n == 0 ? 0 : s->read(s, p, n, err);
}

ssize_t source_read_full(struct source *s, void *p, size_t n, struct err *err)
{
    size_t at = 0;

    while (at < n) {
        ssize_t got = source_read(s, (char *)p + at, n - at, err);
        if (got < 0)
            return got;
        if (got == 0)
            break;
        at += (size_t)got;
    }
    return (ssize_t)at;
}

void source_free(struct source *s)
{
    if (s != NULL)
        s->free(s);
}

struct fd_source {
    struct source base;
    int fd;
    bool own;
};

static ssize_t fd_source_read(struct source *s, void *p, size_t n, struct err *err)
{
    ssize_t got;

    do
        got = read(((struct fd_source *)s)->fd, p, n);
    while (got < 0 && errno == EINTR);
    return got < 0 ? err_sys(err, errno, "cannot read") : got;
}

static void fd_source_free(struct source *s)
{
    struct fd_source *f = (struct fd_source *)s;

    if (f->own)
        fd_close(f->fd);
    mem_free(f);
}

struct source *source_fd(int fd, bool own)
{
    struct fd_source *s = mem_zalloc(sizeof(*s));

    *s = (struct fd_source){ .base = { .read = fd_source_read, .free = fd_source_free },
                             .fd = fd,
                             .own = own };
    return &s->base;
}

struct mem_source {
    struct source base;
    const char *p;
    size_t n;
};

static ssize_t mem_source_read(struct source *s, void *p, size_t n, struct err *err UNUSED)
{
    struct mem_source *m = (struct mem_source *)s;

    if (n > m->n)
        n = m->n;
    if (n == 0)
        return 0;
    memcpy(p, m->p, n);
    m->p += n;
    m->n -= n;
    return (ssize_t)n;
}

static void mem_source_free(struct source *s)
{
    mem_free(s);
}

struct source *source_mem(const void *p, size_t n)
{
    struct mem_source *s = mem_zalloc(sizeof(*s));

    *s = (struct mem_source){ .base = { .read = mem_source_read, .free = mem_source_free },
                              .p = p,
                              .n = n };
    return &s->base;
}

struct hash_source {
    struct source base;
    struct source *next;
    struct hasher *hasher; /* NULL once the end was reached */
    struct digest *ret;
};

static ssize_t hash_source_read(struct source *s, void *p, size_t n, struct err *err)
{
    struct hash_source *h = (struct hash_source *)s;
    ssize_t got = source_read(h->next, p, n, err);

    if (got > 0 && h->hasher != NULL)
        hasher_add(h->hasher, p, (size_t)got);
    if (got == 0 && h->hasher != NULL) {
        hasher_end(h->hasher, h->ret);
        hasher_free(TAKE(h->hasher));
    }
    return got;
}

static void hash_source_free(struct source *s)
{
    struct hash_source *h = (struct hash_source *)s;

    source_free(h->next);
    hasher_free(h->hasher);
    mem_free(h);
}

struct source *source_hash(struct source *next, struct digest *ret)
{
    struct hash_source *s = mem_zalloc(sizeof(*s));

    *s = (struct hash_source){ .base = { .read = hash_source_read, .free = hash_source_free },
                               .next = next,
                               .hasher = hasher_new(),
                               .ret = ret };
    return &s->base;
}

struct count_source {
    struct source base;
    struct source *next;
    uint64_t *count;
};

static ssize_t count_source_read(struct source *s, void *p, size_t n, struct err *err)
{
    struct count_source *c = (struct count_source *)s;
    ssize_t got = source_read(c->next, p, n, err);

    if (got > 0)
        *c->count += (uint64_t)got;
    return got;
}

static void count_source_free(struct source *s)
{
    source_free(((struct count_source *)s)->next);
    mem_free(s);
}

struct source *source_count(struct source *next, uint64_t *count)
{
    struct count_source *s = mem_zalloc(sizeof(*s));

    *count = 0;
    *s = (struct count_source){ .base = { .read = count_source_read, .free = count_source_free },
                                .next = next,
                                .count = count };
    return &s->base;
}

struct tee_source {
    struct source base;
    struct source *next;
    struct sink *copy;
};

static ssize_t tee_source_read(struct source *s, void *p, size_t n, struct err *err)
{
    struct tee_source *t = (struct tee_source *)s;
    ssize_t got = source_read(t->next, p, n, err);

    if (got > 0 && sink_write(t->copy, p, (size_t)got, err) < 0)
        return err->code;
    return got;
}

static void tee_source_free(struct source *s)
{
    source_free(((struct tee_source *)s)->next);
    mem_free(s);
}

struct source *source_tee(struct source *next, struct sink *copy)
{
    struct tee_source *s = mem_zalloc(sizeof(*s));

    *s = (struct tee_source){ .base = { .read = tee_source_read, .free = tee_source_free },
                              .next = next,
                              .copy = copy };
    return &s->base;
}

struct limit_source {
    struct source base;
    struct source *next;
    uint64_t left, max;
    char *what;
};

/* One byte more than allowed is asked for, to tell "exactly max" from "more". */
static ssize_t limit_source_read(struct source *s, void *p, size_t n, struct err *err)
{
    struct limit_source *l = (struct limit_source *)s;

    if (n > l->left)
        n = (size_t)l->left + 1;
    ssize_t got = source_read(l->next, p, n, err);
    if (got > 0 && (uint64_t)got > l->left)
        return err_set(err, ERR_CORRUPT, "%s is larger than %llu bytes", l->what,
                       (unsigned long long)l->max);
    if (got > 0)
        l->left -= (uint64_t)got;
    return got;
}

static void limit_source_free(struct source *s)
{
    struct limit_source *l = (struct limit_source *)s;

    source_free(l->next);
    mem_free(l->what);
    mem_free(l);
}

struct source *source_limit(struct source *next, uint64_t max, const char *what)
{
    struct limit_source *s = mem_zalloc(sizeof(*s));

    *s = (struct limit_source){ .base = { .read = limit_source_read, .free = limit_source_free },
                                .next = next,
                                .left = max,
                                .max = max,
                                .what = str_dup(what) };
    return &s->base;
}

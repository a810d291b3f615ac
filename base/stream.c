#include "base/stream.h"
#include "base/fs.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

static int remember(struct sink *s, const struct err *err)
{
    if (s->failed == NULL)
        s->failed = mem_dup(err, sizeof(*err));
    return err->code;
}

int sink_write(struct sink *s, const void *p, size_t n, struct err *err)
{
    assert(!s->is_finished);
    if (s->failed != NULL)
        return err_copy(err, s->failed);
    if (n > 0 && s->write(s, p, n, err) < 0)
        return remember(s, err);
    return 0;
}

int sink_finish(struct sink *s, struct err *err)
{
    if (s->failed != NULL)
        return err_copy(err, s->failed);
    if (s->is_finished)
        return 0;
    s->is_finished = true;
    if (s->finish != NULL && s->finish(s, err) < 0)
        return remember(s, err);
    return 0;
}

void sink_free(struct sink *s)
{
    if (s == NULL)
        return;
    mem_free(s->failed);
    s->free(s);
}

struct fd_sink {
    struct sink base;
    int fd;
    bool own;
};

static int fd_sink_write(struct sink *s, const void *p, size_t n, struct err *err)
{
    return fd_write_full(((struct fd_sink *)s)->fd, p, n, err);
}

static void fd_sink_free(struct sink *s)
{
    struct fd_sink *f = (struct fd_sink *)s;

    if (f->own)
        fd_close(f->fd);
    mem_free(f);
}

struct sink *sink_fd(int fd, bool own)
{
    struct fd_sink *s = mem_zalloc(sizeof(*s));

    *s = (struct fd_sink){ .base = { .write = fd_sink_write, .free = fd_sink_free },
                           .fd = fd,
                           .own = own };
    return &s->base;
}

struct buf_sink {
    struct sink base;
    struct buf *b;
    size_t left, max;
};

static int buf_sink_write(struct sink *s, const void *p, size_t n, struct err *err)
{
    struct buf_sink *b = (struct buf_sink *)s;

    if (n > b->left)
        return err_set(err, ERR_CORRUPT, "larger than %zu bytes", b->max);
    buf_add(b->b, p, n);
    b->left -= n;
    return 0;
}

static void plain_sink_free(struct sink *s)
{
    mem_free(s);
}

struct sink *sink_buf(struct buf *b, size_t max)
{
    struct buf_sink *s = mem_zalloc(sizeof(*s));

    *s = (struct buf_sink){ .base = { .write = buf_sink_write, .free = plain_sink_free },
                            .b = b,
                            .left = max,
                            .max = max };
    return &s->base;
}

static int null_sink_write(struct sink *s UNUSED, const void *p UNUSED, size_t n UNUSED,
                           struct err *err UNUSED)
{
    return 0;
}

struct sink *sink_null(void)
{
    struct sink *s = mem_zalloc(sizeof(*s));

    *s = (struct sink){ .write = null_sink_write, .free = plain_sink_free };
    return s;
}

struct hash_sink {
    struct sink base;
    struct sink *next; /* may be NULL */
    struct hasher *hasher;
    struct digest *ret;
};

static int hash_sink_write(struct sink *s, const void *p, size_t n, struct err *err)
{
    struct hash_sink *h = (struct hash_sink *)s;

    hasher_add(h->hasher, p, n);
    return h->next ? sink_write(h->next, p, n, err) : 0;
}

static int hash_sink_finish(struct sink *s, struct err *err)
{
    struct hash_sink *h = (struct hash_sink *)s;

    if (h->next != NULL && sink_finish(h->next, err) < 0)
        return err->code;
    hasher_end(h->hasher, h->ret);
    return 0;
}

static void hash_sink_free(struct sink *s)
{
    struct hash_sink *h = (struct hash_sink *)s;

    sink_free(h->next);
    hasher_free(h->hasher);
    mem_free(h);
}

struct sink *sink_hash(struct sink *next, struct digest *ret)
{
    struct hash_sink *s = mem_zalloc(sizeof(*s));

    *s = (struct hash_sink){
        .base = { .write = hash_sink_write, .finish = hash_sink_finish, .free = hash_sink_free },
        .next = next,
        .hasher = hasher_new(),
        .ret = ret
    };
    return &s->base;
}

struct count_sink {
    struct sink base;
    struct sink *next;
    uint64_t *count;
};

static int count_sink_write(struct sink *s, const void *p, size_t n, struct err *err)
{
    struct count_sink *c = (struct count_sink *)s;

    if (sink_write(c->next, p, n, err) < 0)
        return err->code;
    *c->count += n;
    return 0;
}

static int count_sink_finish(struct sink *s, struct err *err)
{
    return sink_finish(((struct count_sink *)s)->next, err);
}

static void count_sink_free(struct sink *s)
{
    sink_free(((struct count_sink *)s)->next);
    mem_free(s);
}

struct sink *sink_count(struct sink *next, uint64_t *count)
{
    struct count_sink *s = mem_zalloc(sizeof(*s));

    *count = 0;
    *s = (struct count_sink){
        .base = { .write = count_sink_write, .finish = count_sink_finish, .free = count_sink_free },
        .next = next,
        .count = count
    };
    return &s->base;
}

struct tee_sink {
    struct sink base;
    struct sink *a, *b;
};

static int tee_sink_write(struct sink *s, const void *p, size_t n, struct err *err)
{
    struct tee_sink *t = (struct tee_sink *)s;

    if (sink_write(t->a, p, n, err) < 0)
        return err->code;
    return sink_write(t->b, p, n, err);
}

static int tee_sink_finish(struct sink *s, struct err *err)
{
    struct tee_sink *t = (struct tee_sink *)s;

    if (sink_finish(t->a, err) < 0)
        return err->code;
    return sink_finish(t->b, err);
}

static void tee_sink_free(struct sink *s)
{
    struct tee_sink *t = (struct tee_sink *)s;

    sink_free(t->a);
    sink_free(t->b);
    mem_free(t);
}

struct sink *sink_tee(struct sink *a, struct sink *b)
{
    struct tee_sink *s = mem_zalloc(sizeof(*s));

    *s = (struct tee_sink){
        .base = { .write = tee_sink_write, .finish = tee_sink_finish, .free = tee_sink_free },
        .a = a,
        .b = b
    };
    return &s->base;
}

int stream_copy(struct source *from, struct sink *to, uint64_t *ret_n, struct err *err)
{
    size_t size = 128 << 10;
    AUTO(mem_free) char *p = mem_alloc(size);
    uint64_t total = 0;

    for (;;) {
        ssize_t n = source_read(from, p, size, err);
        if (n < 0)
            return (int)n;
        if (n == 0)
            break;
        if (sink_write(to, p, (size_t)n, err) < 0)
            return err->code;
        total += (uint64_t)n;
    }
    if (ret_n != NULL)
        *ret_n = total;
    return 0;
}

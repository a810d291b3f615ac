#include "store/feed.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

#define CHUNK_SIZE (256u << 10)
#define N_CHUNKS 16

struct chunk {
    size_t len;
    char data[CHUNK_SIZE];
};

/* A ring: chunks [first, first + n) are full. The one behind them is the writer's, the first the
 * reader's. */
struct feed {
    struct source base;
    struct sink sink;
    pthread_t thread;
    feed_fn produce;
    void *arg;
    void (*free_arg)(void *);
    pthread_mutex_t mutex; /* over what follows, chunks that are somebody's aside */
    pthread_cond_t changed;
    struct chunk *chunks[N_CHUNKS];
    size_t first, n;
    size_t at;      /* read from the first chunk */
    bool is_ended;  /* by the writer */
    bool is_left;   /* by the reader */
    struct err err; /* of the writer */
};

static struct feed *feed_of_sink(struct sink *s)
{
    return (struct feed *)((char *)s - offsetof(struct feed, sink));
}

/* The chunk to write to; NULL when nobody reads any more. */
static struct chunk *wait_for_room(struct feed *f)
{
    struct chunk **c;

    pthread_mutex_lock(&f->mutex);
    while (f->n == N_CHUNKS && !f->is_left)
        pthread_cond_wait(&f->changed, &f->mutex);
    c = f->is_left ? NULL : &f->chunks[(f->first + f->n) % N_CHUNKS];
    pthread_mutex_unlock(&f->mutex);
    if (c == NULL)
        return NULL;
    if (*c == NULL) {
        *c = mem_alloc(sizeof(**c));
        (*c)->len = 0;
    }
    return *c;
}

static void hand_over(struct feed *f)
{
    pthread_mutex_lock(&f->mutex);
    f->n++;
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->mutex);
}

static int feed_write(struct sink *s, const void *p, size_t n, struct err *err)
{
    struct feed *f = feed_of_sink(s);

    while (n > 0) {
        struct chunk *c = wait_for_room(f);
        if (c == NULL)
            return err_set(err, ERR_CANCELLED, "nobody reads any more");
        size_t part = CHUNK_SIZE - c->len < n ? CHUNK_SIZE - c->len : n;
        memcpy(c->data + c->len, p, part);
        c->len += part;
        p = (const char *)p + part;
        n -= part;
        if (c->len == CHUNK_SIZE)
            hand_over(f);
    }
    return 0;
}

static void feed_sink_free(struct sink *s UNUSED)
{
}

static void end(struct feed *f, const struct err *err)
{
    pthread_mutex_lock(&f->mutex);
    if (f->n < N_CHUNKS) {
        struct chunk *c = f->chunks[(f->first + f->n) % N_CHUNKS];
        if (c != NULL && c->len > 0)
            f->n++;
    }
    f->err = *err;
    f->is_ended = true;
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->mutex);
}

static void *feed_main(void *arg)
{
    struct feed *f = arg;
    struct err err = ERR_INIT;

    if (f->produce(f->arg, &f->sink, &err) >= 0)
        err_clear(&err);
    end(f, &err);
    return NULL;
}

/* The first full chunk, or NULL at the end. */
static struct chunk *wait_for_chunk(struct feed *f)
{
    pthread_mutex_lock(&f->mutex);
    while (f->n == 0 && !f->is_ended)
        pthread_cond_wait(&f->changed, &f->mutex);
    struct chunk *c = f->n ? f->chunks[f->first] : NULL;
    pthread_mutex_unlock(&f->mutex);
    return c;
}

static void give_back(struct feed *f, struct chunk *c)
{
    c->len = 0;
    f->at = 0;
    pthread_mutex_lock(&f->mutex);
    f->first = (f->first + 1) % N_CHUNKS;
    f->n--;
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->mutex);
}

static ssize_t feed_read(struct source *s, void *p, size_t n, struct err *err)
{
    struct feed *f = (struct feed *)s;
    struct chunk *c = wait_for_chunk(f);

    if (c == NULL)
        return f->err.code == ERR_NONE ? 0 : err_copy(err, &f->err);
    if (n > c->len - f->at)
        n = c->len - f->at;
    memcpy(p, c->data + f->at, n);
    f->at += n;
    if (f->at == c->len)
        give_back(f, c);
    return (ssize_t)n;
}

static void feed_free(struct source *s)
{
    struct feed *f = (struct feed *)s;

    pthread_mutex_lock(&f->mutex);
    f->is_left = true;
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->mutex);
    pthread_join(f->thread, NULL);
    if (f->free_arg != NULL)
        f->free_arg(f->arg);
    mem_free(f->sink.failed);
    for (size_t i = 0; i < N_CHUNKS; i++)
        mem_free(f->chunks[i]);
    pthread_mutex_destroy(&f->mutex);
    pthread_cond_destroy(&f->changed);
    mem_free(f);
}

/* Signals are for the threads that wait for them. */
static int start_thread(struct feed *f)
{
    sigset_t all, old;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int r = pthread_create(&f->thread, NULL, feed_main, f);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return r;
}

struct failed_source {
    struct source base;
    int sys;
};

static ssize_t failed_read(struct source *s, void *p UNUSED, size_t n UNUSED, struct err *err)
{
    return err_sys(err, ((struct failed_source *)s)->sys, "cannot start a thread");
}

static void failed_free(struct source *s)
{
    mem_free(s);
}

static struct source *source_failed(int sys)
{
    struct failed_source *s = mem_zalloc(sizeof(*s));

    *s = (struct failed_source){ .base = { .read = failed_read, .free = failed_free }, .sys = sys };
    return &s->base;
}

struct source *source_feed(feed_fn produce, void *arg, void (*free_arg)(void *))
{
    struct feed *f = mem_zalloc(sizeof(*f));

    f->base = (struct source){ .read = feed_read, .free = feed_free };
    f->sink = (struct sink){ .write = feed_write, .free = feed_sink_free };
    f->produce = produce;
    f->arg = arg;
    f->free_arg = free_arg;
    pthread_mutex_init(&f->mutex, NULL);
    pthread_cond_init(&f->changed, NULL);
    int sys = start_thread(f);
    if (sys == 0)
        return &f->base;
    if (free_arg != NULL)
        free_arg(arg);
    pthread_mutex_destroy(&f->mutex);
    pthread_cond_destroy(&f->changed);
    mem_free(f);
    return source_failed(sys);
}

static int copy_all(void *arg, struct sink *to, struct err *err)
{
    return stream_copy(arg, to, NULL, err);
}

static void free_source(void *arg)
{
    source_free(arg);
}

struct source *source_ahead(struct source *next)
{
    return source_feed(copy_all, next, free_source);
}

struct borrowed_source {
    struct source base;
    struct source *next;
    size_t n, at;
    char head[SOURCE_HEAD_MAX];
};

static ssize_t borrowed_read(struct source *s, void *p, size_t n, struct err *err)
{
    struct borrowed_source *b = (struct borrowed_source *)s;

    if (b->at == b->n)
        return source_read(b->next, p, n, err);
    if (n > b->n - b->at)
        n = b->n - b->at;
    memcpy(p, b->head + b->at, n);
    b->at += n;
    return (ssize_t)n;
}

static void borrowed_free(struct source *s)
{
    mem_free(s);
}

struct source *source_borrow(struct source *next, const void *head, size_t n)
{
    struct borrowed_source *b = mem_zalloc(sizeof(*b));

    assert(n <= SOURCE_HEAD_MAX);
    b->base = (struct source){ .read = borrowed_read, .free = borrowed_free };
    b->next = next;
    b->n = n;
    if (n > 0)
        memcpy(b->head, head, n);
    return &b->base;
}

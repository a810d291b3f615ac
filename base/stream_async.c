#include "base/stream.h"
#include "base/thread_internal.h"

#include <string.h>

#define RING_SIZE ((size_t)4 << 20)
#define STEP_SIZE \
    ((size_t)256 << 10) /* at most this much is copied or written between two looks at the lock */

/*
 * A ring with one writer and one reader. Bytes between head and head + fill
 * belong to the worker, the rest to the caller of write, so that copying and
 * writing are done without the lock.
 */
struct async_sink {
    struct sink base;
    struct sink *next; /* the worker's until it was joined */
    uint8_t *ring;
    pthread_t thread;
    bool is_joined;
    pthread_mutex_t lock;
    pthread_cond_t changed; /* any of the following */
    size_t head, fill;
    bool no_more;      /* finish was called */
    bool is_abandoned; /* freed without finish */
    bool has_failed;
    struct err err;
};

static size_t min3(size_t a, size_t b, size_t c)
{
    size_t m = a < b ? a : b;

    return m < c ? m : c;
}

/* Called with the lock held; gives it back while it writes. */
static int drain_some(struct async_sink *a, struct err *err)
{
    size_t n = min3(a->fill, RING_SIZE - a->head, STEP_SIZE);
    const uint8_t *p = a->ring + a->head;

    pthread_mutex_unlock(&a->lock);
    int r = sink_write(a->next, p, n, err);
    pthread_mutex_lock(&a->lock);
    a->head = (a->head + n) % RING_SIZE;
    a->fill -= n;
    pthread_cond_signal(&a->changed);
    return r;
}

static void set_failed(struct async_sink *a, const struct err *err)
{
    a->has_failed = true;
    a->err = *err;
    pthread_cond_signal(&a->changed);
}

static void *async_run(void *arg)
{
    struct async_sink *a = arg;
    struct err err = ERR_INIT;

    pthread_mutex_lock(&a->lock);
    for (;;) {
        while (a->fill == 0 && !a->no_more && !a->is_abandoned)
            pthread_cond_wait(&a->changed, &a->lock);
        if (a->is_abandoned || a->fill == 0)
            break;
        if (drain_some(a, &err) < 0)
            break;
    }
    bool finish = err.code == ERR_NONE && !a->is_abandoned;
    pthread_mutex_unlock(&a->lock);
    if (finish)
        sink_finish(a->next, &err);
    pthread_mutex_lock(&a->lock);
    if (err.code != ERR_NONE)
        set_failed(a, &err);
    pthread_mutex_unlock(&a->lock);
    return NULL;
}

/* Waits for room; *ret_p is where to put *ret_n bytes. */
static int wait_for_room(struct async_sink *a, size_t n, uint8_t **ret_p, size_t *ret_n,
                         struct err *err)
{
    pthread_mutex_lock(&a->lock);
    while (a->fill == RING_SIZE && !a->has_failed)
        pthread_cond_wait(&a->changed, &a->lock);
    int r = a->has_failed ? err_copy(err, &a->err) : 0;
    size_t at = (a->head + a->fill) % RING_SIZE;
    *ret_p = a->ring + at;
    *ret_n = min3(n, STEP_SIZE, min3(RING_SIZE - a->fill, RING_SIZE - at, n));
    pthread_mutex_unlock(&a->lock);
    return r;
}

static int async_write(struct sink *s, const void *p, size_t n, struct err *err)
{
    struct async_sink *a = (struct async_sink *)s;

    while (n > 0) {
        uint8_t *to;
        size_t k;
        if (wait_for_room(a, n, &to, &k, err) < 0)
            return err->code;
        memcpy(to, p, k);
        pthread_mutex_lock(&a->lock);
        a->fill += k;
        pthread_cond_signal(&a->changed);
        pthread_mutex_unlock(&a->lock);
        p = (const char *)p + k;
        n -= k;
    }
    return 0;
}

static void join(struct async_sink *a)
{
    if (!a->is_joined)
        pthread_join(a->thread, NULL);
    a->is_joined = true;
}

static int async_finish(struct sink *s, struct err *err)
{
    struct async_sink *a = (struct async_sink *)s;

    pthread_mutex_lock(&a->lock);
    a->no_more = true;
    pthread_cond_signal(&a->changed);
    pthread_mutex_unlock(&a->lock);
    join(a);
    return a->has_failed ? err_copy(err, &a->err) : 0;
}

static void release(struct async_sink *a)
{
    pthread_cond_destroy(&a->changed);
    pthread_mutex_destroy(&a->lock);
    mem_free(a->ring);
    mem_free(a);
}

static void async_free(struct sink *s)
{
    struct async_sink *a = (struct async_sink *)s;

    pthread_mutex_lock(&a->lock);
    a->is_abandoned = true;
    pthread_cond_signal(&a->changed);
    pthread_mutex_unlock(&a->lock);
    join(a);
    sink_free(a->next);
    release(a);
}

struct sink *sink_async(struct sink *next)
{
    struct async_sink *a = mem_zalloc(sizeof(*a));

    a->base = (struct sink){ .write = async_write, .finish = async_finish, .free = async_free };
    a->next = next;
    a->ring = mem_alloc(RING_SIZE);
    pthread_mutex_init(&a->lock, NULL);
    pthread_cond_init(&a->changed, NULL);
    if (thread_start(&a->thread, async_run, a))
        return &a->base;
    release(a); /* then on the caller's thread: slower, not wrong */
    return next;
}

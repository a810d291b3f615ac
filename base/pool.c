#include "base/pool.h"
#include "base/mem.h"
#include "base/mem_internal.h"
#include "base/thread_internal.h"

#include <sys/queue.h>
#include <unistd.h>

/* One lock for the pool and all its groups: tasks are large beside it. */
struct task {
    int (*run)(void *arg, struct err *err);
    void *arg;
    struct group *group;
    TAILQ_ENTRY(task) in_pool, in_group;
};
TAILQ_HEAD(task_list, task);

struct pool {
    pthread_mutex_t lock;
    pthread_cond_t has_work; /* a task was added, or closing */
    struct task_list waiting;
    bool closing;
    pthread_t *threads;
    unsigned n_threads;
};

struct group {
    struct pool *pool;
    struct task_list waiting;
    size_t n_unfinished;    /* waiting or running */
    pthread_cond_t changed; /* n_unfinished is 0, or a task was added */
    bool has_failed;
    struct err err;
};

static struct task *task_take(struct pool *p, struct task *t)
{
    TAILQ_REMOVE(&p->waiting, t, in_pool);
    TAILQ_REMOVE(&t->group->waiting, t, in_group);
    return t;
}

/* Called with the lock held; gives it back while the task runs. Frees t. */
static void task_run(struct pool *p, struct task *t)
{
    struct group *g = t->group;
    struct err err = ERR_INIT;

    pthread_mutex_unlock(&p->lock);
    int r = t->run(t->arg, &err);
    mem_free(t);
    pthread_mutex_lock(&p->lock);
    if (r < 0 && !g->has_failed) {
        g->has_failed = true;
        g->err = err;
        g->err.code = r;
    }
    if (--g->n_unfinished == 0)
        pthread_cond_broadcast(&g->changed);
}

static void *pool_run(void *arg)
{
    struct pool *p = arg;

    pthread_mutex_lock(&p->lock);
    for (;;) {
        struct task *t = TAILQ_FIRST(&p->waiting);
        if (t != NULL)
            task_run(p, task_take(p, t));
        else if (p->closing)
            break;
        else
            pthread_cond_wait(&p->has_work, &p->lock);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

static unsigned threads_for_machine(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);

    if (n < 2)
        return 2;
    return n > 16 ? 16 : (unsigned)n;
}

struct pool *pool_new(unsigned n_threads)
{
    struct pool *p = mem_zalloc(sizeof(*p));

    if (n_threads == 0)
        n_threads = threads_for_machine();
    TAILQ_INIT(&p->waiting);
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->has_work, NULL);
    p->threads = mem_calloc(n_threads, sizeof(*p->threads));
    while (p->n_threads < n_threads && thread_start(&p->threads[p->n_threads], pool_run, p))
        p->n_threads++;
    /* With fewer threads than wished it is slower; with none only group_wait would run tasks. */
    if (p->n_threads == 0)
        die("cannot start a thread");
    return p;
}

void pool_free(struct pool *p)
{
    if (p == NULL)
        return;
    pthread_mutex_lock(&p->lock);
    p->closing = true;
    pthread_cond_broadcast(&p->has_work);
    pthread_mutex_unlock(&p->lock);
    for (unsigned i = 0; i < p->n_threads; i++)
        pthread_join(p->threads[i], NULL);
    pthread_cond_destroy(&p->has_work);
    pthread_mutex_destroy(&p->lock);
    mem_free(p->threads);
    mem_free(p);
}

struct group *group_new(struct pool *p)
{
    struct group *g = mem_zalloc(sizeof(*g));

    g->pool = p;
    TAILQ_INIT(&g->waiting);
    pthread_cond_init(&g->changed, NULL);
    return g;
}

void group_free(struct group *g)
{
    struct err ignored = ERR_INIT;

    if (g == NULL)
        return;
    group_wait(g, &ignored);
    pthread_cond_destroy(&g->changed);
    mem_free(g);
}

void group_run(struct group *g, int (*run)(void *arg, struct err *err), void *arg)
{
    struct pool *p = g->pool;
    struct task *t = mem_zalloc(sizeof(*t));

    *t = (struct task){ .run = run, .arg = arg, .group = g };
    pthread_mutex_lock(&p->lock);
    TAILQ_INSERT_TAIL(&p->waiting, t, in_pool);
    TAILQ_INSERT_TAIL(&g->waiting, t, in_group);
    g->n_unfinished++;
    pthread_cond_signal(&p->has_work);
    pthread_cond_broadcast(&g->changed);
    pthread_mutex_unlock(&p->lock);
}

bool group_failed(struct group *g)
{
    pthread_mutex_lock(&g->pool->lock);
    bool failed = g->has_failed;
    pthread_mutex_unlock(&g->pool->lock);
    return failed;
}

/* Runs its own tasks only: those of others may want locks that the caller holds. */
int group_wait(struct group *g, struct err *err)
{
    struct pool *p = g->pool;

    pthread_mutex_lock(&p->lock);
    while (g->n_unfinished > 0) {
        struct task *t = TAILQ_FIRST(&g->waiting);
        if (t != NULL)
            task_run(p, task_take(p, t));
        else
            pthread_cond_wait(&g->changed, &p->lock);
    }
    int r = g->has_failed ? err_copy(err, &g->err) : 0;
    pthread_mutex_unlock(&p->lock);
    return r;
}

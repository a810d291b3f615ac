/*
 * stat_walk DIR [THREADS]: lstats everything below DIR and prints how much there was. What a scan
 * of a context can cost at the least: the directories are a queue that THREADS (one per processor)
 * threads take from. A measure for rebuild.sh; no part of shale.
 */
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct queue {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    char **dirs;
    size_t n, cap, busy; /* busy: directories that are being read */
    unsigned long found;
};

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void put(struct queue *q, char *dir)
{
    pthread_mutex_lock(&q->lock);
    if (q->n == q->cap) {
        q->cap = q->cap ? 2 * q->cap : 64;
        q->dirs = realloc(q->dirs, q->cap * sizeof(*q->dirs));
        if (q->dirs == NULL)
            fail("stat_walk");
    }
    q->dirs[q->n++] = dir;
    pthread_cond_signal(&q->changed);
    pthread_mutex_unlock(&q->lock);
}

/* The next directory, or NULL when all are done. */
static char *take(struct queue *q)
{
    pthread_mutex_lock(&q->lock);
    while (q->n == 0 && q->busy > 0)
        pthread_cond_wait(&q->changed, &q->lock);
    char *dir = q->n > 0 ? q->dirs[--q->n] : NULL;
    q->busy += dir != NULL;
    pthread_mutex_unlock(&q->lock);
    return dir;
}

static void done(struct queue *q, unsigned long found)
{
    pthread_mutex_lock(&q->lock);
    q->found += found;
    if (--q->busy == 0)
        pthread_cond_broadcast(&q->changed);
    pthread_mutex_unlock(&q->lock);
}

static unsigned long read_dir(struct queue *q, const char *dir)
{
    unsigned long found = 0;
    DIR *d = opendir(dir);
    if (d == NULL)
        fail(dir);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        struct stat st;
        char *path;
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        if (fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            fail(e->d_name);
        found++;
        if (!S_ISDIR(st.st_mode))
            continue;
        if (asprintf(&path, "%s/%s", dir, e->d_name) < 0)
            fail("stat_walk");
        put(q, path);
    }
    closedir(d);
    return found;
}

static void *work(void *arg)
{
    struct queue *q = arg;
    for (char *dir; (dir = take(q)) != NULL; free(dir))
        done(q, read_dir(q, dir));
    return NULL;
}

int main(int argc, char **argv)
{
    struct queue q = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };
    long n = argc > 2 ? atol(argv[2]) : sysconf(_SC_NPROCESSORS_ONLN);
    pthread_t threads[64];
    if (argc < 2 || n < 1 || n > 64) {
        fprintf(stderr, "usage: stat_walk DIR [THREADS]\n");
        return 2;
    }
    put(&q, strdup(argv[1]));
    for (long i = 0; i < n; i++)
        if (pthread_create(&threads[i], NULL, work, &q) != 0)
            fail("stat_walk");
    for (long i = 0; i < n; i++)
        pthread_join(threads[i], NULL);
    printf("%lu\n", q.found);
    return 0;
}

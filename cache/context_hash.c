/*
 * Files whose digests are not remembered are read, several at once, large ones first so that none
 * is left over at the end; a large one is read by one thread while another hashes what came before.
 */
#include "cache/context_internal.h"

#include "base/clock.h"
#include "base/fs.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define SETTLE_TRIES 3 /* times a file that changes is read */
#define THREADS_MAX 16
#define SMALL_CHUNK ((size_t)128 * 1024)
#define LARGE_CHUNK ((size_t)1024 * 1024)
#define LARGE_FILE (4 * LARGE_CHUNK)

/* What one thread reads with. */
struct reader {
    struct scan *s;
    struct hasher *hasher;
    char *chunk;    /* SMALL_CHUNK */
    char *large[2]; /* LARGE_CHUNK each, when there was a large file */
    const char *to_hash;
    size_t n_to_hash;
};

static void reader_release(struct reader *r)
{
    hasher_free(r->hasher);
    mem_free(r->chunk);
    mem_free(r->large[0]);
    mem_free(r->large[1]);
}
DEFINE_AUTO_VALUE(struct reader, reader_release);

static int read_chunk(struct reader *r, int fd, char *p, size_t n, size_t *ret_n, const char *path,
                      struct err *err)
{
    if (cancel_check(r->s->c->cancel, err) < 0)
        return err->code;
    if (fd_read_full(fd, p, n, ret_n, err) < 0)
        return err_wrap(err, "cannot read '%s' in the context", path);
    atomic_fetch_add(&r->s->read_bytes, *ret_n);
    return 0;
}

static int hash_small(struct reader *r, int fd, const char *path, struct err *err)
{
    size_t n = SMALL_CHUNK;
    if (r->chunk == NULL)
        r->chunk = mem_alloc(SMALL_CHUNK);
    while (n == SMALL_CHUNK) {
        if (read_chunk(r, fd, r->chunk, SMALL_CHUNK, &n, path, err) < 0)
            return err->code;
        hasher_add(r->hasher, r->chunk, n);
    }
    return 0;
}

/* A task: what was read last. */
static int hash_last(void *arg, struct err *err UNUSED)
{
    struct reader *r = arg;
    hasher_add(r->hasher, r->to_hash, r->n_to_hash);
    return 0;
}

/* Where no thread is free, group_wait does the hashing here. */
static int hash_large(struct reader *r, int fd, const char *path, struct err *err)
{
    AUTO(group_free) struct group *g = group_new(r->s->c->pool);
    size_t n = LARGE_CHUNK;
    int rc = 0;
    posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    for (int i = 0; i < 2; i++)
        r->large[i] = r->large[i] ? r->large[i] : mem_alloc(LARGE_CHUNK);
    for (int at = 0; rc == 0 && n == LARGE_CHUNK; at ^= 1) {
        rc = read_chunk(r, fd, r->large[at], LARGE_CHUNK, &n, path, err);
        group_wait(g, err);
        r->to_hash = r->large[at];
        r->n_to_hash = n;
        if (rc == 0)
            group_run(g, hash_last, r);
    }
    group_wait(g, err);
    return rc;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mode == b->st_mode && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
           a->st_mtim.tv_nsec == b->st_mtim.tv_nsec && a->st_ctim.tv_sec == b->st_ctim.tv_sec &&
           a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* Once. *ret_settled: it was the same before and after. ERR_NOT_FOUND: it is gone. */
static int try_item(struct reader *r, struct item *it, const char *path, bool *ret_settled,
                    struct err *err)
{
    struct stat before, after;
    AUTO(fd_close) int fd = context_open_file(r->s->c, path, err);
    if (fd < 0)
        return fd;
    struct clock_time now = clock_now();
    it->hashed_ns = now.s * 1000000000LL + now.ns;
    if (fstat(fd, &before) < 0)
        return err_sys(err, errno, "cannot stat '%s' in the context", path);
    if (!S_ISREG(before.st_mode))
        return err_set(err, ERR_IO, "'%s' changed while the context was read", path);
    int rc = (before.st_size < (off_t)LARGE_FILE ? hash_small : hash_large)(r, fd, path, err);
    hasher_end(r->hasher, &it->digest);
    if (rc < 0)
        return rc;
    item_read_xattrs(r->s, it, fd, NULL);
    if (fstat(fd, &after) < 0)
        return err_sys(err, errno, "cannot stat '%s' in the context", path);
    it->st = after;
    *ret_settled = same_file(&before, &after);
    return 0;
}

static int hash_item(struct reader *r, struct item *it, const char *path, struct err *err)
{
    bool settled = false;
    for (int try = 0; try < SETTLE_TRIES && !settled; try++) {
        int rc = try_item(r, it, path, &settled, err);
        if (rc == ERR_NOT_FOUND) { /* gone meanwhile, as an editor's temporary file: not there */
            it->ignored = true;
            return err_clear(err), 0;
        }
        if (rc < 0)
            return rc;
    }
    if (!settled)
        return err_set(err, ERR_IO, "'%s' keeps changing while the context is read", path);
    atomic_fetch_add(&r->s->read_files, 1);
    return 0;
}

/* Errors are the same however the threads took turns: all files before one that failed were begun.
 */
static void fail_at(struct scan *s, size_t i, const struct err *err)
{
    atomic_store(&s->next, s->n_unread);
    pthread_mutex_lock(&s->lock);
    if (i < s->failed_file) {
        s->failed_file = i;
        s->err = *err;
    }
    pthread_mutex_unlock(&s->lock);
}

/* A task: one file after the other. */
static int hash_some(void *arg, struct err *err UNUSED)
{
    struct scan *s = arg;
    AUTO(reader_release) struct reader r = { .s = s, .hasher = hasher_new() };
    for (size_t i; (i = atomic_fetch_add(&s->next, 1)) < s->n_unread;) {
        struct err own = ERR_INIT;
        AUTO(mem_free) char *path = item_path(s->unread[i]);
        if (hash_item(&r, s->unread[i], path, &own) < 0)
            fail_at(s, i, &own);
    }
    return 0;
}

static int by_size_and_path(const void *a, const void *b)
{
    const struct item *x = *(const struct item *const *)a, *y = *(const struct item *const *)b;
    if (x->st.st_size != y->st.st_size)
        return x->st.st_size > y->st.st_size ? -1 : 1;
    int order = strcmp(x->in->path, y->in->path);
    return order ? order : strcmp(x->name, y->name);
}

int context_hash(struct scan *s, struct err *err)
{
    if (s->n_unread == 0)
        return 0;
    qsort(s->unread, s->n_unread, sizeof(struct item *), by_size_and_path);
    s->failed_file = SIZE_MAX;
    AUTO(group_free) struct group *g = group_new(s->c->pool);
    for (size_t i = 0; i < s->n_unread && i < THREADS_MAX; i++)
        group_run(g, hash_some, s);
    group_wait(g, err);
    if (s->failed_file != SIZE_MAX)
        return err_copy(err, &s->err);
    for (size_t i = 0; i < s->n_unread; i++) {
        const struct item *it = s->unread[i];
        if (it->ignored)
            continue;
        memory_put(s->memory, &it->in->volume, &it->st, &it->digest, it->plain, it->hashed_ns);
    }
    return 0;
}

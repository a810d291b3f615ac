/* A context: what is asked for, and the order of a scan; context_internal.h has its parts. */
#include "cache/context_internal.h"

#include "base/fs.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINKS_MAX 40 /* symbolic links on the way to one path */

void context_free(struct context *c)
{
    if (c == NULL)
        return;
    for (size_t i = 0; i < c->n_listings; i++)
        listing_free(c->listings[i]);
    mem_free(c->listings);
    strv_release(&c->wants);
    ignore_free(c->ignore);
    pthread_mutex_destroy(&c->lock);
    fd_close(c->fd);
    mem_free(c->path);
    mem_free(c);
}

struct context *context_open(const char *path, struct ignore *ignore, struct store *s,
                             struct pool *pool, struct cancel *cancel, struct err *err)
{
    AUTO(context_free) struct context *c = mem_zalloc(sizeof(*c));
    pthread_mutex_init(&c->lock, NULL);
    c->ignore = ignore;
    c->store = s;
    c->pool = pool;
    c->cancel = cancel;
    c->path = str_dup(path);
    c->fd = dir_open(AT_FDCWD, path, err);
    return c->fd < 0 ? NULL : TAKE(c);
}

void context_normalize_modes(struct context *c)
{
    c->normalize_modes = true;
}

/* What is asked for. */

static bool wants_all(const struct strv *wants)
{
    return strv_has(wants, "");
}

static bool covers(const struct strv *wants, const char *path)
{
    for (size_t i = 0; i < wants->n; i++)
        if (wants->v[i][0] == '\0' || str_eq(wants->v[i], path) || path_is_below(path, wants->v[i]))
            return true;
    return false;
}

bool context_is_covered(const struct context *c, const char *path)
{
    return covers(&c->wants, path);
}

bool context_is_on_the_way(const struct context *c, const char *path)
{
    for (size_t i = 0; i < c->wants.n; i++)
        if (path_is_below(c->wants.v[i], path))
            return true;
    return false;
}

/* The link's target as a context path when the prefix of path that ends at len is a link; else
 * NULL. */
static char *link_target(const struct context *c, const char *path, size_t len)
{
    AUTO(mem_free) char *prefix = str_ndup(path, len);
    struct err ignored = ERR_INIT;
    const char *leaf;
    AUTO(fd_close) int dir = inroot_open_parent(c->fd, prefix, &leaf, &ignored);
    char target[4096];
    ssize_t n = dir < 0 ? -1 : readlinkat(dir, leaf, target, sizeof(target) - 1);
    if (n < 0)
        return NULL;
    target[n] = '\0';
    AUTO(mem_free) char *parent = path_dir(prefix);
    AUTO(mem_free) char *rooted = str_printf("/%s", str_eq(parent, ".") ? "" : parent);
    AUTO(mem_free) char *joined = path_join(rooted, target);
    return str_printf("%s%s", joined, path + len);
}

static void add_uncovered(struct strv *wants, const char *path)
{
    if (!covers(wants, path))
        strv_add(wants, path);
}

/* Adds path and, for every link on the way, the link and what it leads to. */
static void add_want(const struct context *c, struct strv *wants, const char *path, int links)
{
    AUTO(mem_free) char *rooted = str_printf("/%s", path);
    AUTO(mem_free) char *clean = path_clean(rooted);
    const char *rel = clean + 1;
    for (size_t i = 1; *rel != '\0' && i <= strlen(rel) && links < LINKS_MAX; i++) {
        if (rel[i] != '/' && rel[i] != '\0')
            continue;
        AUTO(mem_free) char *target = link_target(c, rel, i);
        if (target == NULL)
            continue;
        AUTO(mem_free) char *link = str_ndup(rel, i);
        add_uncovered(wants, link);
        add_want(c, wants, target, links + 1);
        return;
    }
    add_uncovered(wants, rel);
}

/* Scanning. */

static void scan_release(struct scan *s)
{
    group_free(s->group);
    found_dir_free(s->top);
    arena_release(&s->xattrs);
    mem_free(s->unread);
    memory_free(s->memory);
    pthread_mutex_destroy(&s->lock);
}
DEFINE_AUTO_VALUE(struct scan, scan_release);

char *item_path(const struct item *it)
{
    const char *dir = it->in->path;
    return *dir ? str_printf("%s/%s", dir, it->name) : str_dup(it->name);
}

static char *memory_name(const struct context *c)
{
    char real[PATH_MAX];
    const char *path = realpath(c->path, real) ? real : c->path;
    struct digest d;
    digest_of(path, strlen(path), &d);
    return str_dup(DIGEST_HEX(&d));
}

void context_forget(const struct context *c)
{
    AUTO(mem_free) char *name = memory_name(c);
    AUTO(mem_free) char *path = path_join("memory", name);
    unlinkat(store_dirfd(c->store), path, 0); /* mostly it is there; if not, so be it */
}

static int scan_wants(struct context *c, struct err *err)
{
    AUTO(mem_free) char *name = memory_name(c);
    if (dir_make(store_dirfd(c->store), "memory", 0700, err) < 0)
        return err->code;
    AUTO(fd_close) int memory_fd = dir_open(store_dirfd(c->store), "memory", err);
    if (memory_fd < 0)
        return err->code;
    AUTO(scan_release) struct scan s = { .c = c, .memory = memory_open(memory_fd, name) };
    pthread_mutex_init(&s.lock, NULL);
    if (context_walk(&s, err) < 0 || context_hash(&s, err) < 0 || context_list(&s, err) < 0)
        return err->code;
    struct err ignored = ERR_INIT; /* a memory that cannot be kept costs time, nothing else */
    bool whole = wants_all(&c->wants) && c->ignore == NULL;
    memory_save(s.memory, whole, &ignored);
    return 0;
}

int context_scan(struct context *c, const struct strv *paths, const struct listing **ret,
                 struct err *err)
{
    pthread_mutex_lock(&c->lock);
    size_t before = c->wants.n;
    for (size_t i = 0; i < paths->n && !wants_all(&c->wants); i++)
        add_want(c, &c->wants, paths->v[i], 0);
    int rc = 0;
    if (c->wants.n != before || c->n_listings == 0)
        rc = scan_wants(c, err);
    if (rc == 0)
        *ret = c->listings[c->n_listings - 1];
    else
        strv_clear(&c->wants);
    pthread_mutex_unlock(&c->lock);
    return rc;
}

int context_open_file(const struct context *c, const char *path, struct err *err)
{
    int fd = inroot_open(c->fd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0, err);
    if (fd >= 0)
        return fd;
    int code = err->code;
    err_sys(err, err->sys, "cannot open '%s' in the context", path);
    return err->code = code;
}

void context_counts(struct context *c, struct context_counts *ret)
{
    pthread_mutex_lock(&c->lock);
    *ret = c->counts;
    pthread_mutex_unlock(&c->lock);
}

#include "store/loose.h"

#include "base/fs.h"
#include "base/log.h"
#include "base/map.h"
#include "store/store_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#define NAME_LEN 24

struct numbers {
    size_t *v, n, cap;
};

struct loose {
    struct work *work; /* the store's */
    char *name;        /* of dir in it */
    int dir;
    struct map *by_content; /* hex digest -> numbers */
    size_t n_files;
    int fd; /* the file that is being written, -1: none is */
    bool has_failed;
};

static void numbers_free(void *p)
{
    struct numbers *x = p;

    mem_free(x->v);
    mem_free(x);
}

void loose_free(struct loose *l)
{
    struct err err = ERR_INIT;

    if (l == NULL)
        return;
    fd_close(l->fd);
    fd_close(l->dir);
    if (l->name != NULL && tree_remove(work_dirfd(l->work), l->name, &err) < 0)
        log_debug("store", "%s", err.msg);
    map_free(l->by_content);
    mem_free(l->name);
    mem_free(l);
}

struct loose *loose_new(struct store *s)
{
    struct err err = ERR_INIT;
    AUTO(loose_free) struct loose *l = mem_zalloc(sizeof(*l));

    l->fd = l->dir = -1;
    l->by_content = map_new(numbers_free);
    l->work = store_scratch(s, &err);
    if (l->work != NULL)
        l->name = work_subdir(l->work, "loose", &err);
    if (l->name != NULL)
        l->dir = dir_open(work_dirfd(l->work), l->name, &err);
    if (l->dir >= 0)
        return TAKE(l);
    log_debug("store", "%s", err.msg);
    return NULL;
}

static void name_of(size_t number, char ret[NAME_LEN])
{
    snprintf(ret, NAME_LEN, "%zu", number);
}

/* What is missing is taken out of the blob later, and what is wrong then said. */
static void give_up(struct loose *l, const char *why)
{
    log_debug("store", "the layer is not unpacked as it comes: %s", why);
    l->has_failed = true;
    fd_close(l->fd);
    l->fd = -1;
}

static void begin_file(struct loose *l)
{
    char name[NAME_LEN];

    name_of(l->n_files, name);
    l->fd = openat(l->dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (l->fd < 0)
        give_up(l, "cannot make a file");
}

static void take_bytes(void *arg, const void *p, size_t n)
{
    struct loose *l = arg;
    struct err err = ERR_INIT;

    if (!l->has_failed && l->fd < 0)
        begin_file(l);
    if (!l->has_failed && fd_write_full(l->fd, p, n, &err) < 0)
        give_up(l, err.msg);
}

static void end_file(void *arg, const struct digest *content)
{
    struct loose *l = arg;

    if (l->fd < 0)
        return; /* an empty one */
    fd_close(l->fd);
    l->fd = -1;
    struct numbers *x = map_get(l->by_content, DIGEST_HEX(content));
    if (x == NULL) {
        x = mem_zalloc(sizeof(*x));
        map_set(l->by_content, DIGEST_HEX(content), x);
    }
    MEM_ROOM(x->v, x->n, x->cap);
    x->v[x->n++] = l->n_files++;
}

struct layer_tar_watch loose_watch(struct loose *l)
{
    return (struct layer_tar_watch){ .bytes = take_bytes, .end = end_file, .arg = l };
}

int loose_place(struct loose *l, const struct digest *content, int dirfd, const char *name,
                struct err *err)
{
    struct numbers *x = map_get(l->by_content, DIGEST_HEX(content));
    char number[NAME_LEN];

    if (x == NULL || x->n == 0)
        return err_set(err, ERR_NOT_FOUND, "no file with the bytes '%s'", DIGEST_S(content));
    name_of(x->v[--x->n], number);
    if (renameat2(l->dir, number, dirfd, name, RENAME_NOREPLACE) < 0)
        return err_sys(err, errno, "cannot place '%s'", name);
    int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? err_sys(err, errno, "cannot open '%s'", name) : fd;
}

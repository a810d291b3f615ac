#include "store/cache_mount.h"

#include "base/fs.h"
#include "store/store_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIR_NAME "cache-mounts"
#define LOCKS ".lock"
#define PRIVATE_BITS 10 /* directories of one name, as a power of two */

struct cache_mount {
    char *path;
    int lock;
};

void cache_mount_close(struct cache_mount *m)
{
    if (m == NULL)
        return;
    fd_close(m->lock);
    mem_free(m->path);
    mem_free(m);
}

const char *cache_mount_path(const struct cache_mount *m)
{
    return m->path;
}

/* What one call of cache_mount_open works on. */
struct opening {
    struct store *s;
    char *dir_name;
    const struct cache_mount_spec *spec;
    int dir;  /* of all cache mounts */
    int lock; /* an open file description of its own: it owns the lock */
    char name[DIGEST_HEX_LEN + 8];
};

static void opening_release(struct opening *o)
{
    mem_free(o->dir_name);
    fd_close(o->dir);
    fd_close(o->lock);
}
DEFINE_AUTO_VALUE(struct opening, opening_release);

static int open_dir(struct opening *o, struct err *err)
{
    o->dir_name = store_owned_name(o->s, DIR_NAME);
    if (store_make_dir(o->s->dirfd, o->dir_name, 0700, err) < 0)
        return err->code;
    o->dir = openat(o->s->dirfd, o->dir_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (o->dir < 0)
        return err_sys(err, errno, "cannot open '%s/%s'", o->s->root, o->dir_name);
    o->lock = openat(o->dir, LOCKS, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (o->lock < 0)
        return err_sys(err, errno, "cannot open '%s/%s/" LOCKS "'", o->s->root, o->dir_name);
    return 0;
}

/* The byte that stands for number n of this name. Two names on one byte: one waits in vain. */
static uint64_t place(const struct opening *o, unsigned n)
{
    uint64_t at;

    memcpy(&at, o->spec->name.b, sizeof(at));
    return (at >> 2 & ~((UINT64_C(1) << PRIVATE_BITS) - 1)) | n;
}

/* The first number that nobody uses. */
static int take_free(struct opening *o, unsigned *ret, struct err *err)
{
    for (unsigned n = 0; n < 1u << PRIVATE_BITS; n++) {
        int got = lock_try_byte(o->lock, place(o, n), err);
        if (got < 0)
            return got;
        if (got) {
            *ret = n;
            return 0;
        }
    }
    return err_set(err, ERR_IO, "%u steps use private directories of one cache",
                   1u << PRIVATE_BITS);
}

static int take_lock(struct opening *o, struct cancel *cancel, struct err *err)
{
    bool exclusive = o->spec->sharing == CACHE_LOCKED || o->spec->anew;
    char hex[DIGEST_HEX_LEN + 1];
    unsigned n = 0;
    int rc = o->spec->sharing == CACHE_PRIVATE
                 ? take_free(o, &n, err)
                 : lock_await_byte(o->lock, place(o, 0), exclusive, LOCK_FOREVER, cancel, err);

    if (rc < 0)
        return rc;
    digest_hex(&o->spec->name, hex);
    if (n == 0)
        snprintf(o->name, sizeof(o->name), "%s", hex);
    else
        snprintf(o->name, sizeof(o->name), "%s-%u", hex, n);
    return 0;
}

/* ---- making one ---- */

/* Directories in the store's scratch: what is left of them is removed. */
struct made {
    struct work *work;
    char *name, *scratch;
};

static void made_release(struct made *m)
{
    struct err ignored = ERR_INIT;

    if (m->name != NULL)
        tree_remove(work_dirfd(m->work), m->name, &ignored);
    if (m->scratch != NULL)
        tree_remove(work_dirfd(m->work), m->scratch, &ignored);
    mem_free(m->name);
    mem_free(m->scratch);
}
DEFINE_AUTO_VALUE(struct made, made_release);

static int set_owner(const struct cache_mount_spec *spec, int fd, struct err *err)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return err_sys(err, errno, "cannot look at a new cache directory");
    if ((st.st_uid != spec->uid || st.st_gid != spec->gid) && fchown(fd, spec->uid, spec->gid) < 0)
        return err_sys(err, errno, "cannot give a cache directory to %u:%u", spec->uid, spec->gid);
    if (fchmod(fd, spec->mode & 07777) < 0)
        return err_sys(err, errno, "cannot set the mode of a cache directory");
    return 0;
}

static int fill(const struct cache_mount_spec *spec, struct made *m, struct err *err)
{
    AUTO(fd_close) int dir = dir_open(work_dirfd(m->work), m->name, err);
    AUTO(fd_close) int scratch = -1;

    if (dir < 0)
        return err->code;
    if (spec->fill == NULL)
        return set_owner(spec, dir, err);
    m->scratch = work_subdir(m->work, "cache", err);
    if (m->scratch == NULL)
        return err->code;
    scratch = dir_open(work_dirfd(m->work), m->scratch, err);
    if (scratch < 0 || spec->fill(spec->arg, dir, scratch, err) < 0)
        return err->code;
    return set_owner(spec, dir, err);
}

/* Whole, and then under its name; where another one was quicker, that one's is taken. */
static int make(struct opening *o, struct err *err)
{
    AUTO(made_release) struct made m = { .work = store_scratch(o->s, err) };

    if (m.work == NULL)
        return err->code;
    m.name = work_subdir(m.work, "cache", err);
    if (m.name == NULL || fill(o->spec, &m, err) < 0)
        return err->code;
    if (renameat2(work_dirfd(m.work), m.name, o->dir, o->name, RENAME_NOREPLACE) < 0 &&
        errno != EEXIST)
        return err_sys(err, errno, "cannot make '%s/" DIR_NAME "/%s'", o->s->root, o->name);
    return 0;
}

static int set_aside(struct opening *o, struct err *err)
{
    AUTO(made_release) struct made m = { .work = store_scratch(o->s, err) };

    if (m.work == NULL)
        return err->code;
    m.name = work_subdir(m.work, "cache", err);
    if (m.name == NULL)
        return err->code;
    AUTO(fd_close) int to = dir_open(work_dirfd(m.work), m.name, err);
    if (to < 0)
        return err->code;
    if (renameat(o->dir, o->name, to, "old") < 0 && errno != ENOENT)
        return err_sys(err, errno, "cannot replace '%s/" DIR_NAME "/%s'", o->s->root, o->name);
    return 0;
}

static bool is_there(const struct opening *o)
{
    struct stat st;

    return fstatat(o->dir, o->name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

struct cache_mount *cache_mount_open(struct store *s, const struct cache_mount_spec *spec,
                                     struct cancel *cancel, struct err *err)
{
    AUTO(opening_release) struct opening o = { .s = s, .spec = spec, .dir = -1, .lock = -1 };

    if (open_dir(&o, err) < 0 || take_lock(&o, cancel, err) < 0)
        return NULL;
    if (spec->anew && set_aside(&o, err) < 0)
        return NULL;
    if (!is_there(&o) && make(&o, err) < 0)
        return NULL;
    if (spec->anew && spec->sharing == CACHE_SHARED &&
        lock_try_share_byte(o.lock, place(&o, 0), err) < 0)
        return NULL;
    struct cache_mount *m = mem_zalloc(sizeof(*m));
    m->path = str_printf("%s/%s/%s", s->root, o.dir_name, o.name);
    m->lock = TAKE_FD(o.lock);
    return m;
}

#include "store/store.h"
#include "store/store_internal.h"

#include "base/fs.h"
#include "base/log.h"
#include "store/layer_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#define UNSYNCED "unsynced" /* the boot in which something was written without a sync */

/* SQLite's log is shared memory and our locks are the kernel's: both end at this machine. */
static const struct {
    uint32_t magic;
    const char *name;
} network_file_systems[] = {
    { 0x6969, "NFS" },        { 0xff534d42, "CIFS" }, { 0xfe534d42, "SMB" },
    { 0x517b, "SMB" },        { 0x01021997, "9P" },   { 0x00c36400, "Ceph" },
    { 0x5346414f, "AFS" },    { 0x6b414653, "AFS" },  { 0x73757245, "Coda" },
    { 0x0bd00bd0, "Lustre" }, { 0x01161970, "GFS2" }, { 0x7461636f, "OCFS2" },
    { 0x47504653, "GPFS" },   { 0x564c, "NetWare" },
};

#define ROOTS_STORE "/var/lib/shale"

/* Root of a user namespace may be anybody: then the store is where that user has it. */
static bool may_use_roots_store(void)
{
    struct stat st;

    if (geteuid() != 0 || userns_is_initial())
        return geteuid() == 0;
    if (stat(ROOTS_STORE, &st) == 0)
        return st.st_uid == 0;
    return errno == ENOENT && access("/var/lib", W_OK) == 0;
}

static char *default_root(struct err *err)
{
    const char *root = getenv("SHALE_ROOT"), *data = getenv("XDG_DATA_HOME"),
               *home = getenv("HOME");

    if (root != NULL && *root != '\0')
        return str_dup(root);
    if (may_use_roots_store())
        return str_dup(ROOTS_STORE);
    if (data != NULL && *data == '/')
        return path_join(data, "shale");
    if (home != NULL && *home == '/')
        return path_join(home, ".local/share/shale");
    err_set(err, ERR_USAGE, "no place for the store is known: set SHALE_ROOT or HOME");
    return NULL;
}

static int cannot_write(struct err *err, int sys, const char *root)
{
    err_sys(err, sys, "cannot write the store '%s'", root);
    return err->code = ERR_IO; /* a store that is not there is no miss */
}

int store_make_dir(int dirfd, const char *name, mode_t mode, struct err *err)
{
    if (mkdirat(dirfd, name, mode) < 0)
        return errno == EEXIST ? 0 : err_sys(err, errno, "cannot make directory '%s'", name);
    if (fchmodat(dirfd, name, mode, 0) < 0)
        return err_sys(err, errno, "cannot set mode of '%s'", name);
    return 0;
}

static int open_root_dir(const char *root, struct err *err)
{
    int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd >= 0 || errno != ENOENT)
        return fd >= 0 ? fd : cannot_write(err, errno, root);
    if (dir_make(AT_FDCWD, root, 0700, err) < 0)
        return cannot_write(err, err->sys, root);
    fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd >= 0 ? fd : cannot_write(err, errno, root);
}

static bool is_empty_dir(int fd)
{
    int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = copy < 0 ? NULL : fdopendir(copy);
    struct dirent *e;
    int n = 0;

    if (d == NULL) {
        fd_close(copy);
        return false;
    }
    while (n <= 2 && (e = readdir(d)) != NULL)
        n++;
    closedir(d);
    return n <= 2; /* "." and ".." */
}

/* A directory that was just made for us, be it by mkdir with a wide umask, is taken over. */
static int check_mode(int fd, const char *root, struct err *err)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return cannot_write(err, errno, root);
    if (st.st_uid != geteuid())
        return err_set(err, ERR_USAGE,
                       "the store '%s' belongs to user %u and you are user %u: use your own with "
                       "SHALE_ROOT",
                       root, (unsigned)st.st_uid, (unsigned)geteuid());
    if ((st.st_mode & 07777) == 0700)
        return 0;
    if ((st.st_mode & 077) != 0 && !is_empty_dir(fd))
        return err_set(err, ERR_USAGE,
                       "the store '%s' is open to others (mode %04o): look whether they changed "
                       "something, then chmod 0700 it",
                       root, (unsigned)(st.st_mode & 07777));
    return fchmod(fd, 0700) < 0 ? cannot_write(err, errno, root) : 0;
}

static int check_file_system(int fd, const char *root, struct err *err)
{
    struct statfs st;

    if (fstatfs(fd, &st) < 0)
        return cannot_write(err, errno, root);
    for (size_t i = 0; i < ARRAY_LEN(network_file_systems); i++)
        if ((uint32_t)st.f_type == network_file_systems[i].magic)
            return err_set(err, ERR_UNSUPPORTED,
                           "the store '%s' is on a network file system (%s): locks and the index "
                           "need a local one; use another SHALE_ROOT",
                           root, network_file_systems[i].name);
    return 0;
}

static int open_root(struct store *s, const char *root, struct err *err)
{
    char real[PATH_MAX];

    s->dirfd = open_root_dir(root, err);
    if (s->dirfd < 0 || check_mode(s->dirfd, root, err) < 0 ||
        check_file_system(s->dirfd, root, err) < 0)
        return err->code;
    if (faccessat(s->dirfd, ".", R_OK | W_OK | X_OK, AT_EACCESS) < 0 || !realpath(root, real))
        return cannot_write(err, errno, root);
    s->root = str_dup(real);
    return 0;
}

static int open_sub(struct store *s, const char *name, int *ret_fd, struct err *err)
{
    if (store_make_dir(s->dirfd, name, 0700, err) < 0)
        return err_wrap(err, "store '%s'", s->root);
    *ret_fd = openat(s->dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return *ret_fd < 0 ? cannot_write(err, errno, s->root) : 0;
}

char *store_owned_name(const struct store *s, const char *name)
{
    return s->ns.is_initial ? str_dup(name) : str_printf("%s-%s", name, s->ns.form);
}

static uint32_t last_id(const struct userns_map *m)
{
    return m->n > 0 ? m->v[m->n - 1].first + m->v[m->n - 1].n - 1 : 0;
}

/*
 * A namespace in a namespace sees its maps as the outer one counts. So that two of them that look
 * alike and mean other ids are told apart, the directory is given to the last id of all: who means
 * another one sees another owner. Who can give nothing away has no trees of others either.
 */
static int check_owners(const struct store *s, struct err *err)
{
    uint32_t uid = last_id(&s->ns.uids), gid = last_id(&s->ns.gids);
    struct stat st;

    if (geteuid() != 0)
        return 0;
    if (fstatat(s->dirfd, s->trees_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return cannot_write(err, errno, s->root);
    if ((st.st_uid != 0 && st.st_uid != uid) || (st.st_gid != 0 && st.st_gid != gid))
        return err_set(err, ERR_UNSUPPORTED,
                       "its '%s' has files of other users than this user namespace: use another "
                       "SHALE_ROOT",
                       s->trees_name);
    if ((st.st_uid != uid || st.st_gid != gid) &&
        fchownat(s->dirfd, s->trees_name, uid, gid, AT_SYMLINK_NOFOLLOW) < 0)
        log_debug("store", "cannot give '%s' to %u:%u: %s", s->trees_name, (unsigned)uid,
                  (unsigned)gid, strerror(errno));
    return 0;
}

static int open_trees(struct store *s, struct err *err)
{
    if (userns_read(&s->ns, err) < 0)
        return err->code;
    s->trees_name = store_owned_name(s, "trees");
    if (!s->ns.is_initial &&
        (store_make_dir(s->dirfd, s->trees_name, 0700, err) < 0 || check_owners(s, err) < 0))
        return err_wrap(err, "store '%s'", s->root);
    return open_sub(s, s->trees_name, &s->trees, err);
}

static int open_dirs(struct store *s, struct err *err)
{
    if (store_make_dir(s->dirfd, "blobs", 0700, err) < 0 ||
        store_make_dir(s->dirfd, "memory", 0700, err) < 0)
        return err_wrap(err, "store '%s'", s->root);
    if (open_sub(s, "blobs/sha256", &s->blobs, err) < 0 || open_trees(s, err) < 0)
        return err->code;
    return open_sub(s, "work", &s->work, err);
}

/* A random number of this boot, dashes left out. */
static int read_boot(struct store *s, struct err *err)
{
    AUTO(buf_release) struct buf b = BUF_INIT;
    size_t n = 0;

    if (file_read(AT_FDCWD, "/proc/sys/kernel/random/boot_id", 4096, &b, err) < 0)
        return err->code;
    for (const char *p = buf_str(&b); *p != '\0' && n < BOOT_LEN; p++)
        if (strchr("0123456789abcdef", *p) != NULL)
            s->boot[n++] = *p;
    s->boot[n] = '\0';
    return n == BOOT_LEN ? 0 : err_set(err, ERR_UNSUPPORTED, "the kernel gives no boot id");
}

static int open_all(struct store *s, const char *root, struct err *err)
{
    if (read_boot(s, err) < 0 || open_root(s, root, err) < 0)
        return err->code;
    s->db = db_open(s->root, s->dirfd, s->boot, err);
    if (s->db == NULL || open_dirs(s, err) < 0)
        return err->code;
    work_clear_dead(s);
    return 0;
}

struct store *store_open(const char *root, struct err *err)
{
    AUTO(mem_free) char *path = root ? str_dup(root) : default_root(err);
    AUTO(store_close) struct store *s = NULL;

    if (path == NULL)
        return NULL;
    s = mem_zalloc(sizeof(*s));
    s->dirfd = s->blobs = s->trees = s->work = -1;
    atomic_init(&s->durable, true);
    pthread_mutex_init(&s->lock, NULL);
    s->layers = map_new(layer_cache_free);
    return open_all(s, path, err) < 0 ? NULL : TAKE(s);
}

void store_close(struct store *s)
{
    if (s == NULL)
        return;
    work_free(s->scratch);
    if (s->db != NULL)
        layer_stamps_write(s);
    db_free(s->db);
    map_free(s->layers);
    for (size_t i = 0; i < s->n_away; i++)
        layer_cache_free(s->away[i]);
    mem_free(s->away);
    mem_free(s->stamps);
    pthread_mutex_destroy(&s->lock);
    fd_close(s->work);
    fd_close(s->trees);
    fd_close(s->blobs);
    fd_close(s->dirfd);
    userns_release(&s->ns);
    mem_free(s->trees_name);
    mem_free(s->root);
    mem_free(s);
}

const char *store_root(const struct store *s)
{
    return s->root;
}

int store_dirfd(const struct store *s)
{
    return s->dirfd;
}

/* Synced itself, once a boot: after a power cut it must be there. */
int store_say_unsynced(int dirfd, const char *boot, struct err *err)
{
    return file_replace(dirfd, UNSYNCED, boot, strlen(boot), 0600, true, err);
}

/* From then on nobody takes what is there for safe. */
static bool say_unsynced(struct store *s)
{
    struct err err = ERR_INIT;

    if (store_has_unsynced(s) || store_say_unsynced(s->dirfd, s->boot, &err) == 0)
        return true;
    log_warn("store", "everything is synced: %s", err.msg);
    return false;
}

void store_set_durable(struct store *s, bool durable)
{
    atomic_store(&s->durable, durable || !say_unsynced(s));
}

enum unsynced store_unsynced(struct store *s)
{
    AUTO(buf_release) struct buf boot = BUF_INIT;
    struct err err = ERR_INIT;

    if (file_read(s->dirfd, UNSYNCED, 4096, &boot, &err) < 0)
        return err.code == ERR_NOT_FOUND ? UNSYNCED_NEVER : UNSYNCED_NOW;
    return strcmp(buf_str(&boot), s->boot) == 0 ? UNSYNCED_NOW : UNSYNCED_BEFORE;
}

/*
 * A cached step writes nothing again, so nobody knows which files. The file that says so stays: a
 * build that does not sync may be at work.
 */
int store_settle(struct store *s, struct err *err)
{
    if (!store_is_durable(s) || !store_has_unsynced(s))
        return 0;
    return syncfs(s->dirfd) < 0 ? err_sys(err, errno, "cannot sync the store '%s'", s->root) : 0;
}

bool store_is_durable(const struct store *s)
{
    return atomic_load(&s->durable);
}

struct work *store_scratch(struct store *s, struct err *err)
{
    pthread_mutex_lock(&s->lock);
    if (s->scratch == NULL)
        s->scratch = work_open(s, err);
    struct work *w = s->scratch;
    pthread_mutex_unlock(&s->lock);
    return w;
}

#include "exec/memory_files_internal.h"

#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#define RUNTIME_ROOM \
    (4u << 20) /* for the runtime's state, which may hold the configuration again */
#define RUNTIME_INODES 64

static bool is_file(const struct helper_mount *m)
{
    return m->kind == HELPER_MOUNT_FILE;
}

/* tmpfs counts pages. */
static void room_needed(const struct helper_order *o, uint64_t *ret_size, size_t *ret_n)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

    *ret_size = RUNTIME_ROOM + 2 * o->n_config;
    *ret_n = RUNTIME_INODES;
    for (size_t i = 0; i < o->n_mounts; i++)
        if (is_file(&o->mounts[i])) {
            *ret_size += (o->mounts[i].n_bytes + page - 1) / page * page;
            (*ret_n)++;
        }
}

/* Linux before 6.4 cannot keep a tmpfs out of swap. */
static int mount_tmpfs(const char *path, uint64_t size, size_t n, struct err *err)
{
    static const char *const swap[] = { ",noswap", "" };

    for (size_t i = 0; i < ARRAY_LEN(swap); i++) {
        AUTO(mem_free)
        char *options =
            str_printf("mode=0700,size=%llu,nr_inodes=%zu%s", (unsigned long long)size, n, swap[i]);
        if (mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, options) == 0)
            return 0;
    }
    return err_sys(err, errno, "cannot mount a tmpfs");
}

/* From the memory of one file to that of the other, not through ours. */
static int copy_bytes(int to, int from, uint64_t n, struct err *err)
{
    while (n > 0) {
        ssize_t done = sendfile(to, from, NULL, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return err_sys(err, errno, "cannot write a file of memory");
        if (done == 0)
            return err_set(err, ERR_IO, "what the helper was given ended too early");
        n -= (uint64_t)done;
    }
    return 0;
}

static int make_file(int dirfd, const char *name, int from, uint64_t n, struct err *err)
{
    int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd < 0)
        return err_sys(err, errno, "cannot make a file of memory");
    if (copy_bytes(fd, from, n, err) < 0) {
        fd_close(fd);
        return err->code;
    }
    return fd;
}

static int make_secret(int dirfd, const struct helper_mount *m, int from, struct err *err)
{
    AUTO(fd_close) int fd = make_file(dirfd, m->name, from, m->n_bytes, err);

    if (fd < 0)
        return err->code;
    if (fchown(fd, m->uid, m->gid) < 0 || fchmod(fd, m->mode & 07777) < 0)
        return err_sys(err, errno, "cannot set owner and mode of a secret");
    return 0;
}

int memory_files_make(const struct helper_order *o, int from, struct err *err)
{
    AUTO(mem_free) char *path = path_join(o->dir, HELPER_MEMORY);
    uint64_t size;
    size_t n;

    room_needed(o, &size, &n);
    if (mkdir(path, 0700) < 0)
        return err_sys(err, errno, "cannot make directory '%s'", path);
    if (mount_tmpfs(path, size, n, err) < 0)
        return err->code;
    AUTO(fd_close) int dirfd = dir_open(AT_FDCWD, path, err);
    if (dirfd < 0)
        return err->code;
    AUTO(fd_close) int config = make_file(dirfd, "config.json", from, o->n_config, err);
    if (config < 0)
        return err->code;
    for (size_t i = 0; i < o->n_mounts; i++)
        if (is_file(&o->mounts[i]) && make_secret(dirfd, &o->mounts[i], from, err) < 0)
            return err->code;
    return 0;
}

int memory_files_open(const struct helper_order *o, const struct helper_mount *m, struct err *err)
{
    AUTO(mem_free) char *path = str_printf("%s/" HELPER_MEMORY "/%s", o->dir, m->name);
    int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);

    return fd < 0 ? err_sys(err, errno, "cannot open '%s'", path) : fd;
}

void memory_files_unmount(const struct helper_order *o)
{
    AUTO(mem_free) char *path = path_join(o->dir, HELPER_MEMORY);

    umount2(path, MNT_DETACH);
}

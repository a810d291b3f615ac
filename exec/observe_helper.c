#include "exec/observe_internal.h"

#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

char *observed_dir(const char *dir, size_t i)
{
    return str_printf("%s/o%zu", dir, i);
}

/*
 * FUSE knows nothing of a root's mode and owner until somebody asks, and an overlay that has this
 * as its topmost directory would take over what it finds. So that question always comes.
 */
static int attach(const char *path, int mnt, struct err *err)
{
    struct stat st;

    if (mkdir(path, 0755) < 0)
        return err_sys(err, errno, "cannot make directory '%s'", path);
    if (move_mount(mnt, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) < 0)
        return err_sys(err, errno, "cannot attach the mount of an observed layer");
    if (stat(path, &st) < 0)
        return err_sys(err, errno, "cannot look at an observed layer");
    return 0;
}

int observed_attach(const char *dir, size_t n, int first_fd, struct err *err)
{
    for (size_t i = 0; i < n; i++) {
        AUTO(mem_free) char *path = observed_dir(dir, i);
        AUTO(fd_close) int mnt = first_fd + (int)i;
        if (attach(path, mnt, err) < 0)
            return err->code;
    }
    return 0;
}

size_t observed_seal(const char *dir, size_t n, const char *seal)
{
    struct stat st;
    size_t left = 0;

    for (size_t i = 0; i < n; i++) {
        AUTO(mem_free) char *path = str_printf("%s/o%zu/%s", dir, i, seal);
        left += stat(path, &st) == 0 || errno != ENOENT;
    }
    return left;
}

void observed_unmount(const char *dir, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        AUTO(mem_free) char *path = observed_dir(dir, i);
        if (umount2(path, 0) < 0)
            umount2(path, MNT_DETACH);
    }
}

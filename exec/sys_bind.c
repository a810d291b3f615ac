#include "exec/sys_bind_internal.h"

#include "base/fs.h"
#include "base/userns.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <unistd.h>

#define FLAGS (MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)

/* A copy of the mounts on and below /sys, not mounted anywhere yet. */
static int clone_sys(struct err *err)
{
    struct mount_attr attr = { .attr_set = FLAGS };
    AUTO(fd_close)
    int fd = open_tree(AT_FDCWD, "/sys", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);

    if (fd < 0)
        return err_sys(err, errno, "cannot copy the mount of /sys");
    if (mount_setattr(fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof(attr)) < 0)
        return err_sys(err, errno, "cannot make /sys read-only");
    return TAKE_FD(fd);
}

int sys_bind(const struct helper_order *o, struct err *err)
{
    AUTO(mem_free) char *path = str_printf("%s/" HELPER_SYS, o->dir);

    if (userns_is_initial())
        return 0;
    if (mkdir(path, 0755) < 0)
        return err_sys(err, errno, "cannot make directory '%s'", path);
    AUTO(fd_close) int fd = clone_sys(err);
    if (fd < 0)
        return err->code;
    if (move_mount(fd, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) < 0)
        return err_sys(err, errno, "cannot mount '%s'", path);
    return 0;
}

void sys_unbind(const struct helper_order *o)
{
    AUTO(mem_free) char *path = str_printf("%s/" HELPER_SYS, o->dir);

    if (!userns_is_initial())
        umount2(path, MNT_DETACH);
}

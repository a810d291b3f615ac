#include "store/store_internal.h"

#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

static int set_lock(int fd, int cmd, short type, uint64_t at)
{
    struct flock fl = { .l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)at, .l_len = 1 };
    int r;

    do
        r = fcntl(fd, cmd, &fl);
    while (r < 0 && errno == EINTR);
    return r;
}

int lock_byte(int fd, uint64_t at, struct err *err)
{
    return set_lock(fd, F_OFD_SETLKW, F_WRLCK, at) < 0 ? err_sys(err, errno, "cannot lock") : 0;
}

int lock_try_byte(int fd, uint64_t at, struct err *err)
{
    if (set_lock(fd, F_OFD_SETLK, F_WRLCK, at) == 0)
        return 1;
    if (errno == EAGAIN || errno == EACCES)
        return 0;
    return err_sys(err, errno, "cannot lock");
}

int unlock_byte(int fd, uint64_t at, struct err *err)
{
    return set_lock(fd, F_OFD_SETLK, F_UNLCK, at) < 0 ? err_sys(err, errno, "cannot unlock") : 0;
}

/* Two digests on one byte make two tasks wait that need not: no harm. */
int store_claim(struct store *s, enum claim_kind kind, const struct digest *d, struct err *err)
{
    uint64_t at;
    AUTO(fd_close)
    int fd = openat(s->dirfd, "layers.lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd < 0)
        return err_sys(err, errno, "cannot open '%s/layers.lock'", s->root);
    memcpy(&at, d->b, sizeof(at));
    at = (at & ((UINT64_C(1) << 61) - 1)) | (uint64_t)kind << 61;
    if (lock_byte(fd, at, err) < 0)
        return err_wrap(err, "'%s/layers.lock'", s->root);
    return TAKE_FD(fd);
}

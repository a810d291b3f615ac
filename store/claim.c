#include "store/store_internal.h"

#include "base/clock.h"
#include "base/fs.h"
#include "store/record.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>

#define LOOK_AGAIN_MS 50

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

static int try_lock(int fd, short type, uint64_t at, struct err *err)
{
    if (set_lock(fd, F_OFD_SETLK, type, at) == 0)
        return 1;
    if (errno == EAGAIN || errno == EACCES)
        return 0;
    return err_sys(err, errno, "cannot lock");
}

int lock_try_byte(int fd, uint64_t at, struct err *err)
{
    return try_lock(fd, F_WRLCK, at, err);
}

int lock_try_share_byte(int fd, uint64_t at, struct err *err)
{
    return try_lock(fd, F_RDLCK, at, err);
}

int unlock_byte(int fd, uint64_t at, struct err *err)
{
    return set_lock(fd, F_OFD_SETLK, F_UNLCK, at) < 0 ? err_sys(err, errno, "cannot unlock") : 0;
}

int lock_await_byte(int fd, uint64_t at, bool exclusive, int64_t max_ms, struct cancel *cancel,
                    struct err *err)
{
    int64_t begun = clock_mono_ms();

    for (;;) {
        int got = try_lock(fd, exclusive ? F_WRLCK : F_RDLCK, at, err);
        if (got != 0)
            return got < 0 ? got : 0;
        if (max_ms != LOCK_FOREVER && clock_mono_ms() - begun >= max_ms)
            return err_set(err, ERR_NOT_FOUND, "somebody else has the lock");
        struct pollfd p = { .fd = cancel_fd(cancel), .events = POLLIN };
        poll(&p, 1, LOOK_AGAIN_MS);
        if (cancel_check(cancel, err) < 0)
            return err->code;
    }
}

static int open_locks(struct store *s, struct err *err)
{
    int fd = openat(s->dirfd, "layers.lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

    return fd < 0 ? err_sys(err, errno, "cannot open '%s/layers.lock'", s->root) : fd;
}

/* Two digests on one byte make two tasks wait that need not: no harm. */
static uint64_t claim_place(enum claim_kind kind, const struct digest *d)
{
    uint64_t at;

    memcpy(&at, d->b, sizeof(at));
    return (at & ((UINT64_C(1) << 61) - 1)) | (uint64_t)kind << 61;
}

int store_claim(struct store *s, enum claim_kind kind, const struct digest *d, struct err *err)
{
    AUTO(fd_close) int fd = open_locks(s, err);

    if (fd < 0)
        return fd;
    if (lock_byte(fd, claim_place(kind, d), err) < 0)
        return err_wrap(err, "'%s/layers.lock'", s->root);
    return TAKE_FD(fd);
}

/* Waits for it as long as it takes. */
static int claim_patiently(struct store *s, enum claim_kind kind, const struct digest *d,
                           int64_t max_ms, struct cancel *cancel, struct err *err)
{
    AUTO(fd_close) int fd = open_locks(s, err);

    if (fd < 0)
        return fd;
    int rc = lock_await_byte(fd, claim_place(kind, d), true, max_ms, cancel, err);
    if (rc == ERR_CANCELLED || rc == ERR_NOT_FOUND)
        return rc;
    return rc < 0 ? err_wrap(err, "'%s/layers.lock'", s->root) : TAKE_FD(fd);
}

int layer_fetch_claim(struct store *s, const struct diff_id *id, struct cancel *cancel,
                      struct err *err)
{
    return claim_patiently(s, CLAIM_FETCH, &id->d, LOCK_FOREVER, cancel, err);
}

int record_claim(struct store *s, const struct cache_key *key, struct cancel *cancel,
                 struct err *err)
{
    return record_claim_within(s, key, LOCK_FOREVER, cancel, err);
}

int record_claim_within(struct store *s, const struct cache_key *key, int64_t max_ms,
                        struct cancel *cancel, struct err *err)
{
    return claim_patiently(s, CLAIM_RECORD, &key->d, max_ms, cancel, err);
}

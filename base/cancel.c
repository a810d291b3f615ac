#include "base/cancel.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/mem_internal.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct cancel {
    atomic_int reason; /* -1: not set; else a signal or 0 */
    int fd;
};

_Static_assert(ATOMIC_INT_LOCK_FREE == 2, "cancel_set is called in signal handlers");

void cancel_free(struct cancel *c)
{
    if (c == NULL)
        return;
    fd_close(c->fd);
    mem_free(c);
}

struct cancel *cancel_new(void)
{
    struct cancel *c = mem_zalloc(sizeof(*c));

    atomic_init(&c->reason, -1);
    c->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (c->fd < 0)
        die("cannot make an event fd");
    return c;
}

void cancel_set(struct cancel *c, int signo)
{
    int saved = errno, unset = -1, failed = 0;
    uint64_t one = 1;

    if (atomic_compare_exchange_strong(&c->reason, &unset, signo))
        while (write(c->fd, &one, sizeof(one)) < 0 && errno == EINTR)
            ;
    else /* a signal counts for more than a failure */
        atomic_compare_exchange_strong(&c->reason, &failed, signo);
    errno = saved;
}

bool cancel_take_back(struct cancel *c)
{
    int failed = 0;
    uint64_t n;

    if (!cancel_is_set(c))
        return true;
    /* while it is set nobody else writes */
    while (read(c->fd, &n, sizeof(n)) < 0 && errno == EINTR)
        ;
    if (atomic_compare_exchange_strong(&c->reason, &failed, -1))
        return true;
    n = 1;
    while (write(c->fd, &n, sizeof(n)) < 0 && errno == EINTR)
        ;
    return false;
}

bool cancel_is_set(const struct cancel *c)
{
    return c != NULL && atomic_load(&c->reason) >= 0;
}

int cancel_signal(const struct cancel *c)
{
    return cancel_is_set(c) ? atomic_load(&c->reason) : 0;
}

int cancel_fd(const struct cancel *c)
{
    return c ? c->fd : -1;
}

int cancel_check(const struct cancel *c, struct err *err)
{
    return cancel_is_set(c) ? err_set(err, ERR_CANCELLED, "interrupted") : 0;
}

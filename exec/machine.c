#include "exec/machine_internal.h"

#include "base/fs.h"
#include "base/log.h"
#include "base/userns.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/loop.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOOPS_FREE 8
#define LOOPS_MAX 1024

static const struct limit {
    const char *name;
    int resource;
} limits[] = {
    { "as", RLIMIT_AS },
    { "core", RLIMIT_CORE },
    { "cpu", RLIMIT_CPU },
    { "data", RLIMIT_DATA },
    { "fsize", RLIMIT_FSIZE },
    { "locks", RLIMIT_LOCKS },
    { "memlock", RLIMIT_MEMLOCK },
    { "msgqueue", RLIMIT_MSGQUEUE },
    { "nice", RLIMIT_NICE },
    { "nofile", RLIMIT_NOFILE },
    { "nproc", RLIMIT_NPROC },
    { "rss", RLIMIT_RSS },
    { "rtprio", RLIMIT_RTPRIO },
    { "rttime", RLIMIT_RTTIME },
    { "sigpending", RLIMIT_SIGPENDING },
    { "stack", RLIMIT_STACK },
};

static const struct limit *limit_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(limits); i++)
        if (str_eq(limits[i].name, name))
            return &limits[i];
    return NULL;
}

bool exec_is_ulimit(const char *name)
{
    return limit_find(name) != NULL;
}

/* The kernel wants the machine's own root for that. */
static bool may_raise(void)
{
    struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { { .effective = 0 } };

    if (!userns_is_initial() || syscall(SYS_capget, &head, data) < 0)
        return false;
    return data[CAP_TO_INDEX(CAP_SYS_RESOURCE)].effective & CAP_TO_MASK(CAP_SYS_RESOURCE);
}

/* What even a privileged process cannot go beyond. */
static uint64_t most_files(void)
{
    AUTO(buf_release) struct buf text = BUF_INIT;
    struct err ignored = ERR_INIT;

    if (file_read(AT_FDCWD, "/proc/sys/fs/nr_open", 64, &text, &ignored) < 0)
        return EXEC_UNLIMITED;
    return strtoull(buf_str(&text), NULL, 10);
}

static bool is_possible(const struct limit *l, const struct exec_ulimit *u)
{
    struct rlimit own;

    if (l->resource == RLIMIT_NOFILE && u->hard > most_files())
        return false;
    if (getrlimit((__rlimit_resource_t)l->resource, &own) < 0)
        return false;
    return u->hard <= own.rlim_max || may_raise();
}

static bool is_repeated(const struct exec_spec *spec, size_t i)
{
    for (size_t k = i + 1; k < spec->n_ulimits; k++)
        if (str_eq(spec->ulimits[k].name, spec->ulimits[i].name))
            return true;
    return false;
}

int machine_ulimits(const struct exec_spec *spec, struct exec_ulimit *ret, size_t *ret_n,
                    struct err *err)
{
    *ret_n = 0;
    for (size_t i = 0; i < spec->n_ulimits; i++) {
        const struct exec_ulimit *u = &spec->ulimits[i];
        const struct limit *l = limit_find(u->name);
        if (l == NULL)
            return err_set(err, ERR_USAGE, "invalid ulimit type: %s", u->name);
        if (u->soft > u->hard)
            return err_set(err, ERR_USAGE, "ulimit %s: the soft limit is above the hard one",
                           u->name);
        if (is_repeated(spec, i))
            continue;
        if (is_possible(l, u))
            ret[(*ret_n)++] = *u;
        else
            log_debug("exec", "limit %s is left as it is: it cannot be raised here", u->name);
    }
    return 0;
}

unsigned machine_loops(void)
{
    AUTO(fd_close) int fd = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    int first = fd < 0 ? 0 : ioctl(fd, LOOP_CTL_GET_FREE);

    if (first < 0)
        first = 0;
    return (unsigned)(first > LOOPS_MAX ? LOOPS_MAX : first) + LOOPS_FREE;
}

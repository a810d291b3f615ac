/* A child process in a user namespace of its own, whose maps this one writes: needs root. */
#ifndef SHALE_TESTS_USERNS_CHILD_H
#define SHALE_TESTS_USERNS_CHILD_H

#include "tests/unit/unit.h"

#include <sched.h>
#include <sys/wait.h>

static inline void userns_write_map(pid_t pid, const char *name, const char *text)
{
    AUTO(mem_free) char *path = str_printf("/proc/%d/%s", (int)pid, name);
    AUTO(fd_close) int fd = open(path, O_WRONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

/* map: of users and of groups, as in /proc. fn returns 0 when all was well, else says why. */
static inline void in_userns(const char *map, int (*fn)(void *arg), void *arg)
{
    int ready[2], mapped[2], status = 0;
    char c = 0;

    assert_int_equal(pipe(ready) | pipe(mapped), 0);
    pid_t pid = fork();
    if (pid == 0) {
        close(mapped[1]);
        if (unshare(CLONE_NEWUSER) < 0 || write(ready[1], "x", 1) != 1 ||
            read(mapped[0], &c, 1) != 1)
            _exit(99);
        _exit(fn(arg));
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &c, 1), 1);
    userns_write_map(pid, "uid_map", map);
    userns_write_map(pid, "gid_map", map);
    assert_int_equal(write(mapped[1], "x", 1), 1);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    close(ready[0]);
    close(mapped[0]);
    close(mapped[1]);
}

#endif

#include "cmd/patient_writer.h"
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#define AFTER_SIGNAL_MS 1000

/* Whether there is room, which may take its time. */
static bool wait_for_room(const struct patient_writer *w)
{
    for (;;) {
        bool is_set = cancel_is_set(w->cancel);
        struct pollfd fds[] = { { .fd = w->fd, .events = POLLOUT },
                                { .fd = is_set ? -1 : cancel_fd(w->cancel), .events = POLLIN } };
        int n = poll(fds, 2, is_set && cancel_signal(w->cancel) != 0 ? AFTER_SIGNAL_MS : -1);
        if (n == 0 || (n < 0 && errno != EINTR))
            return false;
        if (n > 0 && fds[0].revents != 0)
            return true;
    }
}

/* A pipe that has room has room for so much; more could wait in write(2). */
static size_t piece_of(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode) ? PIPE_BUF : SSIZE_MAX;
}

void patient_write(struct patient_writer *w, const char *p, size_t n)
{
    size_t piece = piece_of(w->fd);
    while (n > 0 && !w->is_gone) {
        ssize_t done = -1;
        if (wait_for_room(w)) {
            done = write(w->fd, p, n < piece ? n : piece);
            if (done < 0 && (errno == EINTR || errno == EAGAIN))
                continue;
        }
        w->is_gone = done < 0;
        p += done > 0 ? done : 0;
        n -= done > 0 ? (size_t)done : 0;
    }
}

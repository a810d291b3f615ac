#include "engine/secret.h"

#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

static int too_big(const char *id, struct err *err)
{
    return err_set(err, ERR_USAGE, "secret %s too big. max size 500KiB", id);
}

static int read_env(const struct build_secret *s, struct buf *b, struct err *err)
{
    const char *value = getenv(s->env);
    size_t n = value ? strlen(value) : 0;

    if (n > SECRET_MAX)
        return too_big(s->id, err);
    buf_room(b, n + 1); /* grown once: no copies are left behind */
    buf_add(b, value ? value : "", n);
    return 0;
}

/* Somebody said that there is one: that it is gone is no miss. */
static int unreadable(const struct build_secret *s, int sys, struct err *err)
{
    return err_set(err, ERR_IO, "secret %s: read %s: %s", s->id, s->path, strerror(sys));
}

static int read_file(const struct build_secret *s, struct buf *b, struct err *err)
{
    AUTO(fd_close) int fd = open(s->path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    char *p = buf_room(b, SECRET_MAX + 2);

    if (fd < 0)
        return unreadable(s, errno, err);
    for (;;) {
        ssize_t n = read(fd, p + b->len, SECRET_MAX + 1 - b->len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return unreadable(s, errno, err);
        if (n == 0)
            break;
        b->len += (size_t)n;
        if (b->len > SECRET_MAX)
            return too_big(s->id, err);
    }
    p[b->len] = '\0';
    return 0;
}

/* Of several with one id the last counts. */
static const struct build_secret *find(const struct build_options *o, const char *id)
{
    for (size_t i = o->n_secrets; i-- > 0;)
        if (str_eq(o->secrets[i].id, id))
            return &o->secrets[i];
    return NULL;
}

bool secret_is_given(const struct build_options *o, const char *id)
{
    return find(o, id) != NULL;
}

int secret_read(const struct build_options *o, const char *id, struct buf *ret, struct err *err)
{
    const struct build_secret *s = find(o, id);
    struct buf b = BUF_INIT;

    if (s == NULL)
        return err_set(err, ERR_NOT_FOUND, "secret %s: not found", id);
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); /* from here on no core file of ours */
    if ((s->env ? read_env(s, &b, err) : read_file(s, &b, err)) < 0) {
        secret_wipe(&b);
        return err->code;
    }
    secret_wipe(ret);
    *ret = b;
    return 0;
}

void secret_wipe(struct buf *b)
{
    if (b->data != NULL)
        explicit_bzero(b->data, b->cap);
    buf_release(b);
    *b = (struct buf)BUF_INIT;
}

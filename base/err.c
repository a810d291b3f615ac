#include "base/err.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Formats first and copies then: an argument may be the old message itself. */
static void PRINTF(2, 0) set_msg(struct err *err, const char *fmt, va_list ap)
{
    char msg[sizeof(err->msg)];

    vsnprintf(msg, sizeof(msg), fmt, ap);
    memcpy(err->msg, msg, strlen(msg) + 1);
}

int err_set(struct err *err, enum err_code code, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    set_msg(err, fmt, ap);
    va_end(ap);
    err->code = code;
    err->sys = 0;
    err->line = err->line_end = 0;
    return code;
}

/* A long message loses its own tail rather than the reason. */
static void append_reason(struct err *err, int sys)
{
    char text[128];
    const char *reason = strerror_r(sys, text, sizeof(text));
    size_t need = strlen(reason) + 3;
    size_t len = strlen(err->msg);

    if (len + need > sizeof(err->msg))
        len = sizeof(err->msg) - need;
    snprintf(err->msg + len, sizeof(err->msg) - len, ": %s", reason);
}

int err_sys(struct err *err, int sys, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    set_msg(err, fmt, ap);
    va_end(ap);
    append_reason(err, sys);
    err->code = sys == ENOENT ? ERR_NOT_FOUND : ERR_IO;
    err->sys = sys;
    err->line = err->line_end = 0;
    return err->code;
}

int err_wrap(struct err *err, const char *fmt, ...)
{
    char old[sizeof(err->msg)];
    va_list ap;

    memcpy(old, err->msg, sizeof(old));
    old[sizeof(old) - 1] = '\0';
    va_start(ap, fmt);
    set_msg(err, fmt, ap);
    va_end(ap);
    size_t len = strlen(err->msg);
    snprintf(err->msg + len, sizeof(err->msg) - len, ": %s", old);
    return err->code;
}

int err_at(struct err *err, int line, int line_end)
{
    if (err->line == 0) {
        err->line = line;
        err->line_end = line_end;
    }
    return err->code;
}

void err_clear(struct err *err)
{
    err->code = ERR_NONE;
    err->sys = err->line = err->line_end = 0;
    err->msg[0] = '\0';
}

int err_copy(struct err *dst, const struct err *src)
{
    if (dst != src)
        *dst = *src;
    return src->code;
}

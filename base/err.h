/*
 * Errors: a code to decide on, a message to read; a value on the caller's
 * stack, nothing to free, nothing thread-local.
 *
 *     struct err err = ERR_INIT;
 *     if (thing_open(x, &err) < 0)
 *         return err_wrap(out, ...);
 *
 * Functions return 0 or the negative code; those that return a pointer return
 * NULL and leave the code in err. err is never NULL. Outputs are written only
 * on success. Messages: lower case, what failed first, subject in single
 * quotes, no full stop. A miss is ERR_NOT_FOUND, to be decided on by code.
 * Only cmd/ turns codes into exit statuses.
 */
#ifndef SHALE_BASE_ERR_H
#define SHALE_BASE_ERR_H

#include "base/own.h"
#include <stdarg.h>

enum err_code {
    ERR_NONE = 0,
    ERR_NOT_FOUND = -1,   /* a miss: no such blob, record, image, file */
    ERR_CORRUPT = -2,     /* bytes that are not what their name or format says */
    ERR_IO = -3,          /* the operating system refused; err.sys is errno */
    ERR_NET = -4,         /* unreachable, timed out, broken off */
    ERR_AUTH = -5,        /* the other side wants other credentials */
    ERR_USAGE = -6,       /* the user's input is wrong: flags, Dockerfile, names */
    ERR_CANCELLED = -7,   /* interrupted by a signal or because another part failed */
    ERR_STEP = -8,        /* a RUN's command ended with a status other than 0 */
    ERR_UNSUPPORTED = -9, /* understood, but this version or this machine can't */
    ERR_UNDECIDED = -10,  /* a plan's alone: known only when something has been made or fetched */
};

struct err {
    enum err_code code;
    int sys;      /* errno, or 0 */
    int line;     /* 1-based line of the Dockerfile that is to blame, or 0 */
    int line_end; /* last line of that instruction, or 0 */
    char msg[4096];
};

#define ERR_INIT         \
    {                    \
        .code = ERR_NONE \
    }

/* Sets code and message, returns code. A message too long is cut. */
int err_set(struct err *err, enum err_code code, const char *fmt, ...) PRINTF(3, 4);
/* As err_set with ERR_IO (ERR_NOT_FOUND for ENOENT), ": strerror" appended. Takes errno by value.
 */
int err_sys(struct err *err, int sys, const char *fmt, ...) PRINTF(3, 4);
/* Puts "fmt: " before the message that is there; keeps code, sys, line. Returns the code. */
int err_wrap(struct err *err, const char *fmt, ...) PRINTF(2, 3);
/* Sets the lines if none are set yet; returns the code. */
int err_at(struct err *err, int line, int line_end);
void err_clear(struct err *err);
/* dst takes over src as it is; returns the code. */
int err_copy(struct err *dst, const struct err *src);

#endif

/* The one place where errors become exit statuses. */
#ifndef SHALE_CMD_EXIT_STATUS_H
#define SHALE_CMD_EXIT_STATUS_H

#include "base/cancel.h"
#include "base/err.h"

enum {
    EXIT_OK = 0,
    EXIT_FAILED = 1,         /* what was asked for could not be done */
    EXIT_BAD_OPTION = 125,   /* as docker: an option that cannot be read, or `run` itself failed */
    EXIT_CANNOT_START = 126, /* `run`: the command is there but cannot be started */
    EXIT_NO_COMMAND = 127,   /* `run`: there is no such command in the image */
};

/* Of `shale run` when err is not the command's own status: as `docker run`. */
int exit_status_of_run(const struct err *err, const struct cancel *cancel);
/* 128 + signal after an interrupt, else EXIT_FAILED (EXIT_OK for ERR_NONE). cancel may be NULL. */
int exit_status(const struct err *err, const struct cancel *cancel);

#endif

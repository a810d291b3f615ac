#include "cmd/build_fail.h"

#include "base/log.h"
#include "cmd/exit_status.h"
#include "cmd/frame.h"
#include <string.h>

#define CANCELLED "failed to solve: Canceled: context canceled"

int build_fail_early(const struct command *c, const struct session *s, struct err *err)
{
    if (err->code == ERR_CANCELLED)
        err_set(err, ERR_CANCELLED, "failed to build: " CANCELLED);
    return command_fail(c, s, err);
}

int build_fail(const struct session *s, struct display *d, const struct build_result *r,
               const struct err *err)
{
    AUTO(buf_release) struct buf b = BUF_INIT;
    bool cancelled = err->code == ERR_CANCELLED || cancel_signal(s->cancel) != 0;
    if (!cancelled && err->line > 0 && r->dockerfile_name != NULL)
        frame_add(&b, r->dockerfile_name, buf_str(&r->dockerfile), r->dockerfile.len, err->line,
                  err->line_end);
    buf_adds(&b, cancelled ? "ERROR: failed to build: " CANCELLED
                           : "ERROR: failed to build: failed to solve: ");
    if (!cancelled)
        log_escape(&b, err->msg, strlen(err->msg));
    buf_addc(&b, '\n');
    display_print(d, &b);
    return exit_status(err, s->cancel);
}

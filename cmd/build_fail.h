/* How a build, or a plan of one, ends when it fails: in BuildKit's words. */
#ifndef SHALE_CMD_BUILD_FAIL_H
#define SHALE_CMD_BUILD_FAIL_H

#include "cmd/command.h"
#include "cmd/display.h"

/* What is wrong before it begins. Returns the exit status. */
int build_fail_early(const struct command *c, const struct session *s, struct err *err);
/* The excerpt of the Dockerfile and the last line. Returns the exit status. */
int build_fail(const struct session *s, struct display *d, const struct build_result *r,
               const struct err *err);

#endif

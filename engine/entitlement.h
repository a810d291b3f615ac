/* What a RUN may have only where the command line grants it: --allow. Pure. */
#ifndef SHALE_ENGINE_ENTITLEMENT_H
#define SHALE_ENGINE_ENTITLEMENT_H

#include "dockerfile/instr.h"
#include "engine/build.h"

struct build;

/* ERR_USAGE "security.insecure is not allowed", "network.host is not allowed": BuildKit's words. */
int entitlement_check_run(const struct build_options *o, const struct instr_run *run,
                          struct err *err);
/* The same for every RUN of the needed stages, before the first of them runs; err has the line. */
int entitlement_check(const struct build *b, struct err *err);

#endif

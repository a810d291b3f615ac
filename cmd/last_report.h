/* The last build of a store, or of a context, for commands that show its steps. */
#ifndef SHALE_CMD_LAST_REPORT_H
#define SHALE_CMD_LAST_REPORT_H

#include "cmd/command.h"
#include "engine/report.h"
#include "store/last_build.h"
#include "store/store.h"

struct last_report {
    struct store *store;
    struct last_build build;
    struct build_report report;
};
void last_report_release(struct last_report *x);
DEFINE_AUTO_VALUE(struct last_report, last_report_release);

/* context NULL: of any. ERR_NOT_FOUND, with a sentence. Start ret zeroed. */
int last_report_load(const struct session *s, const char *context, struct last_report *ret,
                     struct err *err);
/* "3", "3/5", "build:3", "[build 3/5]": which step of which stage. ERR_USAGE: of several stages. */
int last_report_step(const struct last_report *x, const char *word, const struct step_report **ret,
                     struct err *err);

#endif

/*
 * --trace, --trace-max-age and --trace-sample, each also as a variable and a
 * key of shale.conf: the option goes before the variable, which goes before
 * the file.
 */
#ifndef SHALE_CMD_TRACE_OPTIONS_H
#define SHALE_CMD_TRACE_OPTIONS_H

#include "cmd/config.h"
#include "cmd/option.h"
#include "engine/build.h"

/* Sets b's trace fields. ERR_USAGE names where the value that is none came from. */
int trace_options_take(struct build_options *b, const struct options *o, const struct config *c,
                       struct err *err);

/* One value each; false: it is none, and nothing was set. */
bool trace_mode_parse(const char *text, struct build_options *b);
/* "7d": a whole number and s, m, h, d or w; "0". */
bool trace_max_age_parse(const char *text, struct build_options *b);
/* "5%", "5": 0 to 100. */
bool trace_sample_parse(const char *text, struct build_options *b);

#endif

/*
 * `--call`: what is to be done with a Dockerfile instead of building it, and
 * how that is printed. The printing functions are pure: they add to b what
 * goes to stdout.
 */
#ifndef SHALE_CMD_CALL_H
#define SHALE_CMD_CALL_H

#include "base/buf.h"
#include "base/json.h"
#include "cmd/option.h"
#include "engine/describe.h"
#include "engine/lint_use.h"

struct call {
    enum call_method { CALL_BUILD, CALL_CHECK, CALL_OUTLINE, CALL_TARGETS, CALL_METHODS } method;
    bool json;          /* "format=json" */
    bool ignore_status; /* "ignorestatus=true": warnings are no failure */
};

/* From --call, its old name --print, and --check. ERR_USAGE in buildx's words. */
int call_parse(const struct options *o, struct call *ret, struct err *err);

/* call_check.c */
void call_print_check(struct buf *b, const struct check_result *r, bool json);
/* Why the build would fail: for stderr. */
void call_print_check_error(struct buf *b, const struct check_result *r);

/* call_outline.c */
void call_print_outline(struct buf *b, const struct description *d, bool json);
void call_print_targets(struct buf *b, const struct description *d, bool json);
void call_print_methods(struct buf *b, bool json);

/* call_json.c. References are new; lines 0: "{}". */
json_t *call_location(int line, int line_end);
json_t *call_base64(const struct buf *text);
void call_add_json(struct buf *b, const json_t *j);

#endif

/* From a syntax tree's node to a typed instruction; shared by instr*.c and run_mount.c. */
#ifndef SHALE_DOCKERFILE_INSTR_INTERNAL_H
#define SHALE_DOCKERFILE_INSTR_INTERNAL_H

#include "dockerfile/instr.h"

enum flag_type { FLAG_BOOL, FLAG_STRING, FLAG_LIST };

struct flag_spec {
    const char *name;
    enum flag_type type;
};

#define FLAGS_MAX 8

struct flag_values {
    const char *v[FLAGS_MAX]; /* by place in the table; NULL: not given; booleans "true", "false" */
};

/* Checks given ("--name=value") against specs. Values of lists are read with flags_list. */
int flags_parse(const struct strv *given, const struct flag_spec *specs, size_t n_specs,
                struct flag_values *ret, struct err *err);
void flags_list(const struct strv *given, const char *name, struct strv *ret);
/* Names in order of first use. */
void flags_names(const struct strv *given, struct strv *ret);

/* The typed form of node. Errors carry no line and no prefix. */
struct instr *instr_from_node(const struct ast_node *node, struct err *err) OWNED(instr_free);

/* What can be said about a --mount before its variables have values. */
int run_mount_check(const char *spec, struct err *err);
/* Fields of one line of comma separated values, quotes removed. */
int csv_fields(const char *s, const char *what, struct strv *ret, struct err *err);
/* Go's time.ParseDuration, in ns. */
int duration_parse(const char *s, int64_t *ret, struct err *err);

void run_mount_copy(struct run_mount *dst, const struct run_mount *src);

#endif

/*
 * --chmod of COPY and ADD: an octal number, or clauses as chmod(1) takes them
 * ("u=rwX,go=rX"). Pure; immutable once parsed, any thread.
 */
#ifndef SHALE_ENGINE_CHMOD_H
#define SHALE_ENGINE_CHMOD_H

#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CHMOD_OPS_MAX 64

/* One operator with what stands behind it: of "u=r+x" the second is { who u, '+', x }. */
struct chmod_op {
    uint8_t who;  /* 4 user, 2 group, 1 others */
    char op;      /* '+', '-', '=' */
    uint8_t bits; /* 4 r, 2 w, 1 x */
    bool exec_if; /* X */
    bool set_id;  /* s */
    bool sticky;  /* t */
    char copy;    /* 'u', 'g', 'o': the bits that these have; 0 */
};

struct chmod_spec {
    bool set, octal;
    uint16_t mode; /* octal */
    struct chmod_op ops[CHMOD_OPS_MAX];
    size_t n_ops;
};

/* ERR_USAGE when text is neither. */
int chmod_parse(const char *text, struct chmod_spec *ret, struct err *err);
/* What a file or directory of mode old has afterwards; old itself when the spec is not set. */
uint16_t chmod_apply(const struct chmod_spec *c, uint16_t old, bool is_dir);

#endif

/*
 * What a target takes from outside: build arguments with their values, secrets
 * and agents, each with the comment that describes it and its line.
 *
 *     AUTO(outline_release) struct outline o = { 0 };
 *     outline_make(df, &options, &o, err);
 *
 * As BuildKit's outline: the ARGs declared in the stages that the target needs,
 * and those before the first FROM that they or a FROM line use. Pure. Meant for
 * a text that lint() has gone through without an error: that bounds the values.
 */
#ifndef SHALE_DOCKERFILE_OUTLINE_H
#define SHALE_DOCKERFILE_OUTLINE_H

#include "dockerfile/instr.h"

struct outline_item {
    char *name;
    char *value;       /* of an argument; NULL: it has none */
    char *description; /* of an argument; NULL: none */
    bool required;     /* of a secret or an agent */
    int line, line_end;
    size_t order; /* of being found, for those of one line */
};
struct outline_items {
    struct outline_item *v; /* by line */
    size_t n, cap;
};

struct outline {
    const char *name;        /* of the target; NULL: it has none. The Dockerfile's */
    const char *description; /* likewise */
    struct outline_items args, secrets, ssh;
};
void outline_release(struct outline *o);
DEFINE_AUTO_VALUE(struct outline, outline_release);

/* Borrowed for the call. Start it zeroed. */
struct outline_options {
    const struct strv *build_args; /* "K=V" */
    const struct strv *globals;    /* "K=V" that FROM sees: BUILDPLATFORM, ... */
    const char *target;            /* NULL: the last stage; as TARGETSTAGE among the globals */
    void *arg;
    /* Adds the environment of a base image as far as it is known. NULL: none is. */
    void (*base_env)(void *arg, const char *name, struct strv *ret);
};

/* ret is zeroed. ERR_USAGE as the build would say it. */
int outline_make(const struct dockerfile *df, const struct outline_options *o, struct outline *ret,
                 struct err *err);

#endif

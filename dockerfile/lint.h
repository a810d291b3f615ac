/*
 * Build checks: what BuildKit warns about in a Dockerfile, with its rules,
 * wording and order.
 *
 *     lint_check_read -> lint -> lint_verdict, the report's warnings -> *_release
 *
 * Says what a build would see: the stages that the target needs (or all of
 * them), with the build arguments given. Bases, ignore rules and the reading
 * of names and platforms are the caller's: pure, no I/O of its own; one thread
 * for each call.
 */
#ifndef SHALE_DOCKERFILE_LINT_H
#define SHALE_DOCKERFILE_LINT_H

#include "base/buf.h"
#include "base/err.h"
#include "base/own.h"
#include "dockerfile/ignore.h"
#include <stdbool.h>
#include <stddef.h>

/* What "# check=skip=A,B;error=true;experimental=all" asks for. */
struct lint_check {
    bool skip_all, experimental_all;
    bool error; /* a warning makes the build fail */
    struct strv skip, experimental;
};
void lint_check_release(struct lint_check *c);
DEFINE_AUTO_VALUE(struct lint_check, lint_check_release);

#define LINT_CHECK_ARG "BUILDKIT_DOCKERFILE_CHECK"
/*
 * From the directive at the top of text, or from the build argument of that name when there is one.
 * ret starts zeroed. ERR_USAGE in BuildKit's words.
 */
int lint_check_read(const char *text, size_t n, const struct strv *build_args,
                    struct lint_check *ret, struct err *err);

/* Whether a variable of this name is likely to hold a secret (the rule SecretsUsedInArgOrEnv). */
bool lint_names_secret(const char *variable);

struct instr;
struct lint_platform {
    char os[32], arch[32];
    char shown[96]; /* "linux/arm/v7" */
};

/* What a base image brings with it. */
struct lint_base {
    struct strv env;     /* "K=V" */
    struct strv onbuild; /* triggers */
    bool has_shell;      /* SHELL was set */
    struct lint_platform platform;
};
void lint_base_release(struct lint_base *b);
DEFINE_AUTO_VALUE(struct lint_base, lint_base_release);

/* Borrowed for the call. Start it zeroed. */
struct lint_options {
    const struct strv *build_args;        /* "K=V" */
    const struct strv *globals;           /* "K=V" that FROM sees: BUILDPLATFORM, TARGETARCH, ... */
    const struct lint_platform *platform; /* target */
    const char *target;          /* NULL: the last stage; TARGETSTAGE, which FROM sees too */
    bool all_stages;             /* also those that the target does not need, unless there is one */
    const struct ignore *ignore; /* NULL: there are no ignore rules */
    void *arg;
    /* ERR_NOT_FOUND: nothing is known of it, and nothing is said that would need to be. Another
     * error ends the checks if all bases are asked for. NULL: none is known. */
    int (*base)(void *arg, const char *name, const struct lint_platform *want,
                struct lint_base *ret, struct err *err);
    /* Whether a named context stands in for a stage of this name: it is then no stage, but what
     * base says of that name. NULL: never. */
    bool (*replaces)(void *arg, const char *stage, const struct lint_platform *want);
    /* Ask for every needed base, in order; else only for those that a finding depends on. */
    bool ask_all_bases;
    /* NULL: InvalidDefaultArgInFrom is not looked for. */
    bool (*is_image_name)(void *arg, const char *name);
    /* NULL: what --platform says is not looked at. */
    int (*read_platform)(void *arg, const char *text, struct lint_platform *ret, struct err *err);
    /* Whether an instruction, expanded, could be carried out as far as its text goes: called for
     * each one of the stages that are looked at but ARG and ONBUILD. NULL: nobody says. */
    int (*could_do)(void *arg, const struct instr *i, struct err *err);
};

struct lint_warning {
    const char *rule, *description, *url; /* literals */
    char *text;
    int line, line_end;
};
struct lint_report {
    struct lint_warning *v;
    size_t n, cap;
    /* How far it came: where lint failed, LINT_END when it did not. */
    enum lint_phase { LINT_TEXT, LINT_FROM, LINT_STAGES, LINT_END } phase;
    bool too_large; /* it failed over the sum of all values: a build should not be tried */
};
void lint_report_release(struct lint_report *r);
DEFINE_AUTO_VALUE(struct lint_report, lint_report_release);

/* What there is to say of a rule wherever it is broken; NULL: no rule has that name. */
struct lint_about {
    const char *name, *url, *description;
};
const struct lint_about *lint_about(const char *rule);

/*
 * Adds the warnings in BuildKit's order to ret (zeroed), also when it fails: ERR_USAGE when the
 * build would fail over the text, err says how; what was found before that stands.
 */
int lint(const char *text, size_t n, const struct lint_check *check, const struct lint_options *o,
         struct lint_report *ret, struct err *err);
/* ERR_USAGE "lint violation found for rules: ..." when there are warnings and check wants it. */
int lint_verdict(const struct lint_check *check, const struct lint_report *r, struct err *err);

#endif

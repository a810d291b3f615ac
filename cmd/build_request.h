/*
 * From the options of `shale build` to struct build_options: everything that
 * can be wrong about them is said here, before anything is opened.
 *
 *     build_request_make -> engine_build(&r.build) -> build_request_release
 */
#ifndef SHALE_CMD_BUILD_REQUEST_H
#define SHALE_CMD_BUILD_REQUEST_H

#include "cmd/attest_spec.h"
#include "cmd/build_access.h"
#include "cmd/command.h"
#include "cmd/output_spec.h"
#include "engine/build.h"

struct build_request {
    struct build_options build; /* borrows from here and from the struct options */
    struct output_list outputs;
    struct platform *platforms;
    struct build_access access;
    struct attest_spec attest;
    struct buf dockerfile;      /* read from standard input */
    struct source *context_tar; /* the same */
};
void build_request_release(struct build_request *r);
DEFINE_AUTO_VALUE(struct build_request, build_request_release);

extern const struct option_spec build_specs[];

/*
 * Reads standard input when asked to. ERR_USAGE and ERR_UNSUPPORTED with Docker's wording where it
 * has one: what is no wrong form of an option begins with "failed to build: ".
 */
int build_request_make(const struct session *s, const struct options *o, struct build_request *ret,
                       struct err *err);
/* The same for a command that builds nothing: --call and --check are refused. With --debug the log
 * says so from here on. */
int build_request_make_dry(const struct session *s, const struct options *o,
                           struct build_request *ret, struct err *err);

#endif

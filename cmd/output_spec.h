/* What --output, --load and --push ask for, from text to struct build_output. One thread. */
#ifndef SHALE_CMD_OUTPUT_SPEC_H
#define SHALE_CMD_OUTPUT_SPEC_H

#include "base/buf.h"
#include "base/err.h"
#include "base/own.h"
#include "engine/build.h"

struct output_list {
    struct build_output *v;
    size_t n, cap;
};
void output_list_release(struct output_list *l);
DEFINE_AUTO_VALUE(struct output_list, output_list_release);

/*
 * One --output: "type=oci,dest=x" (csv, keys in any case), "dir" for type=local, "-" for a tar on
 * stdout; "" adds nothing. Checks types, that dest is there where it must be, that
 * stdout_is_terminal does not get an archive. "registry" becomes "image" with push=true. ERR_USAGE.
 */
int output_list_add(struct output_list *l, const char *text, bool stdout_is_terminal,
                    struct err *err);
/* --push: every image is pushed; where there is none, one is added. */
void output_list_push(struct output_list *l);
/* What is pushed needs a name, of its own or by tags: else ERR_USAGE. */
int output_list_check_names(const struct output_list *l, bool has_tags, struct err *err);
/* Whether one of them goes to stdout; two of them are ERR_USAGE. */
int output_list_stdout(const struct output_list *l, bool *ret_any, struct err *err);
/* What BuildKit would only say when it exports: attributes of images, with b's annotations and
 * tags; an id file for files alone. */
int output_list_check(const struct output_list *l, const struct build_options *b, struct err *err);

#endif

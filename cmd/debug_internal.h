/*
 * Drive points for tests (`shale debug`, not in the help): one file for the
 * loop over JSON lines, one for what is asked of dockerfile/, one for images.
 */
#ifndef SHALE_CMD_DEBUG_INTERNAL_H
#define SHALE_CMD_DEBUG_INTERNAL_H

#include "base/json.h"
#include "cmd/command.h"

#define DEBUG_LINE_MAX ((size_t)16 << 20) /* bytes of one request */

/*
 * Answers one request: adds to out, which has the request's "id" already. detail: also what only
 * shale's own tests ask for. What is wrong with the request itself is the error that it returns.
 */
typedef int (*debug_answer)(const json_t *in, bool detail, json_t *out, struct err *err);
int debug_parse(const json_t *in, bool detail, json_t *out, struct err *err);
int debug_word(const json_t *in, bool detail, json_t *out, struct err *err);
int debug_ignore(const json_t *in, bool detail, json_t *out, struct err *err);
int debug_directive(const json_t *in, bool detail, json_t *out, struct err *err);
int debug_heredoc(const json_t *in, bool detail, json_t *out, struct err *err);
int debug_lint(const json_t *in, bool detail, json_t *out, struct err *err);
int debug_device(const json_t *in, bool detail, json_t *out, struct err *err);

/*
 * A line of standard input, an answer on standard output, until the input ends. A line that is no
 * request is answered with an "error" and the next one is read.
 */
int debug_batch(debug_answer answer, bool detail, struct cancel *cancel, struct err *err);

/*
 * An image as one JSON object: configuration, history, layers and the tree that they give. what: a
 * name or id, or "oci:DIR" for an OCI layout, which is read where it is.
 */
int debug_tree(struct session *s, const char *what, json_t **ret, struct err *err);

#endif

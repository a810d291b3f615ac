/*
 * The Dockerfile's text, from where the options say it is: -f, the context (also one that comes
 * from elsewhere, which is opened with it), a URL, standard input.
 */
#ifndef SHALE_ENGINE_LOAD_DOCKERFILE_H
#define SHALE_ENGINE_LOAD_DOCKERFILE_H

#include "engine/build_internal.h"
#include "engine/lint_use.h"

/*
 * Into b->result. *ret_path: of a file of this machine, else NULL; *ret_vertex is shown for it and
 * left open, also on failure (0: it is closed).
 */
int build_load_dockerfile(struct build *b, char **ret_path, int *ret_vertex, struct err *err);
/* For those who only look at the text: path, is_file and text of ret. */
int dockerfile_load(struct engine *e, const struct build_options *o, struct check_result *ret,
                    int *ret_vertex, struct err *err);

#endif

/*
 * The git program as a child, shut off from the configuration, helpers, hooks
 * and terminal of whoever runs us. Its configuration is in memory alone, so
 * that credentials are in no file, no command line and no environment.
 *
 *     git_box_init -> git_box_config* -> git_run* -> git_box_release
 *
 * A child that takes too long, or is there when the build is cancelled, is
 * killed with its helpers. One thread.
 */
#ifndef SHALE_ENGINE_GIT_RUN_H
#define SHALE_ENGINE_GIT_RUN_H

#include "base/buf.h"
#include "base/cancel.h"
#include "base/err.h"

/* What it may speak. Not ssh, which would be with the keys of whoever runs us: a repository from
 * elsewhere could have it fetch theirs as a submodule. */
#define GIT_PROTOCOLS "https:http:git"

struct git_box {
    struct cancel *cancel; /* borrowed; may be NULL */
    struct strv env;
    int config; /* memory file with its configuration */
    /* What it says on stderr, as it comes; may be NULL. */
    void (*say)(void *arg, const char *p, size_t n);
    void *say_arg;
};
void git_box_release(struct git_box *g);
DEFINE_AUTO_VALUE(struct git_box, git_box_release);
int git_box_init(struct git_box *g, struct cancel *cancel, struct err *err);
/* [SECTION "SUBSECTION"] KEY = VALUE; subsection may be NULL. */
int git_box_config(struct git_box *g, const char *section, const char *subsection, const char *key,
                   const char *value, struct err *err);

/*
 * `git -C dir args`; args ends with NULL; dir may be NULL. ret_out (may be NULL) gets its standard
 * output, at most 64 MiB of it. ERR_UNSUPPORTED: there is no git here; ERR_NET with "git stderr:
 * ..." when it fails or takes longer than timeout_s.
 */
int git_run(struct git_box *g, const char *dir, const char *const *args, int timeout_s,
            struct buf *ret_out, struct err *err);

#endif

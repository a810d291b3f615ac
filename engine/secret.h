/*
 * Secrets and SSH agents that the command line gives to a build. A value is
 * read when a step needs it and is in no key, log, history or file of the
 * store. Any thread.
 */
#ifndef SHALE_ENGINE_SECRET_H
#define SHALE_ENGINE_SECRET_H

#include "engine/build.h"
#include "store/work.h"

#define SECRET_MAX (500u << 10) /* BuildKit's limit: 500 KiB */

/*
 * ret: to be given to secret_wipe. ERR_NOT_FOUND: no secret of that id was given. A variable that
 * is not set is an empty secret, as BuildKit has it; a file that cannot be read is ERR_IO.
 */
int secret_read(const struct build_options *o, const char *id, struct buf *ret, struct err *err);
/* Whether one of that id was given, readable or not. */
bool secret_is_given(const struct build_options *o, const char *id);
bool ssh_is_given(const struct build_options *o, const char *id);
/* Overwrites the bytes, then frees them: secret_read's buffer, which is never moved. */
void secret_wipe(struct buf *b);
DEFINE_AUTO_VALUE(struct buf, secret_wipe);

/*
 * A socket for RUN --mount=type=ssh: a thread passes on to the user's agent what may be asked
 * (listing keys and signing; anything else is refused), so that a step can use keys and never get
 * or change them. Private keys given as files are loaded into an ssh-agent of ours, which
 * ends with the forward.
 */
struct ssh_forward;
void ssh_forward_close(struct ssh_forward *f);
DEFINE_AUTO(struct ssh_forward, ssh_forward_close);
/* ERR_NOT_FOUND: no --ssh of that id. The socket is made in work with this owner and mode. Opened
 * and closed by the same thread, or a thread that lives longer. */
struct ssh_forward *ssh_forward_open(const struct build_options *o, const char *id, struct work *w,
                                     uint32_t uid, uint32_t gid, unsigned mode, struct err *err)
    OWNED(ssh_forward_close);
const char *ssh_forward_path(const struct ssh_forward *f); /* absolute */
/* What can be said about --ssh before the build begins: ERR_USAGE in BuildKit's words. */
int ssh_check(const struct build_ssh *v, size_t n, struct err *err);

#endif

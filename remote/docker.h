/*
 * The Docker Engine's API (1.24 to 1.47, the newest that both sides speak): over the unix socket,
 * TCP (with TLS as DOCKER_TLS_VERIFY, DOCKER_TLS and DOCKER_CERT_PATH or a context say) or ssh. Any
 * thread.
 *
 * Which engine: DOCKER_HOST; else the context of DOCKER_CONTEXT or of
 * config.json's currentContext (in $DOCKER_CONFIG or ~/.docker); else
 * /var/run/docker.sock when it exists. ssh://[user@]host[:port][/socket] is reached as docker's own
 * client does it: `ssh host docker system dial-stdio`, without a terminal, so that ssh asks
 * nothing.
 *
 * What the engine refuses: ERR_NOT_FOUND (no such image), ERR_USAGE (400), ERR_AUTH, else ERR_NET,
 * as "the Docker engine cannot save 'x': what it says". An engine may be silent for an hour while
 * it loads or saves; a cancel ends that at once.
 */
#ifndef SHALE_REMOTE_DOCKER_H
#define SHALE_REMOTE_DOCKER_H

#include "base/json.h"
#include "remote/http.h"

struct docker;
void docker_free(struct docker *d);
DEFINE_AUTO(struct docker, docker_free);
/*
 * Connects and pings. h is borrowed. ERR_NOT_FOUND: nobody named an engine and none is at the
 * default place. *ret_named (may be NULL): whether the user named one (then an error should be
 * said).
 */
struct docker *docker_open(struct http *h, bool *ret_named, struct err *err) OWNED(docker_free);
/* Whether docker_open will try to reach one; nobody is asked. */
bool docker_is_likely(void);
const char *docker_host(const struct docker *d); /* as configured, for messages */
/* Its image store: containerd's, else a graph driver's. Asked once; fails when it does not say. */
int docker_is_containerd(struct docker *d, bool *ret, struct err *err);

/* GET /images/NAME/json; new reference; ERR_NOT_FOUND when the engine has no such image. */
json_t *docker_inspect(struct docker *d, const char *name, struct err *err);
/* GET /images/NAME/get: `docker save`'s tar into to (not finished). */
int docker_save(struct docker *d, const char *name, struct sink *to, struct err *err);
/* POST /images/load?quiet=1 with a tar as docker load takes it. An error in the answer's stream is
 * an error here, and so is an image that the engine took and could not unpack. */
int docker_load(struct docker *d, struct source *tar, struct err *err);
int docker_tag(struct docker *d, const char *id, const char *repository, const char *tag,
               struct err *err);
int docker_remove(struct docker *d, const char *name, struct err *err);

#endif

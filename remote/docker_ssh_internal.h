/*
 * Inside remote/ only: connections to the Docker engine of another machine through the ssh program:
 * for each one `ssh -- HOST docker system dial-stdio`, which there passes its input and output on
 * to the engine's socket. No shell here; what goes to the shell there is checked by docker_place.c.
 *
 * A process ends when its connection is closed, and at the latest with docker_ssh_free, which waits
 * for it. Locked inside.
 */
#ifndef SHALE_REMOTE_DOCKER_SSH_INTERNAL_H
#define SHALE_REMOTE_DOCKER_SSH_INTERNAL_H

#include "remote/docker_internal.h"

struct docker_ssh;
void docker_ssh_free(struct docker_ssh *s);
DEFINE_AUTO(struct docker_ssh, docker_ssh_free);
/* place is borrowed. */
struct docker_ssh *docker_ssh_new(const struct docker_ssh_place *place, struct err *err)
    OWNED(docker_ssh_free);
/* What to connect to; for each connection docker_ssh_accept starts a process. */
const char *docker_ssh_socket(const struct docker_ssh *s);
/* http_dial's accept, with a struct docker_ssh. A missing program is ERR_NET, too. */
int docker_ssh_accept(void *ssh, struct err *err);
/* A connection broke: puts into err what ssh said, when it said something. */
void docker_ssh_explain(struct docker_ssh *s, const char *host, struct err *err);

#endif

/* What --ssh names, and an agent of ours for keys that are given as files. Inside engine/ only. */
#ifndef SHALE_ENGINE_SSH_INTERNAL_H
#define SHALE_ENGINE_SSH_INTERNAL_H

#include "engine/secret.h"
#include <sys/types.h>

/*
 * The agent's socket that s means (borrowed from s or the environment), or NULL in *ret_socket when
 * its paths are private keys. ERR_USAGE with BuildKit's words for everything that cannot be.
 */
int ssh_examine(const struct build_ssh *s, const char **ret_socket, struct err *err);

/* A path for a socket in dirfd that fits into an address however long the directory's own is; for
 * this process and its children. */
char *ssh_socket_path(int dirfd, const char *name);

/*
 * Starts ssh-agent with the keys that s names, listening on dirfd/name: its pid, or a negative
 * code. It ends with the calling thread, or by ssh_agent_stop.
 */
pid_t ssh_agent_start(const struct build_ssh *s, int dirfd, const char *name, struct err *err);
void ssh_agent_stop(pid_t pid);

#endif

/*
 * Inside remote/ only: which Docker engine is meant and how it is reached,
 * before anything is sent. docker.c speaks to it.
 */
#ifndef SHALE_REMOTE_DOCKER_INTERNAL_H
#define SHALE_REMOTE_DOCKER_INTERNAL_H

#include "base/err.h"
#include "base/own.h"
#include "remote/docker.h"
#include <stdbool.h>

#define DOCKER_DEFAULT_SOCKET "/var/run/docker.sock"

/* "ssh://[user@]host[:port][/path]"; nothing in it has a meaning to ssh or a shell. */
struct docker_ssh_place {
    char *user, *host, *port, *path; /* path: of the socket there; all but host may be NULL */
};

struct docker_place {
    char *host;            /* as configured: "unix:///var/run/docker.sock" */
    char *socket;          /* path, or NULL: url */
    char *url;             /* "http://localhost", "https://build:2376", no slash at the end */
    char *ca, *cert, *key; /* files, or NULL */
    bool is_unverified;    /* any certificate will do */
    struct docker_ssh_place *ssh; /* or NULL: by socket or url */
    bool is_named;                /* by DOCKER_HOST or a context */
};
void docker_place_release(struct docker_place *p);
DEFINE_AUTO_VALUE(struct docker_place, docker_place_release);
/*
 * From the environment and the configuration directory. When nobody names an
 * engine: default_socket if it exists, else ERR_NOT_FOUND. *ret_named is set on failure, too.
 */
int docker_place_find(const char *default_socket, struct docker_place *ret, bool *ret_named,
                      struct err *err);
/* Fills host and how it is reached from "unix://...", "tcp://...", "http(s)://...", "ssh://..." or
 * "host:port". */
int docker_place_parse(const char *host, bool with_tls, struct docker_place *ret, struct err *err);

/* docker_open with another default place. */
struct docker *docker_open_at(struct http *h, const char *default_socket, bool *ret_named,
                              struct err *err) OWNED(docker_free);

#endif

/*
 * How registries are reached and who we are there: read once; locked inside, any thread.
 *
 * Hosts. Plain HTTP for localhost, 127.0.0.0/8 and [::1]; else HTTPS with the system's CAs, unless
 * the machine's configuration says otherwise, in the files where Docker's engine and the user have
 * it: /etc/docker/daemon.json ("insecure-registries", "registry-mirrors"),
 * /etc/docker/certs.d/HOST[:PORT]/ (*.crt: CAs; NAME.cert with NAME.key: our certificate), and
 * shale's own configuration (docs/configuration.md). An insecure host is asked by HTTPS without
 * verification, then by HTTP, as Docker does. A host of this machine that has a directory in
 * certs.d is asked by HTTPS.
 *
 * Credentials. config.json in $DOCKER_CONFIG, else ~/.docker: for a host its "credHelpers" entry,
 * else "credsStore", else "auths" (by host, or the longest HOST/PATH that fits, as podman has it).
 * A helper is the program docker-credential-NAME; it is asked when a registry wants to know who we
 * are, once. What they give is bound to the host: scheme, name and port.
 */
#ifndef SHALE_REMOTE_REGISTRY_CONFIG_H
#define SHALE_REMOTE_REGISTRY_CONFIG_H

#include "base/buf.h"
#include "base/err.h"
#include "base/own.h"

struct registry_config;
void registry_config_free(struct registry_config *c);
DEFINE_AUTO(struct registry_config, registry_config_free);

/* From shale's own configuration; borrowed for the call. */
struct registry_settings {
    struct strv mirrors;     /* "HOST=URL": asked before HOST; "URL": of docker.io */
    struct strv insecure;    /* "HOST[:PORT]" or an address block "10.0.0.0/8" */
    const char *certs_dir;   /* NULL: /etc/docker/certs.d */
    const char *daemon_json; /* NULL: /etc/docker/daemon.json */
};
/*
 * settings may be NULL. A file that is not there says nothing, and neither does a daemon.json that
 * is not for us to read; any other that cannot be read or parsed is ERR_USAGE with its name, as is
 * a setting that cannot be meant.
 */
struct registry_config *registry_config_read(const struct registry_settings *settings,
                                             struct err *err) OWNED(registry_config_free);

#endif

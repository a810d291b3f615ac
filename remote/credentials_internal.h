/*
 * Inside remote/ only: who we are at a registry, from Docker's config.json and its credential
 * helpers. The file is read once and then immutable; any thread.
 *
 *     credential_file_read -> credential_file_helper ? credential_helper_get : credential_file_auth
 *
 * No secret is in an error, in the log or in argv.
 */
#ifndef SHALE_REMOTE_CREDENTIALS_INTERNAL_H
#define SHALE_REMOTE_CREDENTIALS_INTERNAL_H

#include "base/buf.h"
#include "base/cancel.h"
#include "base/err.h"
#include "base/own.h"

#define CREDENTIAL_FILE_MAX (1u << 20)
#define CREDENTIAL_HELPER_MAX (64u << 10) /* of what a helper prints */
#define CREDENTIAL_HELPER_MS 60000

/* All NULL: nobody. */
struct credentials {
    char *user, *secret;
    char *identity_token; /* asks for tokens in its own way (OAuth2), without user and secret */
    char *registry_token; /* is the token */
};
void credentials_release(struct credentials *c); /* and wipes the memory */
DEFINE_AUTO_VALUE(struct credentials, credentials_release);
void credentials_copy(struct credentials *dst, const struct credentials *src);
bool credentials_are_there(const struct credentials *c);
void secret_free(char *s); /* wipes, then frees; may be NULL */
DEFINE_AUTO(char, secret_free);

struct credential_file;
void credential_file_free(struct credential_file *f);
DEFINE_AUTO(struct credential_file, credential_file_free);
/*
 * config.json in $DOCKER_CONFIG, else in ~/.docker; no file is an empty one. ERR_USAGE: it cannot
 * be read or says something that cannot be meant.
 */
struct credential_file *credential_file_read(struct err *err) OWNED(credential_file_free);
struct credential_file *credential_file_parse(const char *text, size_t n, const char *name,
                                              struct err *err) OWNED(credential_file_free);
/*
 * Which helper ("pass" for docker-credential-pass) is asked about a host; NULL: none. host is as
 * names of images have it: "docker.io", "localhost:5000".
 */
const char *credential_file_helper(const struct credential_file *f, const char *host);
/*
 * What stands in "auths" for a repository. is_https: how the host is reached; what was stored for
 * https:// is not for anything else. ERR_USAGE: the entry cannot be read.
 */
int credential_file_auth(const struct credential_file *f, const char *host, const char *path,
                         bool is_https, struct credentials *ret, struct err *err);
/*
 * Asks a helper; one that knows nothing of the host is no failure. Ends within timeout_ms.
 * ERR_AUTH: it failed; ERR_CANCELLED.
 */
int credential_helper_get(const char *helper, const char *host, struct cancel *cancel,
                          int timeout_ms, struct credentials *ret, struct err *err);

#endif

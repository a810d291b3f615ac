/*
 * Inside remote/ only: how registry.c and registry_push.c, which know the protocol, and
 * registry_auth.c, which knows who may ask, share one repository.
 */
#ifndef SHALE_REMOTE_REGISTRY_INTERNAL_H
#define SHALE_REMOTE_REGISTRY_INTERNAL_H

#include "remote/http.h"
#include "remote/registry.h"
#include <pthread.h>
#include <stdatomic.h>

#define REGISTRY_TRIES 6 /* the first one and five more */
#define REGISTRY_WAIT_MAX_MS 60000

struct registry {
    struct http *http; /* borrowed */
    char *name;        /* "docker.io/library/alpine", for messages */
    char *base;        /* "https://registry-1.docker.io" */
    char *host;        /* "registry-1.docker.io" */
    char *path;        /* "library/alpine" */
    enum registry_access access;
    atomic_bool answered; /* it did once: a failure to reach it may pass */
    int64_t backoff_ms;   /* before the first retry; doubles */
    int64_t wait_max_ms;  /* what a Retry-After may ask for */

    pthread_mutex_t lock;  /* of what follows */
    char *authorization;   /* header value, or NULL while nobody asked for one */
    unsigned token_number; /* how many were got */
    struct strv wanted;    /* repositories whose blobs are to be mounted from */
};

/*
 * Sends a request for the registry's own origin, with its authorization; when the answer is 401,
 * gets a token and asks once more. The body must be one that can be asked for again: give a request
 * with a body an authorization first, by one without.
 */
int registry_ask(struct registry *r, const struct http_request *q, struct http_response *ret,
                 struct err *err);
/* The same with retries; for answers that come whole into *ret or not at all. */
int registry_ask_patiently(struct registry *r, const struct http_request *q,
                           struct http_response *ret, struct err *err);
bool registry_is_busy(int status);
/* Whether a failure may pass. What never answered at all is not worth waiting for. */
bool registry_may_pass(struct registry *r, const struct err *err);
/* Before try n + 1: as long as the answer (or NULL) asks for, else longer each time. */
int registry_back_off(struct registry *r, int n, const struct http_response *p, const char *why,
                      struct err *err);

/* A challenge as WWW-Authenticate gives it; strings are owned, NULL when absent. */
struct challenge {
    bool is_bearer, is_basic;
    char *realm, *service, *scope;
};
void challenge_release(struct challenge *c);
DEFINE_AUTO_VALUE(struct challenge, challenge_release);
/* Reads all challenges of one header value; a bearer challenge wins. ERR_CORRUPT for what is none.
 */
int challenge_parse(const char *value, struct challenge *ret, struct err *err);

/* A copy of the header value to use now (NULL: none) and which token it is. */
char *registry_authorization(struct registry *r, unsigned *ret_number) OWNED(mem_free);
/*
 * Gets a token as the 401 answer asks for, unless another thread has got one
 * since number was handed out. ERR_AUTH when there is no way.
 */
int registry_renew(struct registry *r, const struct http_response *denied, unsigned number,
                   struct err *err);
/*
 * From now on tokens are asked for that may also read this repository ("team/base") of the same
 * registry: what a mount from there needs. The token at hand is not used any more if it is new.
 */
void registry_want_scope(struct registry *r, const char *repository);
int registry_denied(const struct registry *r, struct err *err); /* ERR_AUTH, in Docker's words */
/* Sets err from an answer that is no success, with what the registry says in its error document. */
int registry_refused(const struct registry *r, const char *what, const struct http_response *p,
                     struct err *err);

#endif

/*
 * Inside remote/ only: how registry.c and registry_push.c, which know the protocol, and
 * registry_auth.c, which knows who may ask, share one repository.
 */
#ifndef SHALE_REMOTE_REGISTRY_INTERNAL_H
#define SHALE_REMOTE_REGISTRY_INTERNAL_H

#include "remote/credentials_internal.h"
#include "remote/http.h"
#include "remote/registry.h"
#include <pthread.h>
#include <stdatomic.h>

#define REGISTRY_TRIES 6 /* the first one and five more */
#define REGISTRY_WAIT_MAX_MS 60000
#define REGISTRY_MIN_SPEED 1024 /* bytes a second of a blob: slower than that is no transfer */

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

/* A token that a server gave, for one (realm, service, scope). */
struct registry_token {
    char *key, *value;
    int64_t until_ms; /* clock_mono_ms */
    struct registry_token *next;
};

/* How one registry or mirror is reached, and what it gave us; shared by all of its repositories. */
struct registry_host {
    const struct registry_config *config;
    char *name;         /* as in names of images: "docker.io", "localhost:5000" */
    char *base;         /* "https://registry-1.docker.io" */
    bool is_mirror;     /* asked before another, by the URL that was configured */
    bool is_insecure;   /* said to be by the configuration */
    bool is_unverified; /* https whose certificate is not looked at */
    char *ca;           /* PEM text, or NULL */
    char *cert_file, *key_file;
    atomic_bool is_off;   /* a mirror that failed: not asked any more */
    atomic_bool is_known; /* we said who we are */

    pthread_mutex_t helper_lock; /* of what the helper said */
    bool helper_was_asked;
    struct credentials from_helper;
    struct err helper_err;

    pthread_mutex_t lock; /* of what follows */
    bool is_settled;      /* base was seen to answer, or there is only one way */
    struct registry_token *tokens;
    struct registry_host *next;
};

/* --- registry_config.c, registry_host.c --- */

struct registry_config *registry_config_none(void) OWNED(registry_config_free) NONNULL;
/*
 * The host of that name, borrowed from the config. url: of a mirror, whose name is then the URL's
 * host; else NULL. ERR_USAGE: what certs.d has for it cannot be used.
 */
struct registry_host *registry_config_host(const struct registry_config *c, const char *name,
                                           const char *url, struct err *err);
/* The URLs that are asked before this host. */
void registry_config_mirrors(const struct registry_config *c, const char *name, struct strv *ret);
bool registry_config_is_insecure(const struct registry_config *c, const char *name);
const struct credential_file *registry_config_credentials(const struct registry_config *c);
int registry_config_helper_ms(const struct registry_config *c);
void registry_config_set_helper_ms(struct registry_config *c, int ms); /* for tests */

struct registry_host *registry_host_new(const struct registry_config *c, const char *name,
                                        const char *url, const char *certs_dir, struct err *err);
void registry_host_free(struct registry_host *t);
DEFINE_AUTO(struct registry_host, registry_host_free);
/* Sees whether an insecure host speaks TLS, once. ERR_CANCELLED. */
int registry_host_settle(struct registry_host *t, struct http *h, struct err *err);
/* How this host is to be connected to. */
void registry_host_secure(const struct registry_host *t, struct http_request *q);
/* Who we are there for a repository. The helper is asked once. */
int registry_host_credentials(struct registry_host *t, const char *path, struct cancel *cancel,
                              struct credentials *ret, struct err *err);

/* --- registry.c --- */

/* For http_request.is_inside: a registry outside must not lead us to the inside. */
bool (*registry_inside(const struct registry *r))(const char *ip);

struct registry {
    struct http *http;                  /* borrowed */
    struct registry_config *own_config; /* where none was given */
    struct registry_host *at;
    struct registry **mirrors; /* asked before, in this order */
    size_t n_mirrors;
    char *name; /* "docker.io/library/alpine", for messages */
    char *base; /* "https://registry-1.docker.io" */
    char *host; /* "registry-1.docker.io" */
    char *path; /* "library/alpine" */
    enum registry_access access;
    int tries;
    atomic_bool answered; /* it did once: a failure to reach it may pass */
    int64_t backoff_ms;   /* before the first retry; doubles */
    int64_t wait_max_ms;  /* what a Retry-After may ask for */
    /* Of pushing: what a request's body may have, 0 while no registry said; for tests the rest. */
    _Atomic uint64_t chunk;
    uint64_t chunk_max;                /* 0: CHUNK_MAX */
    int idle_timeout_s;                /* 0: as http.h has it */
    bool (*is_inside)(const char *ip); /* NULL: url_ip_is_inside */

    pthread_mutex_t lock;       /* of what follows */
    char *authorization;        /* header value, or NULL while nobody asked for one */
    int64_t until_ms;           /* when it is to be renewed */
    unsigned token_number;      /* how many were got */
    struct strv wanted;         /* repositories whose blobs are to be mounted from */
    struct challenge challenge; /* what it was got for */
    bool is_outside;            /* who gave the challenge */
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
/* A tag or digest, and which digest it asks for if it is one. ERR_USAGE for anything else. */
int registry_reference(const char *reference, bool *ret_has, struct digest *ret, struct err *err);
bool registry_is_busy(int status);
/* A 429 that says that nothing is left, and not until when: asking again is no use. */
bool registry_is_used_up(const struct http_response *p);
/* Whether a failure may pass. What never answered at all is not worth waiting for. */
bool registry_may_pass(struct registry *r, const struct err *err);
/* Before try n + 1: as long as the answer (or NULL) asks for, else longer each time. */
int registry_back_off(struct registry *r, int n, const struct http_response *p, const char *why,
                      struct err *err);

/*
 * How much of a blob an upload session has, as its answers say in Range: "0-N", of which 0-0 is
 * what is said of none. False for anything else.
 */
bool upload_range_parse(const char *text, uint64_t *ret_next);

/* A copy of the header value to use now (NULL: none) and which token it is. */
char *registry_authorization(struct registry *r, unsigned *ret_number) OWNED(mem_free);
/*
 * Gets a token as the 401 answer asks for, unless another thread has got one since number was
 * handed out. 0: it is a new one; 1: another repository's object had got it, and it may be too old.
 * ERR_AUTH when there is no way.
 */
int registry_renew(struct registry *r, const struct http_response *denied, unsigned number,
                   struct err *err);
/*
 * From now on tokens are asked for that may also read this repository ("team/base") of the same
 * registry: what a mount from there needs. The token at hand is not used any more if it is new.
 */
void registry_want_scope(struct registry *r, const char *repository);
/* ERR_AUTH, in Docker's words, with the server's own (an answer with an error document, or NULL).
 */
int registry_denied(const struct registry *r, const struct http_response *p, struct err *err);
/* Sets err from an answer that is no success, with what the registry says in its error document. */
int registry_refused(const struct registry *r, const char *what, const struct http_response *p,
                     struct err *err);

#endif

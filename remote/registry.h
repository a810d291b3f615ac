/*
 * An OCI registry (distribution-spec 1.1; token authentication as distribution's
 * docs/content/spec/auth/token.md): pulling and pushing in one repository. Documents and blobs are
 * verified against digest and size before the caller may use them. Any thread.
 *
 * Answers that may pass (429, 5xx, a broken connection) are waited for and asked again, at most 5
 * times with back-off (0.25 s, doubled); 429 and 503 after what Retry-After says (at most 60 s). A
 * registry that never answered is not tried again.
 *
 * Mirrors are asked before, for what is pulled; whatever goes wrong there (but a cancel), the
 * registry itself is asked. Their credentials are their own.
 */
#ifndef SHALE_REMOTE_REGISTRY_H
#define SHALE_REMOTE_REGISTRY_H

#include "image/name.h"
#include "image/oci.h"
#include "remote/http.h"
#include "remote/registry_config.h"

struct registry; /* one repository of one registry */
void registry_free(struct registry *r);
DEFINE_AUTO(struct registry, registry_free);
enum registry_access { REGISTRY_PULL, REGISTRY_PUSH };
/* config (borrowed; may be NULL: nothing is configured, anonymous) says how the host is reached. */
struct registry *registry_open(struct http *h, const struct registry_config *config,
                               const struct image_name *name, enum registry_access access,
                               struct err *err) OWNED(registry_free);
/* "localhost:5000": whether two repositories are in one registry, and what is shown. */
const char *registry_host(const struct registry *r);
const char *registry_path(const struct registry *r); /* "library/alpine" */

/*
 * The manifest or index under a tag or digest ("sha256:..."). ERR_NOT_FOUND: no such name;
 * ERR_AUTH: "pull access denied for ...", which is also what Docker Hub says of names that do not
 * exist. The bytes are verified against the digest asked for and the one in the answer's header.
 * *ret_media_type is the Content-Type (owned; NULL without one): give it to manifest_parse or
 * index_parse, which hold it against the document. Retries as registry_blob.
 */
int registry_manifest(struct registry *r, const char *reference, struct buf *ret,
                      char **ret_media_type, struct blob_id *ret_id, struct err *err);
/* Digest of what a tag names, by HEAD (falls back to GET). */
int registry_resolve(struct registry *r, const char *tag, struct blob_id *ret_id, struct err *err);
/*
 * The bytes of a blob into to (not finished). Verified: at the end a wrong digest or size is
 * ERR_CORRUPT. A broken connection is resumed by range. What to has got after a failure is no blob:
 * throw it away. Where it has mirrors, wrong bytes (ERR_CORRUPT, here or where they went) may be
 * theirs; that mirror is not asked any more, and with an empty sink it may go well.
 */
int registry_blob(struct registry *r, const struct descriptor *d, struct sink *to, struct err *err);
bool registry_has_mirrors(const struct registry *r);

/* --- pushing (registry_push.c) --- */

/* 1: the repository has the blob; 0: it has not, or does not say; else a negative code. */
int registry_has_blob(struct registry *r, const struct digest *d, struct err *err);

struct registry_upload {
    const struct descriptor *what; /* digest and size */
    const struct strv *mount_from; /* repositories of this registry that may have it, or NULL */
    /*
     * The bytes, anew at each call (an upload that broke off begins again); a source that gives
     * other bytes than named fails at its end, and nothing is committed then.
     */
    struct source *(*open)(void *arg, struct err *err);
    void *arg;
    /* Called as bytes go out; may be NULL. */
    void (*sent)(void *arg, uint64_t bytes, uint64_t total);
};
enum registry_pushed { REGISTRY_WAS_THERE, REGISTRY_MOUNTED, REGISTRY_SENT };
/*
 * Makes the blob part of the repository: asked for first (HEAD), mounted from another repository
 * where that goes, else sent: in one request (POST, PUT), or in chunks where the registry wants
 * that (413, or OCI-Chunk-Min-Length), which are resumed from where it says it is.
 * ERR_AUTH: "push access denied for ...".
 */
int registry_push_blob(struct registry *r, const struct registry_upload *u,
                       enum registry_pushed *ret, struct err *err);
/*
 * A manifest or index under a tag or its digest; all that it names is there. What the registry says
 * it took (Docker-Content-Digest) is held against the bytes.
 */
int registry_push_manifest(struct registry *r, const char *reference, const char *media_type,
                           const void *p, size_t n, struct err *err);

#endif

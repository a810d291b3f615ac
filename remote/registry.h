/*
 * Pulling from an OCI registry (distribution-spec 1.1): anonymous, or with a
 * bearer token asked for as the challenge says. HTTP for localhost, 127.0.0.0/8
 * and [::1], HTTPS otherwise. Documents and blobs are verified against digest
 * and size before the caller may use them. Any thread.
 */
#ifndef SHALE_REMOTE_REGISTRY_H
#define SHALE_REMOTE_REGISTRY_H

#include "image/name.h"
#include "image/oci.h"
#include "remote/http.h"

struct registry; /* one repository of one registry */
void registry_free(struct registry *r);
DEFINE_AUTO(struct registry, registry_free);
struct registry *registry_open(struct http *h, const struct image_name *name, struct err *err)
    OWNED(registry_free);

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
 * ERR_CORRUPT. A broken connection is resumed by range, at most 5 times with back-off (0.25 s,
 * doubled); 429 and 5xx are tried again as well, 429 and 503 after what Retry-After says (at most
 * 60 s). A registry that never answered is not tried again. What to has got after a failure is no
 * blob: throw it away.
 */
int registry_blob(struct registry *r, const struct descriptor *d, struct sink *to, struct err *err);

#endif

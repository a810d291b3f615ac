/*
 * --build-context as text: "NAME=VALUE", and what a word of FROM, --from or
 * from= means among them. Pure functions.
 */
#ifndef SHALE_ENGINE_CONTEXT_NAMED_H
#define SHALE_ENGINE_CONTEXT_NAMED_H

#include "base/buf.h"
#include "base/err.h"
#include "base/own.h"
#include "image/platform.h"
#include <stdbool.h>

/*
 * As given with --build-context to "NAME=VALUE" with the name as Docker normalizes image names
 * (":latest" cut off). Behind the name may stand "::PLATFORM". ERR_USAGE in buildx's words.
 */
char *context_spec_parse(const char *text, struct err *err) OWNED(mem_free);

/* One of a list of specs: key is "NAME" or "NAME::PLATFORM". Borrowed from the list. */
struct context_spec {
    size_t key_len;
    const char *key, *value;
};
/*
 * The spec that word means on this platform; one for the platform goes before one for all, a later
 * one of the same key before an earlier. False: none; "scratch" and "context" never mean one.
 */
bool context_spec_find(const struct strv *specs, const char *word, const struct platform *platform,
                       struct context_spec *ret);

/* Whether what begins with these bytes is an archive, and not a Dockerfile. */
bool context_is_archive(const void *head, size_t n);
#define CONTEXT_HEAD 1024 /* as many bytes as it takes to tell */

/* A git repository or a URL, as --build-context and the last argument have them. */
bool context_is_remote(const char *text);

/* "path[:tag][@digest]" of oci-layout://. */
struct layout_ref {
    char *path, *tag;
    char *digest; /* NULL when not given */
};
void layout_ref_release(struct layout_ref *r);
DEFINE_AUTO_VALUE(struct layout_ref, layout_ref_release);
void layout_ref_parse(const char *text, struct layout_ref *ret);

#endif

/*
 * Image names as Docker reads them (distribution/reference grammar):
 * "[domain/]path[:tag][@digest]". "alpine" is docker.io/library/alpine:latest.
 * Immutable once parsed.
 */
#ifndef SHALE_IMAGE_NAME_H
#define SHALE_IMAGE_NAME_H

#include "base/buf.h"
#include "base/digest.h"
#include "base/err.h"
#include "base/own.h"
#include <stdbool.h>

struct image_name {
    char *domain; /* "docker.io", "localhost:5000" */
    char *path;   /* "library/alpine" */
    char *tag;    /* "latest" unless given; NULL with a digest and no tag */
    bool has_digest;
    struct digest digest;
};

void image_name_release(struct image_name *n);
DEFINE_AUTO_VALUE(struct image_name, image_name_release);
/* ERR_USAGE with Docker's wording: "invalid reference format", "... must be lowercase". */
int image_name_parse(const char *s, struct image_name *ret, struct err *err);
/* "docker.io/library/alpine:latest[@sha256:...]": the form that the store keys by. */
char *image_name_canonical(const struct image_name *n) OWNED(mem_free);
/* As Docker shows it: "alpine:latest", "localhost:5000/x:1". */
char *image_name_familiar(const struct image_name *n) OWNED(mem_free);
/* "docker.io/library/alpine", without tag and digest. */
char *image_name_repository(const struct image_name *n) OWNED(mem_free);
/* What a registry is asked for: the digest when there is one, else the tag. */
char *image_name_reference(const struct image_name *n) OWNED(mem_free);
/* As a package URL, of a platform or NULL:
 * "pkg:docker/alpine@3?platform=linux%2Famd64". */
char *image_name_package_url(const struct image_name *n, const char *platform) OWNED(mem_free);

#endif

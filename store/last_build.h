/*
 * What was last built of each kind of build: its steps and their keys, so
 * that the next one can say what differs, and the image that the last
 * successful one gave. A row for a kind (which context, Dockerfile, target and
 * platform) and name, replaced by each build; of a kind the newest eight are
 * kept. Losing it costs explanations, never a
 * wrong image. Any thread.
 */
#ifndef SHALE_STORE_LAST_BUILD_H
#define SHALE_STORE_LAST_BUILD_H

#include "store/store.h"

struct last_build {
    struct digest subject; /* of the kind of build and the image's name, as the engine has it */
    struct digest kind;    /* the same without the name */
    char *context;         /* absolute path or URL without credentials, as shown */
    char *name;            /* canonical first name of the image, or NULL */
    char *report;          /* text of the last build's steps; opaque here */
    int64_t built_s;       /* wall clock */
    bool has_image;        /* one has succeeded: */
    char *good_report;     /* its steps; NULL: the last build's */
    struct blob_id image;  /* its configuration */
};
void last_build_release(struct last_build *b);
DEFINE_AUTO_VALUE(struct last_build, last_build_release);

/* Replaces the row of the subject; not synced: who loses it only loses explanations. */
int last_build_put(struct store *s, const struct last_build *b, struct err *err);
/* ERR_NOT_FOUND. Start ret zeroed, also below. */
int last_build_get(struct store *s, const struct digest *subject, struct last_build *ret,
                   struct err *err);
int last_build_of_kind(struct store *s, const struct digest *kind, struct last_build *ret,
                       struct err *err);
/* The newest of this context (exactly as shown), or with NULL the newest of all; ERR_NOT_FOUND. */
int last_build_newest(struct store *s, const char *context, struct last_build *ret,
                      struct err *err);
/* The newest that gave an image of this canonical name; ERR_NOT_FOUND. */
int last_build_named(struct store *s, const char *name, struct last_build *ret, struct err *err);

#endif

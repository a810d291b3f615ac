/* What a build tells whoever started it: the id file and the metadata file, in buildx's form. */
#ifndef SHALE_ENGINE_DELIVER_RESULTS_H
#define SHALE_ENGINE_DELIVER_RESULTS_H

#include "engine/build_internal.h"

/* The image as it was delivered; the last output with documents decides. */
struct delivered {
    const struct blob_id *config_id;
    bool has_top;
    bool is_index;         /* of several manifests: there is no one configuration */
    bool is_in_containerd; /* an engine has it that names images by their manifests */
    struct descriptor top;
    struct strv names;        /* canonical */
    const json_t *provenance; /* the predicate, when one was made; borrowed */
};
void delivered_release(struct delivered *d);
/* Names and top of an output. */
void delivered_note(struct delivered *d, const struct image_docs *docs, const struct strv *names);

/* A warning of the build's checks about lines line..line_end (0: none), for the metadata file. One
 * thread. */
void deliver_warning(struct build *b, const char *rule, const char *text, int line, int line_end);

/* Files are whole or not there. */
int deliver_results(struct build *b, const struct delivered *d, struct err *err);

#endif

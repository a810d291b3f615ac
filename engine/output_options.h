/*
 * The attributes of "-o type=image|registry|docker|oci,...": BuildKit's names, defaults and words
 * for what is wrong. docs/outputs.md lists them. Names that nobody knows are left alone, as there.
 *
 *     output_options_init -> output_options_parse -> image_docs_make(&o.docs) -> ..._release
 */
#ifndef SHALE_ENGINE_OUTPUT_OPTIONS_H
#define SHALE_ENGINE_OUTPUT_OPTIONS_H

#include "engine/build.h"
#include "engine/image_docs.h"

/* docs points into the rest: it stays where it was initialised. */
struct output_options {
    struct doc_options docs;
    enum compression compression;
    int level;
    struct annotation *annotations;
    size_t n_annotations, cap_annotations;
    struct strv names; /* canonical: the build's tags, else name= */
    bool oci_types, push, by_digest, insecure, name_canonical, inline_attestations, listings;
    bool is_tar; /* tar=false: a directory */
    char *epoch; /* source-date-epoch, or NULL */
};
void output_options_init(struct output_options *x);
void output_options_release(struct output_options *x);
DEFINE_AUTO_VALUE(struct output_options, output_options_release);

/* o of b, with b's annotations and tags. x was just initialised. ERR_USAGE, ERR_UNSUPPORTED. */
int output_options_parse(struct output_options *x, const struct build_output *o,
                         const struct build_options *b, struct err *err);

/*
 * "annotation.KEY", "annotation-index[linux/amd64].KEY": the name of an attribute that may be an
 * annotation. 1 and *ret filled without its value, 0 when it is none, or a code.
 */
int annotation_parse(const char *name, struct annotation *ret, struct err *err);
/* "manifest", "index-descriptor": false when there is none of that name. */
bool annotation_place_parse(const char *name, enum annotation_place *ret);
void annotation_release(struct annotation *a);

/* Names as the store keys by. ERR_USAGE for those that are none or have a digest. */
int build_canonical_names(const struct strv *tags, struct strv *ret, struct err *err);

#endif

/*
 * Where an image comes from, as SLSA's predicates say it (slsa.dev/provenance v1 and v0.2), with
 * the build type and the names of fields that BuildKit's have: builder, source, parameters,
 * materials. Nothing secret: values of secrets never, build arguments with mode=max only, URLs
 * without their credentials.
 */
#ifndef SHALE_ENGINE_PROVENANCE_H
#define SHALE_ENGINE_PROVENANCE_H

#include "engine/build_internal.h"

/* Something of elsewhere was used; written is what was asked for, uri has no credentials. Any
 * thread. */
void provenance_saw(struct build *b, const char *written, const char *uri, const char *algorithm,
                    const char *hex);

const char *provenance_type(const struct build_provenance *p);
/* New reference. After the stages were built; build_options.provenance says which. */
json_t *provenance_predicate(struct build *b);

#endif

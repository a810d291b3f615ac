/* What image_docs.c and image_docs_attest.c share. */
#ifndef SHALE_ENGINE_IMAGE_DOCS_INTERNAL_H
#define SHALE_ENGINE_IMAGE_DOCS_INTERNAL_H

#include "engine/image_docs.h"

/* The attestation manifest of an image, its configuration and statements into ret->extra, and its
 * entry into the index. */
void image_docs_attest(struct image_docs *ret, const struct image_doc *image,
                       const struct built_image *of, const struct doc_options *o);

#endif

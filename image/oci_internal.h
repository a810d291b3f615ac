/* What oci.c and oci_config.c share: the strict beginning of reading a document. */
#ifndef SHALE_IMAGE_OCI_INTERNAL_H
#define SHALE_IMAGE_OCI_INTERNAL_H

#include "base/json.h"

/* An object of at most MANIFEST_MAX bytes, new reference; NULL with ERR_CORRUPT. */
json_t *doc_read(const char *p, size_t n, const char *what, struct err *err);
/* ERR_CORRUPT when a name differs from one of known in case only. */
int doc_names(const json_t *obj, const char *const *known, size_t n, const char *what,
              struct err *err);

#endif

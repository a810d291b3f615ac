/* The two ways an image comes from outside; shared by from.c, from_docker.c and from_registry.c. */
#ifndef SHALE_ENGINE_FROM_INTERNAL_H
#define SHALE_ENGINE_FROM_INTERNAL_H

#include "engine/build_internal.h"

int found_from_config(struct engine *e, const struct blob_id *config_id,
                      const struct blob_id *manifest, struct found_image *ret, struct err *err);
/* An image of these layers; config and *layers are taken over. */
void found_take(struct found_image *ret, const struct blob_id *config_id,
                const struct blob_id *manifest, struct image_config *config,
                const struct layer ***layers);
/* ERR_NOT_FOUND: no engine, or it has no such image. */
int from_docker(struct engine *e, const struct image_name *name, const char *canonical,
                const struct find_options *o, struct found_image *ret, struct err *err);
/* The name under which remote_name_get knows an image: without the tag when there is a digest. */
char *from_remembered_name(const struct image_name *name, const char *canonical) OWNED(mem_free);
/* *ret_answered (false before, may be NULL; set also on failure): the registry has said which image
 * it is. */
int from_registry(struct engine *e, const struct image_name *name, const char *canonical,
                  const struct find_options *o, bool *ret_answered, struct found_image *ret,
                  struct err *err);

#endif

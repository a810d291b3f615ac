/*
 * Content ids leave out which names are one file. A process sees it all the same (the number of
 * names, what tar or du make of them), so that what a command runs on needs it in its key too.
 */
#ifndef SHALE_ENGINE_LAYER_LINKS_H
#define SHALE_ENGINE_LAYER_LINKS_H

#include "cache/key.h"
#include "store/layer.h"

/*
 * For a layer with such names, of which one is at or below path ("" is all of it): a field with a
 * digest of all of them. For others nothing.
 */
void layer_links_key(const struct layer *l, const char *path, struct key *k, const char *field);

#endif

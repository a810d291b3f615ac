/* --cache-from, from text to images whose word about layers is taken. */
#ifndef SHALE_CMD_CACHE_SPEC_H
#define SHALE_CMD_CACHE_SPEC_H

#include "base/buf.h"
#include "base/err.h"

/*
 * "type=registry,ref=NAME" or "NAME[,NAME...]", as buildx reads them: adds the canonical names.
 * What this version cannot read from is warned about once. ERR_USAGE: a name that is none, no ref.
 */
int cache_from_take(const struct strv *given, struct strv *ret, struct err *err);

#endif

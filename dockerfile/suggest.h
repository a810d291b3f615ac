/* "did you mean": the nearest of a few known words. Pure, any thread. */
#ifndef SHALE_DOCKERFILE_SUGGEST_H
#define SHALE_DOCKERFILE_SUGGEST_H

#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>

/*
 * The option within two edits of word (of several as near the one that looks most alike), NULL when
 * there is none or word is one of them. fold_case: letters' case is ignored.
 */
const char *suggest(const char *word, const char *const *options, size_t n_options, bool fold_case);
/*
 * Appends " (did you mean X?)" to the message that err holds. With fold_case X
 * is written in capitals when word is, else in lower case.
 */
void suggest_add(struct err *err, const char *word, const char *const *options, size_t n_options,
                 bool fold_case);

#endif

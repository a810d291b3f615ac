/* What the files of question sets share. Format 1: docs/question-sets.md. */
#ifndef SHALE_CACHE_QUESTIONS_INTERNAL_H
#define SHALE_CACHE_QUESTIONS_INTERNAL_H

#include "base/arena.h"
#include "cache/questions.h"

#define QUESTIONS_MAGIC "shaleqst"
#define QUESTIONS_VERSION 1
#define QUESTIONS_ALL 511u /* enum question_kind, ored */
#define QUESTIONS_PATH_MAX 4095u
#define QUESTIONS_XATTR_LEN_MAX 255u
/* Of all paths, NULs included: front coding can make very much out of little. */
#define QUESTIONS_PATHS_MAX ((size_t)1 << 28)

struct questions {
    struct arena texts;
    struct question *v; /* segment after segment */
    size_t n, cap;
    size_t *first; /* of each segment, and the end */
    size_t n_segments, cap_segments;
    const char *xattrs[QUESTION_XATTRS_MAX];
    size_t n_xattrs;
};

/* NULL when that can be a question, else what is wrong; the path is looked at only for "". */
const char *question_fault(const char *path, unsigned kinds, uint32_t xattrs);
/* Its components from the one that byte `from` is in; "" is clean. */
bool question_path_is_clean(const char *path, size_t len, size_t from);

#endif

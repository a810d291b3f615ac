/*
 * COPY --parents: the source is a pattern of ignore rules ("**" too) that is
 * matched below a pivot, and what it takes keeps its path from there. Without
 * a wildcard the path has to be there.
 */
#include "engine/copy_internal.h"

#include "dockerfile/glob.h"
#include "dockerfile/ignore.h"
#include <string.h>

#define PIVOT "/./"

void copy_split_pivot(const char *source, char **ret_pivot, char **ret_pattern)
{
    const char *at = strstr(source, PIVOT);
    AUTO(mem_free) char *before = str_ndup(source, at ? (size_t)(at - source) : 0);
    *ret_pivot = copy_clean(before);
    *ret_pattern = copy_clean(at ? at + strlen(PIVOT) : source);
}

/* A pattern of nothing names no path: BuildKit does not find it either. */
static int check_required(struct copy *c, const char *pivot, const char *pattern, struct err *err)
{
    AUTO(mem_free) char *path = copy_below(pivot, pattern);
    AUTO(mem_free) char *clean = copy_clean(path);
    AUTO(mem_free) char *real = NULL;
    if (glob_has_magic(pivot) || glob_has_magic(pattern))
        return 0;
    if (*pattern == '\0')
        return files_not_found(c->from.shown, clean, err);
    if (view_resolve(c->from.view, clean, true, &real, NULL, err) < 0)
        return err->code == ERR_NOT_FOUND ? files_not_found(c->from.shown, clean, err) : err->code;
    return 0;
}

int copy_parents(struct copy *c, const char *source, struct err *err)
{
    AUTO(mem_free) char *pivot = NULL;
    AUTO(mem_free) char *pattern = NULL;
    AUTO(strv_release) struct strv patterns = STRV_INIT;
    copy_split_pivot(source, &pivot, &pattern);
    if (check_required(c, pivot, pattern, err) < 0)
        return err->code;
    strv_add(&patterns, pattern);
    AUTO(ignore_free) struct ignore *include = ignore_new(&patterns, err);
    if (include == NULL)
        return err->code;
    c->include = include;
    int rc = copy_matches(c, pivot, err);
    c->include = NULL;
    return rc;
}

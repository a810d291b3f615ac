/*
 * Patterns, one a line, a NUL, a path: the wildcards of COPY sources, and the
 * patterns of --exclude. A pattern that is refused alone is refused in a list.
 */
#include "dockerfile/ignore.h"
#include "tests/fuzz/fuzz.h"
#include <stdlib.h>
#include <string.h>

static void one(const char *pattern, const char *path)
{
    struct err err = ERR_INIT;
    bool matches = false;
    int well_formed = glob_check(pattern, &err);
    err_clear(&err);
    int rc = glob_match(pattern, path, &matches, &err);
    if (rc < 0 && (well_formed == 0 || err.code != ERR_USAGE))
        abort();
    if (rc == 0 && !glob_has_magic(pattern) && strchr(pattern, '\\') == NULL &&
        matches != (strcmp(pattern, path) == 0))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = ERR_INIT;
    AUTO(strv_release) struct strv patterns = STRV_INIT;
    const uint8_t *nul = size > 0 ? memchr(data, '\0', size) : NULL;
    if (nul == NULL || memchr(nul + 1, '\0', size - (size_t)(nul - data) - 1) != NULL)
        return 0;
    size_t n = (size_t)(nul - data);
    AUTO(mem_free) char *text = str_ndup((const char *)data, n);
    AUTO(mem_free) char *path = str_ndup((const char *)nul + 1, size - n - 1);
    strv_split(&patterns, text, '\n');
    for (size_t i = 0; i < patterns.n && i < 100; i++)
        one(patterns.v[i], path);
    AUTO(ignore_free) struct ignore *ig = ignore_new(&patterns, &err);
    if (ig == NULL && err.code != ERR_USAGE)
        abort();
    if (ig != NULL)
        (void)ignore_match(ig, path);
    return 0;
}

/*
 * An ignore file, a NUL, a path. A walk must never have to enter a directory
 * that ignore_may_match_below says need not be entered.
 */
#include "dockerfile/ignore.h"
#include "base/fs.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Walks down path; aborts when something is hidden that is not ignored. */
static void walk(const struct ignore *ig, const char *path)
{
    AUTO(mem_free) uint8_t *parent = mem_zalloc(ignore_state_size(ig));
    AUTO(mem_free) uint8_t *state = mem_zalloc(ignore_state_size(ig));
    bool first = true, hidden = false;
    for (size_t i = 0;; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        AUTO(mem_free) char *part = str_ndup(path, i);
        bool ignored = ignore_match_in(ig, part, first ? NULL : parent, state);
        if (hidden && !ignored)
            abort();
        hidden |= ignored && !ignore_may_match_below(ig, part);
        memcpy(parent, state, ignore_state_size(ig));
        first = false;
        if (path[i] == '\0')
            return;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = ERR_INIT;
    const uint8_t *nul = size > 0 ? memchr(data, '\0', size) : NULL;
    size_t n = nul != NULL ? (size_t)(nul - data) : size;
    AUTO(ignore_free) struct ignore *ig = ignore_parse((const char *)data, n, &err);
    if (ig == NULL && err.code != ERR_USAGE)
        abort();
    if (ig == NULL || nul == NULL)
        return 0;
    AUTO(mem_free) char *name = str_ndup((const char *)nul + 1, size - n - 1);
    AUTO(mem_free) char *path = path_clean(name);
    bool ignored;
    (void)ignore_match(ig, path);
    (void)glob_match(name, path, &ignored, &err);
    if (*path != '/' && *path != '.')
        walk(ig, path);
    return 0;
}

/* An ignore file, a NUL, and a path to match. Matching from the parent's state gives the same
 * answer. */
#include "tests/fuzz/fuzz.h"
#include "base/mem.h"
#include "dockerfile/ignore.h"
#include <assert.h>
#include <string.h>

/* "a/b" is below "a"; ignore_match_in wants the state of "a". */
static bool match_by_steps(const struct ignore *ig, const char *path)
{
    size_t n = ignore_state_size(ig);
    AUTO(mem_free) uint8_t *parent = mem_zalloc(n + 1), *state = mem_zalloc(n + 1);
    AUTO(mem_free) char *part = str_dup(path);
    bool first = true, ignored = false;
    for (char *slash = strchr(part, '/');; slash = strchr(slash + 1, '/')) {
        if (slash != NULL)
            *slash = '\0';
        ignored = ignore_match_in(ig, part, first ? NULL : parent, state);
        first = false;
        memcpy(parent, state, n);
        if (slash == NULL)
            return ignored;
        *slash = '/';
    }
}

/* Cleaned: no empty part, no dot parts. */
static bool is_path(const char *p)
{
    for (;;) {
        size_t n = strcspn(p, "/");
        if (n == 0 || (n == 1 && p[0] == '.') || (n == 2 && p[0] == '.' && p[1] == '.'))
            return false;
        if (p[n] == '\0')
            return true;
        p += n + 1;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = ERR_INIT;
    const uint8_t *nul = memchr(data, 0, size);
    size_t text = nul != NULL ? (size_t)(nul - data) : size;
    AUTO(ignore_free) struct ignore *ig = ignore_parse((const char *)data, text, &err);
    if (ig == NULL || nul == NULL || size - text > 512 || ignore_len(ig) > 64)
        return 0;
    AUTO(mem_free) char *path = str_ndup((const char *)nul + 1, size - text - 1);
    if (is_path(path))
        assert(ignore_match(ig, path) == match_by_steps(ig, path));
    return 0;
}

/* What a comment above a RUN asks shale for. To everybody else it is a comment. */
#include "dockerfile/instr.h"

#include <string.h>

#define BLANKS " \t"

static bool is_word(const char *p, size_t n, const char *word)
{
    return n == strlen(word) && memcmp(p, word, n) == 0;
}

bool run_directive_trace_off(const struct strv *comments, struct strv *unknown)
{
    bool off = false;
    for (size_t i = 0; i < comments->n; i++) {
        const char *p = comments->v[i];
        if (!str_starts(p, RUN_DIRECTIVE))
            continue;
        p += strlen(RUN_DIRECTIVE);
        for (size_t n; p += strspn(p, BLANKS), (n = strcspn(p, BLANKS)) > 0; p += n) {
            if (is_word(p, n, "trace=off"))
                off = true;
            else if (is_word(p, n, "trace=on"))
                off = false;
            else if (unknown != NULL)
                strv_addn(unknown, p, n);
        }
    }
    return off;
}

/* What a comment above a RUN asks shale for. To everybody else it is a comment. */
#include "dockerfile/instr.h"

#include "base/buf.h"
#include <string.h>

#define BLANKS " \t"

static bool is_word(const char *p, size_t n, const char *word)
{
    return n == strlen(word) && memcmp(p, word, n) == 0;
}

/* What follows the marker; NULL: it is no such line. */
static const char *words_of(const char *line)
{
    const char *p = str_starts(line, RUN_DIRECTIVE) ? line + strlen(RUN_DIRECTIVE) : NULL;
    return p != NULL ? p + strspn(p, BLANKS) : NULL;
}

bool run_directive_is_there(const struct strv *comments)
{
    for (size_t i = 0; i < comments->n; i++)
        if (words_of(comments->v[i]) != NULL)
            return true;
    return false;
}

/* The words of a line in their order; those that are not known go to rest. */
static void take_words(const char *p, bool *off, struct buf *rest)
{
    for (size_t n; p += strspn(p, BLANKS), (n = strcspn(p, BLANKS)) > 0; p += n) {
        if (is_word(p, n, "trace=off"))
            *off = true;
        else if (is_word(p, n, "trace=on"))
            *off = false;
        else
            buf_addf(rest, "%s%.*s", rest->len > 0 ? " " : "", (int)n, p);
    }
}

bool run_directive_trace_off(const struct strv *comments, struct strv *unknown)
{
    bool off = false;
    for (size_t i = 0; i < comments->n; i++) {
        const char *words = words_of(comments->v[i]);
        AUTO(buf_release) struct buf rest = BUF_INIT;
        if (words == NULL)
            continue;
        take_words(words, &off, &rest);
        if (rest.len > 0 && unknown != NULL)
            strv_add(unknown, buf_str(&rest));
    }
    return off;
}

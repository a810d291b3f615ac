/* COPY and ADD of what the ignore rules leave out. */
#include "base/fs.h"
#include "dockerfile/lint_internal.h"
#include "dockerfile/quote.h"
#include <string.h>

/* path is base or in it; "" is the context's root. */
static bool at_or_below(const char *path, const char *base)
{
    size_t n = strlen(base);
    return n == 0 || (strncmp(path, base, n) == 0 && (path[n] == '\0' || path[n] == '/'));
}

static bool ignores_all(const struct ignore *ig)
{
    for (size_t i = 0; i < ignore_len(ig); i++) {
        bool exception;
        const char *p = ignore_pattern(ig, i, &exception);
        if (!exception && (str_eq(p, "*") || str_eq(p, "**") || str_eq(p, "**/*")))
            return true;
    }
    return false;
}

/* Whether a '!' pattern could bring back source or something in it: then nothing can be said. */
static bool may_come_back(const struct ignore *ig, const char *source)
{
    for (size_t i = 0; i < ignore_len(ig); i++) {
        bool exception;
        const char *p = ignore_pattern(ig, i, &exception);
        if (!exception)
            continue;
        size_t plain = strcspn(p, "*?[");
        bool wildcard = p[plain] != '\0';
        while (wildcard && plain > 0 && p[plain - 1] != '/')
            plain--;
        if (wildcard && plain > 0)
            plain--; /* the slash */
        AUTO(mem_free) char *prefix = str_ndup(p, plain);
        if (at_or_below(prefix, source) || (wildcard && at_or_below(source, prefix)))
            return true;
    }
    return false;
}

static bool is_remote(const char *source)
{
    static const char *const heads[] = { "http://", "https://", "git://", "ssh://", "git@" };
    for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
        if (str_starts(source, heads[i]))
            return true;
    }
    return false;
}

static void lint_source(struct linter *l, const struct instr *i, const char *source)
{
    const struct ignore *ig = l->o->ignore;
    AUTO(mem_free) char *clean = path_clean(source);
    bool root = str_eq(clean, ".") || str_eq(clean, "/");
    if (root && !ignores_all(ig))
        return;
    const char *relative = *clean == '/' ? clean + 1 : root ? "" : clean;
    if (may_come_back(ig, relative) || !ignore_match(ig, root ? "." : clean))
        return;
    AUTO(buf_release) struct buf quoted = BUF_INIT;
    text_quote(&quoted, clean);
    lint_warn_at(l, RULE_COPY_IGNORED_FILE, i,
                 "Attempting to %s file %s that is excluded by .dockerignore",
                 i->kind == INSTR_ADD ? "Add" : "Copy", buf_str(&quoted));
}

void lint_copy(struct linter *l, const struct instr *i)
{
    if (l->o->ignore == NULL || ignore_len(l->o->ignore) == 0 || i->copy.from != NULL)
        return;
    for (size_t k = 0; k < i->copy.sources.n; k++) {
        if (!is_remote(i->copy.sources.v[k]))
            lint_source(l, i, i->copy.sources.v[k]);
    }
}

/* The build context as the steps see it: scanned once for all that the needed stages ask for. */
#include "engine/build_internal.h"

#include "base/fs.h"
#include "engine/copy_internal.h"
#include <string.h>

/* The part of a source that is a path for certain: before a wildcard or variable, cut at a slash.
 */
void build_add_want(struct strv *wants, const char *source)
{
    size_t plain = strcspn(source, "*?[\\$");
    AUTO(mem_free) char *rooted = str_printf("/%.*s", (int)plain, source);
    if (source[plain] != '\0')
        *strrchr(rooted, '/') = '\0';
    AUTO(mem_free) char *clean = path_clean(*rooted ? rooted : "/");
    strv_add(wants, clean + 1);
}

static void collect(struct build *b, const struct instr *i)
{
    if (i->kind != INSTR_COPY && i->kind != INSTR_ADD)
        return;
    if (i->copy.from != NULL)
        return;
    for (size_t k = 0; k < i->copy.sources.n; k++)
        if (i->kind != INSTR_ADD || !copy_is_remote(i->copy.sources.v[k]))
            build_add_want(&b->context_wants, i->copy.sources.v[k]);
}

void build_collect_wants(struct build *b)
{
    for (size_t s = 0; s < b->n_stages; s++)
        for (size_t k = 0; b->stages[s].needed && k < b->stages[s].def->n_instrs; k++)
            collect(b, b->stages[s].def->instrs[k]);
}

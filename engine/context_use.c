/* The build context as the steps see it: scanned once for all that the needed stages ask for. */
#include "engine/build_internal.h"

#include "base/clock.h"
#include "base/fs.h"
#include "engine/engine_internal.h"
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
        build_add_want(&b->context_wants, i->copy.sources.v[k]);
}

void build_collect_wants(struct build *b)
{
    for (size_t s = 0; s < b->n_stages; s++)
        for (size_t k = 0; b->stages[s].needed && k < b->stages[s].def->n_instrs; k++)
            collect(b, b->stages[s].def->instrs[k]);
}

int build_context(struct build *b, const struct strv *paths, const struct listing **ret,
                  struct err *err)
{
    if (b->context == NULL)
        return err_set(err, ERR_USAGE, "there is no build context to copy from");
    pthread_mutex_lock(&b->lock);
    bool first = b->context_vertex == 0;
    if (first)
        b->context_vertex = vertex_begin(b->e, "[internal] load build context");
    int v = b->context_vertex;
    pthread_mutex_unlock(&b->lock);
    int64_t started = clock_mono_ms();
    AUTO(strv_release) struct strv wants = STRV_INIT;
    strv_append(&wants, &b->context_wants);
    strv_append(&wants, paths);
    int rc = context_scan(b->context, &wants, ret, err);
    if (!first)
        return rc;
    struct context_counts counts;
    context_counts(b->context, &counts);
    if (rc == 0)
        vertex_status(b->e, v, "transferring context:", counts.read_bytes, 0, true);
    return vertex_close(b->e, v, rc, started, err);
}

/* What the needed stages will ask of the contexts: said before the first of them is scanned, so
 * that each is walked once. */
#include "engine/build_internal.h"

#include "base/fs.h"
#include "engine/contexts.h"
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

static void collect_copy(struct build_stage *st, const struct instr *i)
{
    struct strv *wants = contexts_wants(st->b, i->copy.from, &st->platform);
    for (size_t k = 0; wants != NULL && k < i->copy.sources.n; k++)
        if (i->kind != INSTR_ADD || !copy_is_remote(i->copy.sources.v[k]))
            build_add_want(wants, i->copy.sources.v[k]);
}

/* A variable stands for itself: where it begins, what is known for certain ends. */
static const char *stands_for_itself(const void *arg UNUSED, const char *name UNUSED)
{
    return "$";
}

static void collect_mount(struct build_stage *st, const char *spec)
{
    struct env_lookup env = { .get = stands_for_itself };
    AUTO(run_mount_release) struct run_mount m = { .target = NULL };
    struct err ignored = ERR_INIT;
    if (run_mount_parse(spec, &env, st->b->df->escape, NULL, &m, &ignored) < 0)
        return;
    bool from_main = m.from == NULL || *m.from == '\0';
    if (m.type != MOUNT_BIND && (m.type != MOUNT_CACHE || from_main))
        return;
    struct strv *wants = contexts_wants(st->b, m.from, &st->platform);
    if (wants != NULL)
        build_add_want(wants, m.source ? m.source : "/");
}

static void collect(struct build_stage *st, const struct instr *i)
{
    if (i->kind == INSTR_COPY || i->kind == INSTR_ADD)
        collect_copy(st, i);
    for (size_t k = 0; i->kind == INSTR_RUN && k < i->run.mount_specs.n; k++)
        collect_mount(st, i->run.mount_specs.v[k]);
}

void build_collect_wants(struct build *b)
{
    for (size_t s = 0; s < b->n_stages; s++)
        for (size_t k = 0; b->stages[s].needed && k < b->stages[s].def->n_instrs; k++)
            collect(&b->stages[s], b->stages[s].def->instrs[k]);
}

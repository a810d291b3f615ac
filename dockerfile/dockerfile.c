#include "dockerfile/instr.h"
#include "dockerfile/instr_internal.h"
#include <string.h>
#include <strings.h>

static void stage_release(struct stage *s)
{
    instr_free(s->from);
    for (size_t i = 0; i < s->n_instrs; i++)
        instr_free(s->instrs[i]);
    mem_free(s->instrs);
}

void dockerfile_free(struct dockerfile *df)
{
    if (df == NULL)
        return;
    for (size_t i = 0; i < df->n_args; i++)
        instr_free(df->args[i]);
    for (size_t i = 0; i < df->n_stages; i++)
        stage_release(&df->stages[i]);
    mem_free(df->args);
    mem_free(df->stages);
    ast_free(df->ast);
    mem_free(df);
}

/* Room as the arrays grow; not part of what callers see. */
struct builder {
    struct dockerfile *df;
    size_t cap_args, cap_stages, cap_instrs;
    size_t n_pairs;
};

static int add_stage(struct builder *b, struct instr *from, struct err *err)
{
    struct dockerfile *df = b->df;
    if (df->n_stages >= DOCKERFILE_MAX_STAGES) {
        instr_free(from);
        return err_set(err, ERR_USAGE, "more than %d stages", DOCKERFILE_MAX_STAGES);
    }
    MEM_ROOM(df->stages, df->n_stages, b->cap_stages);
    df->stages[df->n_stages++] = (struct stage){
        .from = from,
        .name = from->from.name,
        .base = from->from.base,
        .platform = from->from.platform,
        .line = from->line,
        .line_end = from->line_end,
    };
    b->cap_instrs = 0;
    return 0;
}

static bool has_room_for_pairs(struct builder *b, const struct instr *i)
{
    if (i->kind == INSTR_ENV || i->kind == INSTR_LABEL || i->kind == INSTR_ARG)
        b->n_pairs += i->pairs.n;
    return b->n_pairs <= DOCKERFILE_MAX_PAIRS;
}

/* Takes over i, also on failure. */
static int add_instr(struct builder *b, struct instr *i, struct err *err)
{
    struct dockerfile *df = b->df;
    if (!has_room_for_pairs(b, i)) {
        instr_free(i);
        return err_set(err, ERR_USAGE, "more than %d variables and labels", DOCKERFILE_MAX_PAIRS);
    }
    if (i->kind == INSTR_FROM)
        return add_stage(b, i, err);
    if (df->n_stages > 0) {
        struct stage *stage = &df->stages[df->n_stages - 1];
        MEM_ROOM(stage->instrs, stage->n_instrs, b->cap_instrs);
        stage->instrs[stage->n_instrs++] = i;
        stage->line_end = i->line_end;
        return 0;
    }
    if (i->kind == INSTR_ARG) {
        MEM_ROOM(df->args, df->n_args, b->cap_args);
        df->args[df->n_args++] = i;
        return 0;
    }
    instr_free(i);
    return err_set(err, ERR_USAGE, "no build stage in current context");
}

struct dockerfile *dockerfile_from_ast(struct ast *ast, struct err *err)
{
    AUTO(dockerfile_free) struct dockerfile *df = mem_zalloc(sizeof(*df));
    struct builder b = { .df = df };
    df->ast = ast;
    df->escape = ast->escape;
    for (size_t i = 0; i < ast->n_nodes; i++) {
        const struct ast_node *node = &ast->nodes[i];
        struct instr *instr = instr_from_node(node, err);
        if (instr == NULL)
            err_wrap(err, "dockerfile parse error on line %d", node->line);
        if (instr == NULL || add_instr(&b, instr, err) < 0) {
            err_at(err, node->line, node->line_end);
            return NULL;
        }
    }
    if (df->n_stages == 0) {
        err_set(err, ERR_USAGE, "dockerfile contains no stages to build");
        return NULL;
    }
    return TAKE(df);
}

struct dockerfile *dockerfile_parse(const char *text, size_t n, struct err *err)
{
    if (n == 0) {
        err_set(err, ERR_USAGE, "the Dockerfile cannot be empty");
        return NULL;
    }
    struct ast *ast = ast_parse(text, n, err);
    return ast != NULL ? dockerfile_from_ast(ast, err) : NULL;
}

int dockerfile_stage_named(const struct dockerfile *df, const char *name, size_t before)
{
    for (size_t i = before < df->n_stages ? before : df->n_stages; i-- > 0;) {
        if (df->stages[i].name != NULL && strcasecmp(df->stages[i].name, name) == 0)
            return (int)i;
    }
    return -1;
}

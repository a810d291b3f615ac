#include "dockerfile/ast.h"
#include "dockerfile/runes_internal.h"

static void dump_node(const struct ast_node *node, struct buf *b)
{
    const char *space = *node->name != '\0' ? " " : ""; /* none leads */
    buf_adds(b, node->name);
    for (size_t i = 0; i < node->flags.n; i++) {
        buf_addf(b, "%s%s", i == 0 ? space : " ", i == 0 ? "[" : "");
        text_quote(b, node->flags.v[i]);
        space = " ";
    }
    if (node->flags.n > 0)
        buf_addc(b, ']');
    for (size_t i = 0; i < node->args.n; i++) {
        buf_adds(b, space);
        text_quote(b, node->args.v[i]);
        space = " ";
    }
    if (node->sub != NULL) {
        buf_addf(b, "%s(", space);
        dump_node(node->sub, b);
        buf_addc(b, ')');
    }
}

void ast_dump(const struct ast *a, struct buf *b)
{
    for (size_t i = 0; i < a->n_nodes; i++) {
        buf_addc(b, '(');
        dump_node(&a->nodes[i], b);
        buf_adds(b, ")\n");
    }
}

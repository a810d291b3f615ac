/* Any bytes as a Dockerfile: parsed, dumped, given types, expanded, its triggers parsed. */
#include "dockerfile/instr.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expand_one(const struct dockerfile *df, const struct instr *i)
{
    struct err err = ERR_INIT;
    AUTO(strv_release) struct strv env = STRV_INIT;
    AUTO(strv_release) struct strv unmatched = STRV_INIT;
    strv_add(&env, "A=a b");
    strv_add(&env, "PATH=/bin:/usr/bin");
    struct env_lookup lookup = env_lookup_strv(&env);
    AUTO(instr_free) struct instr *x = instr_expand(i, &lookup, df->escape, &unmatched, &err);
    if (x == NULL && (err.code != ERR_USAGE || err.line == 0))
        abort();
    if (i->kind == INSTR_ONBUILD) {
        err_clear(&err);
        instr_free(instr_parse_onbuild(i->value, &err));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = ERR_INIT;
    AUTO(buf_release) struct buf dump = BUF_INIT;
    struct ast *ast = ast_parse((const char *)data, size, &err);
    if (ast == NULL) {
        if (err.code != ERR_USAGE || err.msg[0] == '\0')
            abort();
        return 0;
    }
    ast_dump(ast, &dump);
    AUTO(dockerfile_free) struct dockerfile *df = dockerfile_from_ast(ast, &err);
    for (size_t s = 0; df != NULL && s < df->n_stages; s++) {
        expand_one(df, df->stages[s].from);
        for (size_t i = 0; i < df->stages[s].n_instrs; i++)
            expand_one(df, df->stages[s].instrs[i]);
    }
    return 0;
}

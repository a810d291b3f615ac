/* A Dockerfile: what parses has at least one stage, and its tree can be written down. */
#include "tests/fuzz/fuzz.h"
#include "dockerfile/instr.h"
#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = ERR_INIT;
    AUTO(dockerfile_free) struct dockerfile *df = dockerfile_parse((const char *)data, size, &err);
    assert((df == NULL) == (err.code != ERR_NONE));
    if (df == NULL)
        return 0;
    assert(df->n_stages >= 1 && df->n_stages <= DOCKERFILE_MAX_STAGES);
    AUTO(buf_release) struct buf b = BUF_INIT;
    ast_dump(df->ast, &b);
    assert(b.len > 0);
    return 0;
}

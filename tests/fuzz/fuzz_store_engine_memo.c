/* What is remembered of an engine: a text that is read is written as one that reads the same. */
#include "store/engine_memo.h"

#include "tests/fuzz/fuzz.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(mem_free) char *text = str_ndup((const char *)data, size);
    AUTO(engine_memo_release) struct engine_memo m = { .n = 0 };
    AUTO(engine_memo_release) struct engine_memo again = { .n = 0 };
    AUTO(buf_release) struct buf first = BUF_INIT;
    AUTO(buf_release) struct buf second = BUF_INIT;
    struct err err = ERR_INIT;
    if (engine_memo_parse(text, &m, &err) < 0)
        return 0;
    engine_memo_format(&m, &first);
    if (engine_memo_parse(buf_str(&first), &again, &err) < 0)
        abort();
    engine_memo_format(&again, &second);
    if (!str_eq(buf_str(&first), buf_str(&second)))
        abort();
    return 0;
}

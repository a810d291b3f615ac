#include "cmd/call.h"
#include "base/base64.h"

json_t *call_location(int line, int line_end)
{
    if (line == 0)
        return json_object();
    return json_pack("{s:[{s:{s:i},s:{s:i}}]}", "ranges", "start", "line", line, "end", "line",
                     line_end < line ? line : line_end);
}

json_t *call_base64(const struct buf *text)
{
    AUTO(buf_release) struct buf b = BUF_INIT;
    base64_add(&b, buf_str(text), text->len);
    return json_string(buf_str(&b));
}

void call_add_json(struct buf *b, const json_t *j)
{
    json_write_pretty(j, b, 2);
    if (b->len > 0 && b->data[b->len - 1] != '\n')
        buf_addc(b, '\n');
}

#include "cache/answer.h"

#include "base/clock.h"
#include "base/log.h"

int answer_find(struct store *s, const struct cache_key *key, struct answer *ret, struct err *err)
{
    struct answer a = { 0 };
    if (record_get(s, key, &a.record, err) < 0)
        return err->code;
    if (a.record.has_layer) {
        a.layer = layer_get(s, &a.record.layer, err);
        if (a.layer == NULL) {
            log_debug("cache", "a record's layer is gone: %s", err->msg);
            return err_set(err, ERR_NOT_FOUND, "the layer of a recorded step is gone");
        }
    }
    *ret = a;
    return 0;
}

static int keep_text(struct store *s, const struct buf *text, struct blob_id *ret, struct err *err)
{
    if (text->len == 0)
        return 0;
    return blob_put(s, text->data, text->len, ret, err);
}

int answer_keep(struct store *s, struct record *r, const struct buf *fields,
                const struct buf *output, struct err *err)
{
    if (keep_text(s, fields, &r->fields, err) < 0 || keep_text(s, output, &r->output, err) < 0)
        return err->code;
    r->has_output = output->len > 0;
    if (r->made_s == 0)
        r->made_s = clock_wall_s();
    r->used_s = r->made_s;
    return record_put(s, r, err);
}

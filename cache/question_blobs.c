#include "cache/question_blobs.h"

#include "store/blob.h"

struct questions *questions_load(struct store *s, const struct blob_id *id, struct err *err)
{
    AUTO(buf_release) struct buf bytes = BUF_INIT;
    if (blob_read(s, id, QUESTIONS_BYTES_MAX, &bytes, err) < 0)
        return NULL;
    return questions_open(buf_str(&bytes), bytes.len, err);
}

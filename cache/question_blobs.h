/* Question sets and their answers as the store keeps them. Any thread. */
#ifndef SHALE_CACHE_QUESTION_BLOBS_H
#define SHALE_CACHE_QUESTION_BLOBS_H

#include "cache/questions.h"
#include "store/store.h"

#define QUESTIONS_BYTES_MAX (1u << 30) /* more than any set that questions_write makes */
#define ANSWERS_BYTES_MAX (QUESTIONS_MAX * ANSWER_LEN)

/* ERR_NOT_FOUND, ERR_CORRUPT. */
struct questions *questions_load(struct store *s, const struct blob_id *id, struct err *err)
    OWNED(questions_free);

#endif

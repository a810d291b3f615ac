/*
 * What Docker engines were seen to have: a hint and never an answer. Who would leave something out
 * because of it asks the engine first whether the image is still there, and takes a refusal as a
 * sign that the memo is wrong.
 *
 * One small file for each address of an engine, written whole by rename and not synced. Of two that
 * write at the same time the later wins, and what cannot be read is as if nothing were known: both
 * cost one full load. One memo, one thread.
 */
#ifndef SHALE_STORE_ENGINE_MEMO_H
#define SHALE_STORE_ENGINE_MEMO_H

#include "store/store.h"

#define ENGINE_MEMO_IMAGES 16 /* the newest; each is some hundred bytes a layer at most */
#define ENGINE_MEMO_LAYERS 1024

struct engine_layer {
    struct diff_id diff;
    struct blob_id blob; /* zero: the engine keeps no blobs */
};

struct engine_image {
    struct digest id; /* as the engine calls it: of the configuration or of the manifest */
    struct engine_layer *layers; /* lowest first */
    size_t n_layers;
};

struct engine_memo {
    bool is_known; /* else is_containerd says nothing */
    bool is_containerd;
    struct engine_image images[ENGINE_MEMO_IMAGES]; /* newest first */
    size_t n;
};
void engine_memo_release(struct engine_memo *m); /* of nothing known */
DEFINE_AUTO_VALUE(struct engine_memo, engine_memo_release);

/* ret is empty where there is none or none that can be read. address as in DOCKER_HOST. */
void engine_memo_read(struct store *s, const char *address, struct engine_memo *ret);
/* What cannot be written is a debug line. */
void engine_memo_write(struct store *s, const char *address, const struct engine_memo *m);

/* The file's text; docs/store-layout.md. */
int engine_memo_parse(const char *text, struct engine_memo *ret, struct err *err);
void engine_memo_format(const struct engine_memo *m, struct buf *ret);

const struct engine_image *engine_memo_find(const struct engine_memo *m, const struct digest *id);
/*
 * In front of the others; the oldest goes where there is no room, and so does an older one of the
 * same id. An image of too many layers is not taken. The layers are copied.
 */
void engine_memo_add(struct engine_memo *m, const struct digest *id,
                     const struct engine_layer *layers, size_t n);
void engine_memo_drop(struct engine_memo *m, const struct digest *id);

#endif

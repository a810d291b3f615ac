#include "store/layer.h"
#include "store/layer_internal.h"

#include "base/fs.h"
#include "store/feed.h"
#include "store/layer_away.h"

#include <string.h>

#define TRIES 4

static bool is_wanted(const struct pack_options *want, const struct layer_blob *b, int level)
{
    if (want == NULL)
        return true;
    bool any_level = !want->force || want->level < 0;
    return b->compression == want->compression && (any_level || level == want->level);
}

/* The first blob that want allows: 1 when there is one. */
static int find_blob(struct store *s, const struct layer *l, const struct pack_options *want,
                     struct layer_blob *ret, struct err *err)
{
    struct layer_blobs blobs;

    if (layer_whole(s, l, err) == NULL || layer_blobs_find(s, &l->diff_id, &blobs, err) < 0)
        return err->code;
    for (size_t i = 0; i < blobs.n; i++)
        if (is_wanted(want, &blobs.v[i], blobs.level[i])) {
            *ret = blobs.v[i];
            return 1;
        }
    return 0;
}

int layer_any_blob(struct store *s, const struct layer *l, struct layer_blob *ret, struct err *err)
{
    return find_blob(s, l, NULL, ret, err);
}

static int pack(struct store *s, const struct layer *l, const struct pack_options *o,
                struct layer_blob *ret, struct err *err)
{
    AUTO(blob_writer_free) struct blob_writer *w = blob_writer_open(s, err);
    AUTO(source_free) struct source *tar = w ? layer_tar_source(s, l, err) : NULL;
    /* Plain bytes have none. */
    int level = o->compression == COMPRESSION_NONE ? COMPRESSION_LEVEL_DEFAULT : o->level;

    if (tar == NULL)
        return err->code;
    AUTO(source_free) struct source *ahead = source_ahead(TAKE(tar));
    AUTO(sink_free) struct sink *to = sink_compress(blob_writer_sink(w), o->compression, o->level);
    if (stream_copy(ahead, to, NULL, err) < 0 || sink_finish(to, err) < 0)
        return err->code;
    ret->compression = o->compression;
    if (blob_writer_commit(w, NULL, &ret->id, &ret->size, err) < 0)
        return err->code;
    return layer_blob_note(s, &l->diff_id, ret, level, err);
}

/* With the claim. What was damaged is gone after a try: the next one reads from something else. */
static int make_blob(struct store *s, const struct layer *l, const struct pack_options *o,
                     struct layer_blob *ret, struct err *err)
{
    int r = ERR_CORRUPT;

    for (int i = 0; r == ERR_CORRUPT && i < TRIES; i++) {
        err_clear(err);
        r = pack(s, l, o, ret, err);
    }
    return r;
}

static int find_or_make(struct store *s, const struct layer *l, const struct pack_options *want,
                        struct layer_blob *ret, struct err *err)
{
    const struct pack_options any = PACK_AS(COMPRESSION_ZSTD);
    struct layer_blob made;
    int r = find_blob(s, l, want, ret, err);

    if (r != 0)
        return r;
    AUTO(fd_close) int claim = store_claim(s, CLAIM_PACK, &l->diff_id.d, err);
    if (claim < 0)
        return claim;
    r = find_blob(s, l, want, ret, err);
    if (r == 0 && (r = make_blob(s, l, want ? want : &any, &made, err)) == 0)
        *ret = made;
    return r;
}

int layer_blob(struct store *s, const struct layer *l, const struct pack_options *want,
               struct layer_blob *ret, struct err *err)
{
    if (want != NULL && compression_name(want->compression) == NULL)
        return err_set(err, ERR_UNSUPPORTED, "layers cannot be written in that compression");
    if (find_or_make(s, l, want, ret, err) < 0)
        return err_wrap(err, "cannot pack layer '%s'", DIGEST_S(&l->diff_id.d));
    return 0;
}

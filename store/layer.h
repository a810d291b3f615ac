/*
 * Layers of the store: diff id, listing, and none, one or several blobs
 * (encodings) and perhaps an unpacked tree. A blob is enough to make the others.
 * A tree is enough for layers that layer_make or layer_adopt made; the tar of
 * somebody else has bytes that no tree gives back.
 *
 * A struct layer is immutable, cached in the store and borrowed until
 * store_close. All calls from any thread; the same layer asked for twice at
 * the same time, by threads or processes, is unpacked or packed once.
 *
 * What turns out to be damaged is removed and is a miss from then on: another
 * encoding steps in where there is one, else ERR_NOT_FOUND, and the layer is to be fetched or made
 * again.
 */
#ifndef SHALE_STORE_LAYER_H
#define SHALE_STORE_LAYER_H

#include "image/layer_tar.h"
#include "image/listing.h"
#include "store/blob.h"
#include "store/store.h"

struct layer {
    struct diff_id diff_id;
    struct content_id content_id;
    struct blob_id listing_id;
    const struct listing *listing;
    uint64_t tar_size;             /* bytes of the uncompressed tar */
    struct layer_absence *absence; /* layer_away.h; NULL: its bytes are here */
};

/*
 * A layer that is known and can be had whole from here: from a blob, or from the tree of one that
 * was made here. Else ERR_NOT_FOUND. Cheap (some 30 us) when asked for again. The
 * listing is checked once for a file and a boot; after that loading it does not depend on its size.
 */
const struct layer *layer_get(struct store *s, const struct diff_id *id, struct err *err);

/*
 * A layer from somebody's tar (a registry's, an engine's, a root file system): from is read to its
 * end, the bytes go to a blob, listing and diff id
 * are made on the way. want_blob, want_size (when not NULL/0) and want_diff (when not NULL) are
 * verified before anything is published; a tar of more than 64 GiB and bytes behind the compressed
 * data are ERR_CORRUPT. gzip and zstd are kept, all else is packed as zstd and want_blob is then
 * what came in. from is borrowed and is read by another thread until this returns.
 */
const struct layer *layer_ingest(struct store *s, struct source *from,
                                 const struct blob_id *want_blob, uint64_t want_size,
                                 const struct diff_id *want_diff, struct err *err);

/* The same where layer_tree will be asked for next: the tree is made of the files as they pass.
 * Where that cannot be done the tree is missing, and nothing else. */
const struct layer *layer_ingest_tree(struct store *s, struct source *from,
                                      const struct blob_id *want_blob, uint64_t want_size,
                                      const struct diff_id *want_diff, struct err *err);

/*
 * A layer of files that are somewhere else (COPY): writes tar and zstd blob in one pass.
 * The builder's file entries must have size and content; open gives the bytes (layer_tar_write).
 */
const struct layer *layer_make(struct store *s, struct listing_builder *b, layer_content_fn open,
                               void *arg, struct err *err);

/*
 * A layer from an upper directory: the builder describes what is in dirfd/name, in the overlay's
 * form there (0:0 character devices, trusted.overlay.opaque) and as whiteouts and opaque
 * directories in the builder. Files have their size; a zero content digest means "compute it": each
 * file is read once, for the tar's hash, its own, and what the listing carries inline. A digest
 * that is given is verified. A file that is not as the builder says is ERR_CORRUPT.
 *
 * The directory is renamed into trees/ (synced when the store is durable) and packing left to
 * layer_blob. When the tree is there already the directory stays, for the caller to remove. It must
 * be on the store's file system: a directory of a struct work is.
 */
const struct layer *layer_adopt(struct store *s, struct listing_builder *b, int dirfd,
                                const char *name, struct err *err);

/*
 * Absolute path of the layer's unpacked tree, unpacked now if it has to be (from its blob, through
 * in-root creation by fd alone; whiteouts become overlay's). Empty layers have one too. Owned by
 * the caller. ERR_UNSUPPORTED: this user may not make what is in it (owners, devices).
 */
char *layer_tree(struct store *s, const struct layer *l, struct err *err) OWNED(mem_free);
bool layer_has_tree(struct store *s, const struct layer *l);

/*
 * The layer's blob as want says, made now if it has to be (from the tree, or from a blob of another
 * encoding). With want NULL any encoding that is there, else zstd.
 *
 * A blob of the compression that is here is taken whatever its level, and whoever made it: it
 * spares the work, and a registry may have it already. Only with force and a level it has to be one
 * that was made here at that level.
 */
struct pack_options {
    enum compression compression; /* one with a name (compression_name) */
    int level; /* COMPRESSION_LEVEL_DEFAULT, gzip 0 to 9, zstd 0 to 22 (0: zstd's own default) */
    bool force;
};
#define PACK_AS(c) ((struct pack_options){ .compression = (c), .level = COMPRESSION_LEVEL_DEFAULT })
struct layer_blob {
    struct blob_id id;
    uint64_t size;
    enum compression compression;
};
int layer_blob(struct store *s, const struct layer *l, const struct pack_options *want,
               struct layer_blob *ret, struct err *err);
/* One that is there, of any encoding; 1 when there is one, 0, or a negative code. */
int layer_any_blob(struct store *s, const struct layer *l, struct layer_blob *ret, struct err *err);

/*
 * The content of files of layers, for COPY --from, ADD and outputs: say all that is wanted first,
 * then open. From the tree where there is one; else the wanted files are taken out of the blob in
 * one pass into unnamed scratch at the first open. Bytes are verified by whoever hashes them
 * (layer_tar_write does). One content, one thread.
 */
struct content;
void content_free(struct content *c);
DEFINE_AUTO(struct content, content_free);
struct content *content_new(struct store *s) OWNED(content_free) NONNULL;
void content_want(struct content *c, const struct layer *l, const struct entry *e);
struct source *content_open(struct content *c, const struct layer *l, const struct entry *e,
                            struct err *err) OWNED(source_free);
/*
 * Where a file's bytes are, so that any part of them can be read: size bytes of fd from at on. For
 * files that are neither empty nor inline. fd is borrowed until the next call with c.
 */
struct content_place {
    int fd;
    uint64_t at;
    bool is_file; /* fd is the file of a tree: these bytes and no others */
};
int content_at(struct content *c, const struct layer *l, const struct entry *e,
               struct content_place *ret, struct err *err);

/* The uncompressed tar of a layer, verified against its diff id at the end. */
struct source *layer_tar_source(struct store *s, const struct layer *l, struct err *err)
    OWNED(source_free);

#endif

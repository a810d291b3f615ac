/* Layers: what the files that make, unpack and pack them share. */
#ifndef SHALE_STORE_LAYER_INTERNAL_H
#define SHALE_STORE_LAYER_INTERNAL_H

#include "store/layer.h"
#include "store/store_internal.h"
#include <sys/stat.h>

#define LAYER_TAR_MAX (UINT64_C(64) << 30) /* bytes of a layer's tar: a bomb ends here */

void layer_cache_free(void *l); /* a struct layer */
void layer_absence_free(struct layer_absence *a);

/* A layer that is being made. Values are filled in as they become known, then published at once. */
struct new_layer {
    struct diff_id diff_id;
    uint64_t tar_size;
    struct listing *listing;
    struct blob_writer *listing_bytes;
    uint64_t listing_check;
    struct blob_writer *packed; /* NULL: there is no blob yet */
    enum compression compression;
    const struct blob_id *want; /* of packed; may be NULL */
    bool has_tree;              /* trees/<hex> is in place */
    bool is_synced;             /* ... and on the disk */
    bool is_ours;               /* layer_tar_write of the listing gives this very tar */
};
void new_layer_release(struct new_layer *n);
DEFINE_AUTO_VALUE(struct new_layer, new_layer_release);
/* Fills the listing's members. */
int new_layer_list(struct store *s, struct listing_builder *b, struct new_layer *n,
                   struct err *err);
/* Blobs, then rows. The result is the store's. */
const struct layer *new_layer_publish(struct store *s, struct new_layer *n, struct err *err);

/* What the index knows of a layer. */
struct layer_row {
    const struct diff_id *id;
    bool found;
    struct content_id content;
    struct blob_id listing;
    uint64_t check, tar_size; /* check: XXH3 of the listing's bytes */
    struct listing_stamp stamp;
};
/* Reads the row of row->id, then its listing. Damage and absence are ERR_NOT_FOUND. */
struct listing *layer_row_load(struct store *s, struct layer_row *row, struct err *err)
    OWNED(listing_free);
/* The listing of the row; one that is lost or damaged is made again from the layer's tar, and the
 * row is then another. */
struct listing *layer_listing_load(struct store *s, struct layer_row *row, struct err *err)
    OWNED(listing_free);

/* Where the bytes of a layer are: its blobs that are here, best to read from first. */
struct layer_blobs {
    struct layer_blob v[16];
    int level[16]; /* that it was packed with on request, else COMPRESSION_LEVEL_DEFAULT */
    size_t n;
};
int layer_blobs_find(struct store *s, const struct diff_id *id, struct layer_blobs *ret,
                     struct err *err);
int layer_blob_note(struct store *s, const struct diff_id *id, const struct layer_blob *b,
                    int level, struct err *err);

/*
 * The tar as it is in one blob: not verified against the diff id, which the
 * reader of it makes up for. layer_blob_distrust: what came out was wrong.
 */
struct source *layer_blob_tar(struct store *s, const struct layer_blob *b, struct err *err)
    OWNED(source_free);
void layer_blob_distrust(struct store *s, const struct diff_id *id, const struct layer_blob *b);
/* layer_tar_source by diff id, from blobs alone (a layer whose listing is lost). */
struct source *layer_tar_from_blobs(struct store *s, const struct diff_id *id, struct err *err)
    OWNED(source_free);

/* Trees. */
bool tree_is_there(struct store *s, const struct diff_id *id);
/* 1: there is one, 0: none; a negative code: not known, so that nothing may be put in its place. */
int tree_find(struct store *s, const struct diff_id *id, struct err *err);
/* ... and its layer's tar can be written again from it: somebody else's tar has bytes of its own.
 */
bool tree_is_enough(struct store *s, const struct diff_id *id);
/* Moves dirfd/name to trees/<hex>; what is there without a row is a leftover. With the claim. */
int tree_place(struct store *s, const struct diff_id *id, int dirfd, const char *name, bool sync,
               struct err *err);
int tree_sync(struct store *s, struct err *err);
/* Removes the tree if it is still the one (its root's state) that was found damaged. Asks for the
 * claim. */
void tree_drop(struct store *s, const struct diff_id *id, const struct stat *bad);
int tree_open(struct store *s, const struct diff_id *id, struct err *err);
/* The tree of a layer whose files are there. Where that fails layer_tree makes it from the blob. */
struct loose;
void tree_from_loose(struct store *s, const struct layer *l, struct loose *files);
/* A file of the tree root, for reading; ERR_NOT_FOUND, or ERR_CORRUPT: it is not as e says. */
int tree_open_file(int root, const struct entry *e, struct err *err);
/* A layer_content_fn over the fd of a tree (arg: int *). */
struct source *tree_content(void *arg, const struct entry *e, struct err *err) OWNED(source_free);

#endif

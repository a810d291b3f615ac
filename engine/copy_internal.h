/* One COPY or ADD under way; shared by step_copy.c and copy_archive.c. */
#ifndef SHALE_ENGINE_COPY_INTERNAL_H
#define SHALE_ENGINE_COPY_INTERNAL_H

#include "engine/build_internal.h"
#include "engine/chmod.h"
#include "engine/files.h"
#include "engine/layer_plan.h"
#include "engine/owner.h"

/* A local archive that ADD unpacks into dest. */
struct copy_archive {
    char *path, *dest; /* in the source view; in the image, resolved */
    const struct layer *layer;
    struct entry entry; /* of the source view; its path is path */
};
void copy_archive_release(struct copy_archive *a);
DEFINE_AUTO_VALUE(struct copy_archive, copy_archive_release);

struct copy {
    struct build_stage *st;
    const struct instr *i;
    char *dest;       /* absolute, cleaned, links not followed */
    bool dest_is_dir; /* was written with a slash at its end */
    struct chmod_spec chmod;
    bool has_owner;
    struct owner owner;
    struct buf unknown; /* names of --chown that the image does not have */
    struct ignore *exclude;
    struct files from; /* where sources are looked for */
    struct layer_plan *plan;
    struct copy_archive *archives; /* to be unpacked when the layer is made */
    size_t n_archives;
    uint64_t spooled; /* bytes of archives' members in the plan's spool */
};
void copy_release(struct copy *c);
DEFINE_AUTO_VALUE(struct copy, copy_release);

/* The failure as the step's own vertex, with its lines. Returns the code. */
int copy_blame(struct copy *c, struct err *err);

/* 1 when the file's bytes are a tar archive, plain or compressed; 0; or a negative code. */
int copy_is_archive(struct copy *c, const struct entry *e, size_t layer, struct err *err);
/*
 * Alone in its instruction, an archive is unpacked when the layer is made, and its digest is in the
 * key. Beside other sources it is unpacked now: later ones go over it, earlier ones below it.
 */
int copy_add_archive(struct copy *c, const struct entry *e, size_t layer, const char *dest,
                     struct err *err);
void copy_archives_key(const struct copy *c, struct key *k);
/* Puts the archives' members into the plan; their bytes go to scratch. */
int copy_unpack_archives(struct copy *c, struct err *err);

/* copy_remote.c: ADD of a URL or a git repository. Whether the source is one, as BuildKit tells. */
bool copy_is_remote(const char *source);
/* Fetches it and puts it into the plan. */
int copy_remote(struct copy *c, const char *source, struct err *err);

#endif

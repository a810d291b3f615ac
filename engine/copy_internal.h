/* One COPY or ADD under way; shared by step_copy.c and the copy_*.c. */
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
    const struct ignore *include; /* --parents: what is taken of the source at hand; else NULL */
    bool is_link;                 /* --link: nothing is below */
    const struct view *below;     /* what the layer is put on; borrowed */
    struct view *nothing;
    struct files from; /* where sources are looked for */
    bool is_remote;    /* from is what was fetched: unpacked only when asked for */
    struct layer_plan *plan;
    struct copy_archive *archives; /* to be unpacked when the layer is made */
    size_t n_archives;
    uint64_t spooled;  /* bytes of archives' members in the plan's spool */
    int failed_vertex; /* of what could not be fetched; 0: none */
};
void copy_release(struct copy *c);
DEFINE_AUTO_VALUE(struct copy, copy_release);

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

/* step_copy.c: the destination with its links followed, in the image. NULL: err. */
char *copy_resolve_dest(struct copy *c, struct err *err) OWNED(mem_free);
/* The directory that will have what is copied; made when there is something to copy. */
int copy_make_dest_dir(struct copy *c, struct err *err);

/*
 * Whether a source of the main context is a path for certain and is not there: that is said before
 * anything runs, as BuildKit does. Looks at the directory alone, so that what changes later is no
 * matter.
 */
bool copy_lacks_source(const struct build_stage *st, const struct instr *i);
/* copy_match.c: as from the root, cleaned, without the slash. */
char *copy_clean(const char *path) OWNED(mem_free) NONNULL;
/* The path of a context that a source will be looked for in. */
void copy_want(const struct instr *i, const char *source, struct strv *wants);
/* A source as it is written: a path, a pattern, or with --parents one of both. */
int copy_source(struct copy *c, const char *source, struct err *err);
/* All that a pattern (a clean path) means, each by copy_path. */
int copy_matches(struct copy *c, const char *pattern, struct err *err);
/* One path of from's view, links in it followed, to the destination. */
int copy_path(struct copy *c, const char *path, struct err *err);

/*
 * copy_parents.c. "a/./b": the pivot "/a", whose part of the path is left out, and the pattern "b".
 * Without "/./" the pivot is "/". Both clean.
 */
void copy_split_pivot(const char *source, char **ret_pivot, char **ret_pattern);
int copy_parents(struct copy *c, const char *source, struct err *err);

/* copy_tree.c: a directory's contents, or a file, into the plan. dest is resolved. */
int copy_dir(struct copy *c, const char *top, const char *dest, struct err *err);
int copy_file(struct copy *c, const char *as_written, const struct entry *e, size_t layer,
              const char *dest, struct err *err);
/* --chmod and --chown. */
void copy_set_metadata(const struct copy *c, struct entry *e);
/* Of all xattrs Docker's layers have security.capability alone. */
void copy_drop_xattrs(struct entry *e);
/* Go's filepath.Base of the source as written. */
const char *copy_base(const char *path);
/* Paths without a leading slash, dir may be the root (""): rel in dir. */
char *copy_below(const char *dir, const char *rel) OWNED(mem_free) NONNULL;
/* Where a file of that name goes: into the directory at dest, or it becomes dest. */
char *copy_place(const struct copy *c, const char *dest, const char *name) OWNED(mem_free) NONNULL;

/* copy_remote.c: ADD of a URL or a git repository. Whether the source is one, as BuildKit tells. */
bool copy_is_remote(const char *source);
/* What can be told wrong about remote sources and --checksum before anything is fetched. */
int copy_check_remote(const struct instr *i, struct err *err);
/* Fetches it and puts it into the plan. */
int copy_remote(struct copy *c, const char *source, struct err *err);

#endif

/*
 * A layer in the making, on metadata alone: entries that a COPY, ADD or
 * WORKDIR will put on top of a view, each with the place its bytes come from.
 * Nothing is read but listings until plan_make.
 *
 * Directories on the way to an entry stand in the layer too, as overlayfs
 * would copy them up: with the view's metadata when they exist, else 0755 and
 * the plan's owner. What the view has already, times aside, is not in the
 * layer, as BuildKit's differ leaves it out. One thread.
 */
#ifndef SHALE_ENGINE_LAYER_PLAN_H
#define SHALE_ENGINE_LAYER_PLAN_H

#include "cache/context.h"
#include "cache/key.h"
#include "image/view.h"
#include "store/layer.h"

/* Where an entry comes from. */
struct origin {
    /* where a file's bytes are; NONE: it is no file */
    enum { ORIGIN_NONE, ORIGIN_CONTEXT, ORIGIN_LAYER, ORIGIN_BYTES, ORIGIN_SPOOL } kind;
    const char *path;              /* in the context or layer; the plan copies it */
    const struct context *context; /* ORIGIN_CONTEXT; borrowed */
    const struct layer *layer;     /* ORIGIN_LAYER */
    struct buf bytes;
    uint64_t offset, size; /* in the plan's spool */
};

struct layer_plan;
void plan_free(struct layer_plan *p);
DEFINE_AUTO(struct layer_plan, plan_free);
/* below and s are borrowed. dir_mtime: of directories that are created; < 0:
 * their parent's. */
struct layer_plan *plan_new(struct store *s, const struct view *below, uint32_t uid, uint32_t gid,
                            int64_t dir_mtime) OWNED(plan_free);

/*
 * How directories are made from now on (before: 0755). owned: uid and gid are kept even where the
 * directory above would hand down its group (set-group-ID), as after a chown.
 */
void plan_new_dirs(struct layer_plan *p, uint16_t mode, bool owned);

/* Whose new directories are from now on (before: plan_new's uid and gid). */
void plan_new_owner(struct layer_plan *p, uint32_t uid, uint32_t gid);

/* What is at path once the plan is carried out; false: nothing. No link is followed. */
bool plan_find(const struct layer_plan *p, const char *path, struct entry *ret);
/* The directory and those above it; existing ones are repeated. ERR_USAGE when something else is in
 * the way. */
int plan_dir(struct layer_plan *p, const char *path, struct err *err);
/*
 * Puts e (its path is the place in the layer) there; o is taken over. A directory over a directory
 * takes e's metadata; a file over a directory, or the reverse, is refused as BuildKit refuses it.
 */
int plan_put(struct layer_plan *p, const struct entry *e, struct origin *o, struct err *err);
/*
 * The same as an archive is unpacked: what is in the way goes with all that is below it, only a
 * directory over a directory keeps it.
 */
int plan_replace(struct layer_plan *p, const struct entry *e, struct origin *o, struct err *err);
/*
 * path becomes another name of the file that is planned at target (or a copy of what is no file).
 * replace: as plan_replace, else as plan_put. ERR_NOT_FOUND: nothing is planned there. When one of
 * the names is put anew, the others stay what they were.
 */
int plan_link(struct layer_plan *p, const char *path, const char *target, bool replace,
              struct err *err);
/* The planned file at path gets e's mode, owner and time, under all its names. */
void plan_touch(struct layer_plan *p, const char *path, const struct entry *e);
/* A file for the spool: fd is unnamed scratch, made at first use. */
int plan_spool(struct layer_plan *p, int workfd, struct err *err);

/* Identity of the planned content. */
int plan_content_id(struct layer_plan *p, struct content_id *ret, struct err *err);
/* What it leaves out besides times, a field each: which planned names will be one file. */
void plan_key_links(struct layer_plan *p, struct key *k);
/* The identity with links and times in it: two layers of one such identity are equal in every
 * respect. */
int plan_whole_id(struct layer_plan *p, struct digest *ret, struct err *err);
/*
 * The listing that the layer will have. Small files that planning reads (/etc/passwd) are read for
 * it; nothing else is.
 */
struct listing *plan_listing(struct layer_plan *p, struct err *err) OWNED(listing_free);
/* Where what is planned at path comes from (of kind ORIGIN_NONE: it has no bytes); NULL: nothing is
 * planned there. Borrowed until the plan changes. */
const struct origin *plan_origin(const struct layer_plan *p, const char *path);
/* Whether any planned entry has an origin that is so. */
typedef bool (*plan_origin_fn)(void *arg, const struct origin *o);
bool plan_any_origin(const struct layer_plan *p, plan_origin_fn is, void *arg);
/*
 * What is the same in before keeps the time that it has there (keep_times.h says what that is).
 * before is borrowed until the layer is made.
 */
void plan_keep_times(struct layer_plan *p, const struct listing *before);
/* Each planned entry, in the order in which they came, also what is below already. */
typedef void (*plan_each_fn)(void *arg, const char *path, const struct origin *o);
void plan_each(const struct layer_plan *p, plan_each_fn fn, void *arg);
/* Reads the bytes and makes the layer. */
const struct layer *plan_make(struct layer_plan *p, struct err *err);

#endif

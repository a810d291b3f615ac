/* What layer_plan.c (what is planned) and layer_plan_make.c (what comes of it) share. */
#ifndef SHALE_ENGINE_LAYER_PLAN_INTERNAL_H
#define SHALE_ENGINE_LAYER_PLAN_INTERNAL_H

#include "base/map.h"
#include "engine/layer_plan.h"

/* What the names of one file have in common, once it was set for all of them. */
struct group {
    bool is_set;
    uint16_t mode;
    uint32_t uid, gid;
    int64_t mtime;
    bool changes, is_seen; /* whether what is below is the same file under the same names */
    size_t layer;          /* of what is below */
    const char *first;
};

struct layer_plan {
    struct store *store;
    const struct view *below;
    bool reads_context; /* a file of it can change under our hands */
    uint32_t uid, gid;
    int64_t dir_mtime;
    uint16_t dir_mode;
    bool owned; /* new directories do not inherit a group */
    bool hides; /* something planned takes away what was below it */
    struct group *groups;
    size_t n_groups, cap_groups;
    struct map *planned; /* path -> struct planned */
    int spool_fd;
    struct content *content;
};

/* An entry with strings of its own. */
struct planned {
    struct entry e;
    char *path, *target;
    size_t group;         /* names of one file share it, from 1; 0: it has this name only */
    struct strv children; /* paths once planned straight below it; some may be gone */
    struct entry_xattr *xattrs;
    struct origin origin;
    bool changes; /* it, or something in it, is not below just so */
};

/* Whether something planned above path takes away what the view has there. */
bool plan_hides(const struct layer_plan *p, const char *path);
/* As it will be in the layer; its strings are x's. */
struct entry plan_entry_of(const struct layer_plan *p, const struct planned *x);

#endif

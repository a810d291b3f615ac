/* What layer_plan.c (what is planned) and layer_plan_make.c (what comes of it) share. */
#ifndef SHALE_ENGINE_LAYER_PLAN_INTERNAL_H
#define SHALE_ENGINE_LAYER_PLAN_INTERNAL_H

#include "base/arena.h"
#include "engine/layer_plan.h"
#include <sys/queue.h>

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

struct planned;

/* What is planned, by path and in the order in which it came. */
struct plan_table {
    struct planned **slots;
    size_t n_slots, n_used; /* a power of two; those that are gone count as used */
    uint64_t seed;
    TAILQ_HEAD(plan_order, planned) order;
    size_t n; /* in order */
};

struct layer_plan {
    struct store *store;
    const struct view *below;
    bool has_bytes;     /* of origins */
    bool reads_context; /* a file of it can change under our hands */
    uint32_t uid, gid;
    int64_t dir_mtime;
    const struct listing *before; /* plan_keep_times; NULL: times are as they were planned */
    uint16_t dir_mode;
    bool owned; /* new directories do not inherit a group */
    bool hides; /* something planned takes away what was below it */
    struct group *groups;
    size_t n_groups, cap_groups;
    struct arena arena; /* all that is planned, with its strings */
    struct plan_table table;
    struct planned *last_dir; /* the parent of what was put last */
    int spool_fd;
    struct content *content;
};

/* An entry with strings of its own. It stays for its path until the plan goes. */
struct planned {
    struct entry e;
    uint64_t hash;
    size_t path_len;
    TAILQ_ENTRY(planned) order;
    struct planned *above; /* the directory that it is in; NULL: the root */
    struct planned *children, *next_child;
    size_t group; /* names of one file share it, from 1; 0: it has this name only */
    struct origin origin;
    bool gone;     /* taken back: not in the plan now */
    bool is_child; /* of above's children */
    bool bare;     /* the view has nothing under this path, nor below it */
    bool changes;  /* it, or something in it, is not below just so */
};

/* layer_plan_table.c. find: n bytes of path; NULL: not planned (any more). */
void plan_table_init(struct plan_table *t);
void plan_table_release(struct plan_table *t);
struct planned *plan_table_find(const struct plan_table *t, const char *path, size_t n);
/* What is there, or a new one, cleared but for its path. *ret_new: it was not in the plan. */
struct planned *plan_table_make(struct plan_table *t, struct arena *a, const char *path,
                                bool *ret_new);
void plan_table_drop(struct plan_table *t, struct planned *x);

void origin_release(struct origin *o);
/* Whether something planned above path takes away what the view has there. */
bool plan_hides(const struct layer_plan *p, const char *path);
/* As it will be in the layer; its strings are x's. */
struct entry plan_entry_of(const struct layer_plan *p, const struct planned *x);

/* keep_times.c: times of what changes, once it is marked. */
void plan_take_times(struct layer_plan *p);

#endif

/* What context_places.c (notes of the walk) and context_needs.c (what comes of them) share. */
#ifndef SHALE_ENGINE_CONTEXT_PLACES_INTERNAL_H
#define SHALE_ENGINE_CONTEXT_PLACES_INTERNAL_H

#include "base/map.h"
#include "engine/context_places.h"

/* An entry of the context, by its path there. */
struct used {
    bool needed;
};

/* Where it went: a path of a layer, or of what a mount shows. */
struct place {
    struct place *next; /* of the same holder and path */
    const void *holder;
    const char *path;
    struct used *used;
};

/* What a RUN stands on. */
struct holder {
    const void *is;            /* a layer; the run's mounts for files of the context */
    const struct layer *layer; /* NULL: the latter */
    bool is_soft;              /* it is observed, when the command is */
    bool is_whole;             /* it counts whole, whatever was looked at */
};

struct run_note {
    const struct step_report *report;
    struct holder *holders;
    size_t n, cap;
};

struct context_places {
    pthread_mutex_t lock;
    struct map *used;    /* path of the context -> struct used */
    struct map *by_path; /* "HOLDER:PATH" -> the first struct place */
    struct place **places;
    struct run_note **runs;
    size_t n_places, cap_places, n_runs, cap_runs;
    bool follows_links; /* a source was found by way of a link */
};

/* Of a path of the context; made at first use. */
struct used *context_used(struct context_places *p, const char *path) NONNULL;
/* The path is needed, and the directories that it is in. */
void context_need(struct context_places *p, const char *path);
/* What goes to a path of that holder. */
void context_place(struct context_places *p, const void *holder, const char *path,
                   struct used *used);
void context_stands_on(struct run_note *r, const struct holder *h);
/* context_needs.c: what the command looked at is needed, by its trace; without one, all that it
 * stands on, and it is named in ret->unobserved. */
void context_need_looked_at(struct context_places *p, struct store *s, struct run_note *r,
                            struct unused *ret);

#endif

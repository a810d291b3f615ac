/* When a dry walk is over: which files of the context the build needs, and which it does not. */
#include "engine/context_places_internal.h"

#include "base/fs.h"
#include "cache/question_blobs.h"
#include "engine/contexts.h"
#include "store/blob.h"
#include "store/trace.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define LAYERS_BYTES_MAX (1u << 20)

/* What a RUN was seen to look at. */
struct looks {
    struct questions *questions;
    struct buf layers; /* ids of the listings of the layers that were observed then */
};

static void looks_release(struct looks *l)
{
    questions_free(l->questions);
    buf_release(&l->layers);
}
DEFINE_AUTO_VALUE(struct looks, looks_release);

static int load_looks(struct store *s, const struct step_report *r, struct looks *ret,
                      struct err *err)
{
    struct trace t;
    struct err none = ERR_INIT;
    if (trace_of_key(s, &r->key, &t, err) < 0)
        return err->code;
    ret->questions = questions_load(s, &t.questions, err);
    if (ret->questions == NULL)
        return err->code;
    if (!digest_is_zero(&t.layers.d))
        blob_read(s, &t.layers, LAYERS_BYTES_MAX, &ret->layers, &none);
    return 0;
}

static bool was_observed(const struct looks *l, const struct blob_id *listing)
{
    size_t size = sizeof(*listing);
    for (size_t at = 0; at + size <= l->layers.len; at += size)
        if (memcmp(l->layers.data + at, listing, size) == 0)
            return true;
    return false;
}

/* Layers that may have been observed, but of which that is not known for each, count whole. */
static void decide_holders(struct run_note *r, const struct looks *l)
{
    size_t n = 0;
    for (size_t i = 0; i < r->n; i++)
        n += r->holders[i].is_soft;
    bool all = n == questions_segments(l->questions);
    for (size_t i = 0; i < r->n; i++) {
        struct holder *h = &r->holders[i];
        bool observed = h->is_soft && all;
        if (!observed && h->layer != NULL)
            observed = was_observed(l, &h->layer->listing_id);
        h->is_whole = h->is_whole || !observed;
    }
}

static bool is_asked(const struct questions *q, size_t segment, const char *path, unsigned kinds)
{
    struct question x;
    return questions_find(q, segment, path, &x) && (x.kinds & kinds) != 0;
}

/*
 * Whether the command would see that the path of a layer has gone: names that were not found are
 * not found then either. Segments are not told apart: what was asked of one layer counts for all.
 */
static bool was_looked_at(const struct looks *l, const char *path)
{
    const char *slash = strrchr(path, '/');
    AUTO(mem_free) char *dir = str_ndup(path, slash != NULL ? (size_t)(slash - path) : 0);
    bool found = false;
    for (size_t s = 0; s < questions_segments(l->questions) && !found; s++)
        found = is_asked(l->questions, s, "", QUESTION_WHOLE) ||
                is_asked(l->questions, s, path, ~(unsigned)QUESTION_NEG) ||
                is_asked(l->questions, s, dir, QUESTION_LIST);
    return found;
}

/* Whether the place is there for the command to look at; *ret_whole: and counts whole. */
static bool is_held(const struct run_note *r, const struct place *x, bool *ret_whole)
{
    bool held = false;
    *ret_whole = false;
    for (size_t i = 0; i < r->n; i++) {
        bool here = r->holders[i].is == x->holder;
        held = held || here;
        *ret_whole = *ret_whole || (here && r->holders[i].is_whole);
    }
    return held;
}

static bool stands_on_files(const struct context_places *p, const struct run_note *r)
{
    bool whole;
    for (size_t i = 0; i < p->n_places; i++)
        if (is_held(r, p->places[i], &whole))
            return true;
    return false;
}

void context_need_looked_at(struct context_places *p, struct store *s, struct run_note *r,
                            struct unused *ret)
{
    AUTO(looks_release) struct looks l = { .questions = NULL };
    struct err unknown = ERR_INIT;
    if (!stands_on_files(p, r))
        return;
    bool known = load_looks(s, r->report, &l, &unknown) == 0;
    if (known)
        decide_holders(r, &l);
    for (size_t i = 0; i < p->n_places; i++) {
        struct place *x = p->places[i];
        bool whole, held = !x->used->needed && is_held(r, x, &whole);
        if (held && (!known || whole || was_looked_at(&l, x->path)))
            x->used->needed = true;
    }
    if (known)
        return;
    AUTO(buf_release) struct buf place = BUF_INIT;
    step_report_place(r->report, &place);
    strv_add(&ret->unobserved, buf_str(&place));
}

static void need_image(struct context_places *p, const struct state *s)
{
    for (size_t i = 0; i < p->n_places; i++)
        for (size_t k = 0; k < s->n_layers; k++)
            if (p->places[i]->holder == s->layers[k])
                p->places[i]->used->needed = true;
}

/* A file of several names is one file: no name of it goes alone. So it is with links, as soon as
 * one of them leads to a source. */
static void need_links(struct context_places *p, const struct listing *l)
{
    struct entry e;
    for (size_t i = 0; i < listing_len(l); i++) {
        listing_at(l, i, &e);
        if (e.type == ENTRY_LINK && p->follows_links)
            context_need(p, e.path);
        if (e.type == ENTRY_FILE && e.hardlink != NULL) {
            context_used(p, e.path)->needed = true;
            context_used(p, e.hardlink)->needed = true;
        }
    }
}

/* The Dockerfile and the rules themselves are never proposed. */
static void need_own_files(struct context_places *p, const struct build *b)
{
    static const char *const names[] = { "Dockerfile", "dockerfile", ".dockerignore",
                                         "Dockerfile.dockerignore", "dockerfile.dockerignore" };
    char root[PATH_MAX], file[PATH_MAX];
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        context_need(p, names[i]);
    if (b->o->dockerfile == NULL || realpath(b->o->context, root) == NULL ||
        realpath(b->o->dockerfile, file) == NULL || !path_is_below(file, root))
        return;
    const char *rel = file + strlen(root) + (str_eq(root, "/") ? 0 : 1);
    AUTO(mem_free) char *rules = str_printf("%s.dockerignore", rel);
    context_need(p, rel);
    context_need(p, rules);
}

/* Answers. */

/* Everything has to be known, as nothing can be said about what a step will look at. */
static int check_built(const struct build *b, struct err *err)
{
    for (size_t i = 0; i < b->n_stages; i++)
        for (size_t k = 0; k < b->stages[i].report.n; k++) {
            const struct step_report *r = b->stages[i].report.v[k];
            AUTO(buf_release) struct buf place = BUF_INIT;
            if (r->answer == STEP_CACHED)
                continue;
            step_report_place(r, &place);
            return err_set(err, ERR_NOT_FOUND,
                           "%s %s has not been built with the files as they are: build it first, "
                           "with the same options",
                           buf_str(&place), r->text);
        }
    return 0;
}

/* A named context that is the same directory has the same rules, and its files are not noted. */
static int check_contexts(const struct build *b, struct err *err)
{
    char root[PATH_MAX], other[PATH_MAX];
    for (size_t i = 0; i < b->o->contexts.n; i++) {
        const char *value = strchr(b->o->contexts.v[i], '=');
        if (value != NULL && realpath(value + 1, other) != NULL &&
            realpath(b->o->context, root) != NULL && str_eq(root, other))
            return err_set(
                err, ERR_UNSUPPORTED,
                "--build-context %s is the context itself: which of its files are needed "
                "is not known",
                b->o->contexts.v[i]);
    }
    return 0;
}

static bool takes_files(const struct build_stage *st)
{
    for (size_t k = 0; k < st->def->n_instrs; k++) {
        const struct instr *i = st->def->instrs[k];
        bool is_copy = i->kind == INSTR_COPY || i->kind == INSTR_ADD;
        if (is_copy && (i->copy.from == NULL || *i->copy.from == '\0') && i->copy.sources.n > 0)
            return true;
        if (i->kind == INSTR_RUN && i->run.mount_specs.n > 0)
            return true;
    }
    return false;
}

/* A stage of the Dockerfile, for whichever platform. */
static bool is_needed(const struct build *b, size_t number)
{
    bool needed = false;
    for (size_t i = 0; i < b->n_targets; i++)
        needed = needed || b->stages[b->targets[i].first + number].needed;
    return needed;
}

static void note_others(const struct build *b, struct unused *ret)
{
    for (size_t i = 0; i < b->df->n_stages; i++) {
        const struct build_stage *st = &b->stages[i];
        if (!is_needed(b, i) && takes_files(st))
            strv_add(&ret->others, st->def->name != NULL ? st->def->name : st->shown);
    }
}

static void count(const struct listing *l, size_t i, uint64_t *files, uint64_t *bytes)
{
    struct entry e;
    listing_at(l, i, &e);
    *files += e.type != ENTRY_DIR;
    *bytes += e.type == ENTRY_FILE ? e.size : 0;
}

/* Of each entry the directory that it is in; itself: none. */
static size_t *parents_of(const struct listing *l)
{
    size_t n = listing_len(l), depth = 0;
    size_t *parents = mem_calloc(n + 1, sizeof(*parents));
    AUTO(mem_free) size_t *open = mem_calloc(n + 1, sizeof(*open));
    struct entry e, dir;
    for (size_t i = 0; i < n; i++) {
        listing_at(l, i, &e);
        for (; depth > 0; depth--) {
            listing_at(l, open[depth - 1], &dir);
            if (path_is_below(e.path, dir.path))
                break;
        }
        parents[i] = depth > 0 ? open[depth - 1] : i;
        if (e.type == ENTRY_DIR)
            open[depth++] = i;
    }
    return parents;
}

void unused_fold(const struct listing *l, const bool *needed, struct strv *ret_paths,
                 uint64_t *ret_files, uint64_t *ret_bytes)
{
    size_t n = listing_len(l);
    AUTO(mem_free) size_t *parents = parents_of(l);
    AUTO(mem_free) bool *keeps = mem_calloc(n + 1, sizeof(*keeps)); /* it, or something in it */
    struct entry e;
    *ret_files = *ret_bytes = 0;
    for (size_t i = n; i-- > 0;) {
        listing_at(l, i, &e);
        keeps[i] = keeps[i] || needed[i] || *e.path == '\0';
        keeps[parents[i]] = keeps[parents[i]] || keeps[i];
    }
    for (size_t i = 0; i < n; i++) {
        if (keeps[i])
            continue;
        listing_at(l, i, &e);
        count(l, i, ret_files, ret_bytes);
        if (parents[i] == i || keeps[parents[i]])
            strv_addf(ret_paths, "%s%s", e.path, e.type == ENTRY_DIR ? "/" : "");
    }
}

static int list_unneeded(struct context_places *p, struct build *b, struct context *dir,
                         struct unused *ret, struct strv *ret_paths, struct err *err)
{
    AUTO(strv_release) struct strv none = STRV_INIT;
    const struct listing *l;
    if (contexts_scan(b, dir, &none, &l, err) < 0)
        return err->code;
    need_links(p, l);
    need_own_files(p, b);
    AUTO(mem_free) bool *needed = mem_calloc(listing_len(l) + 1, sizeof(*needed));
    for (size_t i = 0; i < listing_len(l); i++) {
        struct entry e;
        listing_at(l, i, &e);
        const struct used *u = map_get(p->used, e.path);
        needed[i] = u != NULL && u->needed;
        count(l, i, &ret->all_files, &ret->all_bytes);
    }
    unused_fold(l, needed, ret_paths, &ret->files, &ret->bytes);
    return 0;
}

int context_places_end(struct context_places *p, struct build *b, struct unused *ret,
                       struct strv *ret_paths, struct err *err)
{
    const struct build_context *c;
    const struct used *rules;
    if (contexts_find(b, NULL, NULL, &c, err) < 0)
        return err->code;
    if (c->kind != CONTEXT_DIR)
        return err_set(err, ERR_UNSUPPORTED,
                       "the context is no directory of this machine, and has no ignore file");
    if (check_contexts(b, err) < 0 || check_built(b, err) < 0)
        return err->code;
    for (size_t i = 0; i < b->n_targets; i++)
        need_image(p, &build_target_stage(b, i)->state);
    for (size_t i = 0; i < p->n_runs; i++)
        context_need_looked_at(p, b->store, p->runs[i], ret);
    note_others(b, ret);
    rules = map_get(p->used, ".dockerignore");
    ret->copies_rules = rules != NULL && rules->needed;
    return list_unneeded(p, b, c->dir, ret, ret_paths, err);
}

#include "engine/skip_docs.h"

#include "base/fs.h"
#include "engine/engine_internal.h"

#define TOLD_MAX 3 /* changes that one line names */

static void trial_release(struct docs_trial *t)
{
    ignore_free(t->patterns);
    map_free(t->told);
    for (size_t i = 0; i < t->n_layers; i++) {
        mem_free(t->layers[i].dest);
        strv_release(&t->layers[i].paths);
        strv_release(&t->layers[i].moved);
    }
    mem_free(t->layers);
    mem_free(t->handed_on);
}
DEFINE_AUTO_VALUE(struct docs_trial, trial_release);

/* dest is taken over. */
static void note_left_out(struct step *s, const struct layer *l, char *dest,
                          const struct file_changes *c)
{
    struct docs_trial *t = s->st->b->docs;
    pthread_mutex_lock(&s->st->b->lock);
    MEM_ROOM(t->layers, t->n_layers, t->cap_layers);
    struct docs_layer *x = &t->layers[t->n_layers++];
    *x = (struct docs_layer){ .layer = l, .dest = dest };
    for (size_t i = 0; i < c->n; i++) {
        strv_add(&x->paths, c->v[i].path);
        if (c->v[i].kind == FILE_NEW || c->v[i].kind == FILE_GONE || c->v[i].kind == FILE_TYPE)
            strv_add(&x->moved, c->v[i].path);
        if (file_change_is_implied(c, i))
            continue;
        AUTO(mem_free) char *path = s->ops->shown_path(s, c->v[i].path);
        AUTO(buf_release) struct buf text = BUF_INIT;
        if (path == NULL)
            path = str_printf("/%s", c->v[i].path);
        file_change_text(&c->v[i], path, &text);
        map_set(t->told, buf_str(&text), t);
    }
    pthread_mutex_unlock(&s->st->b->lock);
}

/* "a changed; new file b; and 3 more" */
static char *told_text(const struct docs_trial *t)
{
    AUTO(buf_release) struct buf b = BUF_INIT;
    const char *text;
    void *ignored;
    size_t n = 0;
    for (size_t i = 0; map_next(t->told, &i, &text, &ignored); n++)
        if (n < TOLD_MAX)
            buf_addf(&b, "%s%s", n > 0 ? "; " : "", text);
    if (n > TOLD_MAX)
        buf_addf(&b, "; and %zu more", n - TOLD_MAX);
    return buf_take(&b);
}

/* Which names are one file is in the key beside the content. */
static bool same_links(const struct listing *a, const struct listing *b)
{
    struct entry x, y;
    size_t i = 0, k = 0;
    for (;;) {
        bool more = listing_next_hardlink(a, &i, &x);
        if (listing_next_hardlink(b, &k, &y) != more)
            return false;
        if (!more)
            return true;
        if (!str_eq(x.path, y.path) || !str_eq(x.hardlink, y.hardlink))
            return false;
    }
}

bool docs_answer(struct step *s, struct answer *ret)
{
    struct build *b = s->st->b;
    struct step_report *r = s->report;
    struct err miss = ERR_INIT;
    struct answer a;
    char *dest = NULL;
    if (s->ops == NULL || s->ops->is_docs == NULL || !r->has_before || !r->is_same ||
        digest_eq(&r->before.d, &r->key.d) || answer_find(b->store, &r->before, &a, &miss) < 0 ||
        a.layer == NULL)
        return false;
    AUTO(listing_free) struct listing *now = s->ops->foresee(s, &miss);
    AUTO(file_changes_release) struct file_changes c = { .v = NULL };
    if (now == NULL || !same_links(a.layer->listing, now))
        return false;
    file_changes_find(a.layer->listing, now, &c);
    if (c.n == 0 || !s->ops->is_docs(s, &c, &dest))
        return false;
    note_left_out(s, a.layer, dest, &c);
    r->key = r->before; /* the files that the image has are those of this key */
    build_used_key(b, &r->key);
    *ret = a;
    return true;
}

static bool is_at_or_below(const char *path, const char *dir)
{
    return str_eq(path, dir) || path_is_below(path, dir);
}

/* 1: all of what the COPY brought is taken, documentation along with it; -1: some of it is picked
 * out; 0: it has nothing to do with it. */
static int how_taken(const struct docs_layer *x, const char *path, bool is_pick)
{
    if (!is_pick && is_at_or_below(x->dest, path))
        return 1;
    for (size_t i = 0; i < x->paths.n; i++)
        if (is_at_or_below(x->paths.v[i], path) || path_is_below(path, x->paths.v[i]))
            return -1;
    return 0;
}

static bool is_handed_on(const struct docs_trial *t, const struct layer *l)
{
    for (size_t i = 0; i < t->n_handed_on; i++)
        if (t->handed_on[i] == l)
            return true;
    return false;
}

static bool look_at_layer(struct docs_trial *t, const struct layer *l, const char *path,
                          bool is_pick)
{
    bool whole = false;
    t->gave_up = t->gave_up || is_handed_on(t, l);
    for (size_t i = 0; i < t->n_layers; i++) {
        int how = l == t->layers[i].layer ? how_taken(&t->layers[i], path, is_pick) : 0;
        t->gave_up = t->gave_up || how < 0;
        whole = whole || how > 0;
    }
    return whole;
}

bool docs_check_taken(struct build *b, const struct layer *const *layers, size_t n,
                      const char *path, bool is_pick)
{
    bool whole = false;
    if (b->docs == NULL)
        return false;
    pthread_mutex_lock(&b->lock);
    for (size_t k = 0; k < n; k++)
        whole |= look_at_layer(b->docs, layers[k], path, is_pick);
    pthread_mutex_unlock(&b->lock);
    return whole;
}

void docs_hand_on(struct build *b, const struct layer *l)
{
    struct docs_trial *t = b->docs;
    pthread_mutex_lock(&b->lock);
    MEM_ROOM(t->handed_on, t->n_handed_on, t->cap_handed_on);
    t->handed_on[t->n_handed_on++] = l;
    pthread_mutex_unlock(&b->lock);
}

void docs_check_run(struct step *s)
{
    struct docs_trial *t = s->st->b->docs;
    if (t == NULL || s->ops == NULL || s->ops->looked_at == NULL)
        return;
    pthread_mutex_lock(&s->st->b->lock);
    for (size_t i = 0; i < t->n_layers && !t->gave_up; i++) {
        const struct docs_layer *x = &t->layers[i];
        t->gave_up = s->ops->looked_at(s, x->layer, &x->paths, false) ||
                     s->ops->looked_at(s, x->layer, &x->moved, true);
    }
    pthread_mutex_unlock(&s->st->b->lock);
}

/* What says when and from which commit an image was built is of the build that made it. */
static void keep_labels(const struct build *b, const struct image_config *good, struct strv *ret)
{
    static const char *const of_the_build[] = { "org.opencontainers.image.created",
                                                "org.opencontainers.image.revision" };
    strv_copy(ret, &b->o->labels);
    for (size_t i = 0; i < ARRAY_LEN(of_the_build); i++) {
        const char *value = map_get(good->labels, of_the_build[i]);
        if (value != NULL && env_get(ret, of_the_build[i]) != NULL)
            env_set(ret, of_the_build[i], value);
    }
}

static bool is_last_image(struct build *b)
{
    struct build_target *t = &b->targets[0];
    const struct blob_id *last = &b->before.row.image;
    AUTO(image_config_release) struct image_config good = { .labels = NULL };
    AUTO(strv_release) struct strv labels = STRV_INIT;
    struct err gone = ERR_INIT;
    if (tag_config(b->store, last, &good, &gone) < 0)
        return false;
    keep_labels(b, &good, &labels);
    build_assemble_text(b, t, &labels, NULL);
    return digest_eq(&t->config_id.d, &last->d);
}

static bool try_stages(struct build *b)
{
    struct err ignored = ERR_INIT; /* what is wrong is said when it is built */
    return build_run_stages(b, &ignored) == 0 && build_all_known(b) && !b->docs->gave_up &&
           b->docs->n_layers > 0 && is_last_image(b);
}

/* Whether there is a build that this one can be compared with: of the same ignore file too. Of
 * several platforms one image alone is remembered, which says nothing of the others. */
static bool has_last(const struct build *b)
{
    return b->n_targets == 1 && b->before.is_there &&
           digest_eq(&b->before.steps.rules, &b->rules) && !b->o->no_cache &&
           b->o->no_cache_filter.n == 0;
}

int skip_docs_try(struct build *b, bool *ret_skipped, struct err *err)
{
    AUTO(trial_release) struct docs_trial trial = { .told = map_new(NULL) };
    bool was_dry = b->is_dry;
    *ret_skipped = false;
    if (b->epoch >= 0) /* layers are told apart by what they are, and all have twins */
        return 0;
    before_load(b, true);
    if (!has_last(b))
        return 0;
    trial.patterns = ignore_new(&b->o->docs, err);
    if (trial.patterns == NULL)
        return err_wrap(err, "documentation patterns");
    b->is_dry = true;
    b->docs = &trial;
    *ret_skipped = try_stages(b);
    b->docs = NULL;
    b->is_dry = was_dry;
    if (!*ret_skipped)
        return build_reset_stages(b, err);
    b->result->docs_skipped = told_text(&trial);
    return 0;
}

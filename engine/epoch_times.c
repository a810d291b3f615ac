/*
 * With SOURCE_DATE_EPOCH the times of a step's layer are what they would be on any machine at any
 * time. Keys and records know nothing of it: the layer that was made, or is known, gets a twin with
 * other times, which the next steps and the image have instead. The twin is named by its whole
 * listing, so that the next build finds it.
 */
#include "engine/build_internal.h"

#include "base/clock.h"
#include "cache/answer.h"
#include "cache/key.h"

#define SLACK_S 2 /* file systems' clocks go in steps, and lag */

struct twin {
    struct build *b;
    const struct layer *of;
    struct listing_builder *list;
    struct content *content;
    bool differs;
};

static void twin_release(struct twin *t)
{
    listing_builder_free(t->list);
    content_free(t->content);
}
DEFINE_AUTO_VALUE(struct twin, twin_release);

static bool takes_epoch(const struct entry *e, const struct epoch_rule *rule, int64_t epoch)
{
    if (e->type == ENTRY_WHITEOUT)
        return false;
    return rule->all || (rule->dirs && e->type == ENTRY_DIR) || e->mtime > epoch ||
           (e->mtime == epoch && e->mtime_ns > 0) ||
           (rule->since_s > 0 && e->mtime >= rule->since_s - SLACK_S);
}

static void take_time(struct twin *t, struct entry *e, int64_t s, uint32_t ns)
{
    t->differs = t->differs || e->mtime != s || e->mtime_ns != ns;
    e->mtime = s;
    e->mtime_ns = ns;
}

static int list_entries(struct twin *t, const struct epoch_rule *rule, struct err *err)
{
    const struct listing *l = t->of->listing;
    int64_t epoch = t->b->epoch;
    for (size_t i = 0; i < listing_len(l); i++) {
        struct entry e, planned;
        listing_at(l, i, &e);
        if (rule->planned != NULL && listing_find(rule->planned, e.path, &planned))
            take_time(t, &e, planned.mtime, planned.mtime_ns);
        if (takes_epoch(&e, rule, epoch))
            take_time(t, &e, epoch, 0);
        if (listing_builder_add(t->list, &e, err) < 0)
            return err->code;
    }
    return 0;
}

static struct source *open_file(void *arg, const struct entry *e, struct err *err)
{
    struct twin *t = arg;
    struct entry original;
    if (!listing_find(t->of->listing, e->path, &original)) {
        err_set(err, ERR_CORRUPT, "file '%s' is gone from its layer", e->path);
        return NULL;
    }
    return content_open(t->content, t->of, &original, err);
}

static const struct layer *make_twin(struct twin *t, struct err *err)
{
    const struct listing *l = t->of->listing;
    t->content = content_new(t->b->store);
    for (size_t i = 0; i < listing_len(l); i++) {
        struct entry e;
        listing_at(l, i, &e);
        if (e.type == ENTRY_FILE && e.hardlink == NULL && e.size > 0)
            content_want(t->content, t->of, &e);
    }
    return layer_make(t->b->store, t->list, open_file, t, err);
}

static int twin_key(struct twin *t, struct cache_key *ret, struct buf *fields, struct err *err)
{
    AUTO(buf_release) struct buf bytes = BUF_INIT;
    struct digest id;
    if (listing_builder_write(t->list, &bytes, NULL, err) < 0)
        return err->code;
    digest_of(bytes.data, bytes.len, &id);
    AUTO(key_free) struct key *k = key_new("times");
    key_digest(k, "listing", &id);
    key_end(k, ret, fields);
    return 0;
}

static int keep_twin(struct twin *t, const struct cache_key *key, const struct layer *l,
                     const struct buf *fields, int64_t cost_ms, struct err *err)
{
    struct buf nothing = BUF_INIT;
    struct record r = { .key = *key,
                        .has_layer = true,
                        .layer = l->diff_id,
                        .made_s = clock_wall_s(),
                        .cost_ms = cost_ms };
    snprintf(r.step, sizeof(r.step), "times of a layer for SOURCE_DATE_EPOCH");
    return answer_keep(t->b->store, &r, fields, &nothing, err);
}

int epoch_times(struct build *b, const struct epoch_rule *rule, const struct layer **l,
                struct err *err)
{
    AUTO(twin_release) struct twin t = { .b = b, .of = *l, .list = listing_builder_new() };
    AUTO(buf_release) struct buf fields = BUF_INIT;
    struct cache_key key;
    struct answer known;
    struct err miss = ERR_INIT;
    if (list_entries(&t, rule, err) < 0)
        return err->code;
    if (!t.differs)
        return 0;
    if (twin_key(&t, &key, &fields, err) < 0)
        return err->code;
    build_used_key(b, &key);
    if (answer_find(b->store, &key, &known, &miss) == 0 && known.layer != NULL) {
        *l = known.layer;
        return 0;
    }
    if (b->is_dry)
        return 0;
    int64_t started = clock_mono_ms();
    const struct layer *twin = make_twin(&t, err);
    if (twin == NULL || keep_twin(&t, &key, twin, &fields, clock_mono_ms() - started, err) < 0)
        return err_wrap(err, "cannot set the times of SOURCE_DATE_EPOCH");
    *l = twin;
    return 0;
}

#include "engine/skip_docs.h"

#include "engine/engine_internal.h"
#include "engine/why.h"

static void note_left_out(struct step *s, const struct file_changes *c)
{
    struct build *b = s->st->b;
    pthread_mutex_lock(&b->lock);
    for (size_t i = 0; i < c->n; i++) {
        if (file_change_is_implied(c, i))
            continue;
        AUTO(mem_free) char *path = s->ops->shown_path(s, c->v[i].path);
        AUTO(buf_release) struct buf text = BUF_INIT;
        if (path == NULL)
            path = str_printf("/%s", c->v[i].path);
        file_change_text(&c->v[i], path, &text);
        if (!strv_has(&b->docs->left_out, buf_str(&text)))
            strv_add(&b->docs->left_out, buf_str(&text));
    }
    pthread_mutex_unlock(&b->lock);
}

bool docs_answer(struct step *s, struct answer *ret)
{
    struct build *b = s->st->b;
    struct step_report *r = s->report;
    struct err miss = ERR_INIT;
    struct answer a;
    if (s->ops == NULL || s->ops->is_docs == NULL || !r->has_before ||
        digest_eq(&r->before.d, &r->key.d) || answer_find(b->store, &r->before, &a, &miss) < 0 ||
        a.layer == NULL)
        return false;
    AUTO(listing_free) struct listing *now = s->ops->foresee(s, &miss);
    AUTO(file_changes_release) struct file_changes c = { .v = NULL };
    if (now == NULL)
        return false;
    file_changes_find(a.layer->listing, now, &c);
    if (c.n == 0 || !s->ops->is_docs(s, &c))
        return false;
    note_left_out(s, &c);
    r->key = r->before; /* the files that the image has are those of this key */
    build_used_key(b, &r->key);
    *ret = a;
    return true;
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

static bool is_last_image(struct build *b, struct blob_id *ret_config, struct image_config *ret)
{
    const struct blob_id *last = &b->before.row.image;
    AUTO(image_config_release) struct image_config good;
    AUTO(strv_release) struct strv labels = STRV_INIT;
    struct err gone = ERR_INIT;
    image_config_init(&good);
    if (tag_config(b->store, last, &good, &gone) < 0)
        return false;
    keep_labels(b, &good, &labels);
    build_assemble_text(b, &b->stages[b->target].state, &labels, ret_config, ret, NULL);
    return digest_eq(&ret_config->d, &last->d);
}

static bool try_stages(struct build *b, struct blob_id *ret_config, struct image_config *ret)
{
    struct err ignored = ERR_INIT; /* what is wrong is said when it is built */
    return build_run_stages(b, &ignored) == 0 && build_all_known(b) && b->docs->left_out.n > 0 &&
           is_last_image(b, ret_config, ret);
}

int skip_docs_try(struct build *b, bool *ret_skipped, struct blob_id *ret_config,
                  struct image_config *ret, struct err *err)
{
    struct docs_trial trial = { .left_out = STRV_INIT };
    bool was_dry = b->is_dry;
    *ret_skipped = false;
    before_load(b, true);
    if (!b->before.is_there || b->o->no_cache || b->o->no_cache_filter.n > 0)
        return 0;
    trial.patterns = ignore_new(&b->o->docs, err);
    if (trial.patterns == NULL)
        return err_wrap(err, "documentation patterns");
    b->is_dry = true;
    b->docs = &trial;
    *ret_skipped = try_stages(b, ret_config, ret);
    b->docs = NULL;
    b->is_dry = was_dry;
    if (*ret_skipped)
        b->result->docs_skipped = strv_join(&trial.left_out, "; ");
    ignore_free(trial.patterns);
    strv_release(&trial.left_out);
    return *ret_skipped ? 0 : build_reset_stages(b, err);
}

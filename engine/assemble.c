/* The configuration of the built image: history's times, labels of the command line. */
#include "engine/build_internal.h"

#include "base/clock.h"
#include <string.h>

/* An entry without a layer has the time of the layer before it, or else of the next. */
static void fill_times(struct image_config *c, size_t first, const char *fallback)
{
    const char *now = NULL;
    for (size_t i = first; i < c->n_history && now == NULL; i++)
        now = c->history[i].created;
    AUTO(mem_free) char *last = str_dup(now ? now : fallback);
    for (size_t i = first; i < c->n_history; i++) {
        struct history *h = &c->history[i];
        if (h->created == NULL) {
            h->created = str_dup(last);
        } else {
            mem_free(last);
            last = str_dup(h->created);
        }
    }
}

static void add_labels(struct image_config *c, const struct strv *labels)
{
    for (size_t i = 0; i < labels->n; i++) {
        const char *eq = strchr(labels->v[i], '=');
        AUTO(mem_free)
        char *key =
            eq ? str_ndup(labels->v[i], (size_t)(eq - labels->v[i])) : str_dup(labels->v[i]);
        map_set(c->labels, key, str_dup(eq ? eq + 1 : ""));
    }
}

void build_assemble_text(struct build *b, struct build_target *t, const struct strv *labels,
                         struct buf *ret_text)
{
    const struct state *s = &b->stages[t->stage].state;
    struct image_config *ret = &t->config;
    image_config_release(ret);
    image_config_copy(ret, &s->config);
    add_labels(ret, labels);
    ret->platform = b->stages[t->stage].platform;
    char epoch[CLOCK_STR_LEN];
    clock_format((struct clock_time){ .s = b->epoch >= 0 ? b->epoch : 0 }, epoch);
    const char *fallback = b->epoch < 0 && ret->created != NULL ? ret->created : epoch;
    fill_times(ret, s->n_base_history, fallback);
    AUTO(mem_free)
    char *created = str_dup(
        ret->n_history > s->n_base_history ? ret->history[ret->n_history - 1].created : fallback);
    mem_free(ret->created);
    ret->created = TAKE(created);
    AUTO(buf_release) struct buf text = BUF_INIT;
    image_config_write(ret, &text);
    digest_of(buf_str(&text), text.len, &t->config_id.d);
    if (ret_text != NULL)
        buf_add(ret_text, buf_str(&text), text.len);
}

int build_assemble(struct build *b, struct build_target *t, struct err *err)
{
    AUTO(buf_release) struct buf text = BUF_INIT;
    build_assemble_text(b, t, &b->o->labels, &text);
    return blob_put(b->store, text.data, text.len, &t->config_id, err);
}

#include "engine/build_internal.h"

#include "base/clock.h"
#include "engine/layer_links.h"
#include <string.h>

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define COMMENT "buildkit.dockerfile.v0"

void state_init(struct state *s)
{
    memset(s, 0, sizeof(*s));
    image_config_init(&s->config);
}

static void release_args(struct state *s)
{
    for (size_t i = 0; i < s->n_args; i++) {
        mem_free(s->args[i].key);
        mem_free(s->args[i].value);
    }
    mem_free(s->args);
}

void state_release(struct state *s)
{
    mem_free(s->layers);
    mem_free(s->made_by);
    mem_free(s->undecided);
    view_free(s->view);
    image_config_release(&s->config);
    strv_release(&s->env);
    release_args(s);
    memset(s, 0, sizeof(*s));
}

static void put_layer(struct state *s, const struct layer *l, const struct step_report *made_by)
{
    size_t cap = s->cap_layers;
    MEM_ROOM(s->layers, s->n_layers, s->cap_layers);
    if (cap != s->cap_layers)
        s->made_by = mem_grow(s->made_by, s->cap_layers, sizeof(*s->made_by));
    s->made_by[s->n_layers] = made_by;
    s->layers[s->n_layers++] = l;
}

void state_copy(struct state *dst, const struct state *src)
{
    state_release(dst);
    state_init(dst);
    image_config_release(&dst->config);
    image_config_copy(&dst->config, &src->config);
    for (size_t i = 0; i < src->n_layers; i++)
        put_layer(dst, src->layers[i], src->made_by[i]);
    dst->undecided = str_dup(src->undecided);
    strv_copy(&dst->env, &src->env);
    dst->n_base_history = src->n_base_history;
    dst->history_bytes = src->history_bytes;
    for (size_t i = 0; i < src->n_args; i++)
        state_declare_arg(dst, src->args[i].key, src->args[i].value);
}

void state_from_image(struct state *s, const struct image_config *config,
                      const struct layer *const *layers, size_t n)
{
    state_release(s);
    memset(s, 0, sizeof(*s));
    image_config_copy(&s->config, config);
    for (size_t i = 0; i < n; i++)
        put_layer(s, layers[i], NULL);
    s->n_base_history = config->n_history;
    if (env_get(&s->config.env, "PATH") == NULL)
        env_set(&s->config.env, "PATH", DEFAULT_PATH);
    strv_copy(&s->env, &s->config.env);
}

const struct view *state_view(struct state *s)
{
    if (s->view != NULL)
        return s->view;
    const struct listing **listings = mem_calloc(s->n_layers + 1, sizeof(*listings));
    for (size_t i = 0; i < s->n_layers; i++)
        listings[i] = s->layers[i]->listing;
    s->view = view_new(listings, s->n_layers);
    mem_free(listings);
    return s->view;
}

void state_add_layer(struct state *s, const struct layer *l, const struct step_report *made_by)
{
    put_layer(s, l, made_by);
    view_free(s->view);
    s->view = NULL;
    image_config_add_layer(&s->config, &l->diff_id);
}

/* BuildKit keeps one entry for each declaration; the value is looked up when it is shown. */
void state_declare_arg(struct state *s, const char *key, const char *value)
{
    s->args = mem_grow(s->args, s->n_args + 1, sizeof(*s->args));
    s->args[s->n_args++] = (struct arg){ .key = str_dup(key), .value = str_dup(value) };
}

void state_add_history(struct state *s, const char *created_by, bool has_layer, int64_t created_s)
{
    char text[CLOCK_STR_LEN];
    const char *created = NULL;
    if (has_layer)
        created = clock_format((struct clock_time){ .s = created_s }, text);
    s->history_bytes += strlen(created_by);
    image_config_add_history(&s->config, created, created_by, COMMENT, !has_layer);
}

static size_t strv_bytes(const struct strv *v)
{
    size_t n = 0;
    for (size_t i = 0; i < v->n; i++)
        n += strlen(v->v[i]);
    return n;
}

static size_t count_text(const struct state *s)
{
    size_t n = s->history_bytes + strv_bytes(&s->env) + strv_bytes(&s->config.env);
    const char *key;
    void *value;
    for (size_t i = 0; map_next(s->config.labels, &i, &key, &value);)
        n += strlen(key) + strlen(value);
    for (size_t i = 0; i < s->n_args; i++)
        n += strlen(s->args[i].key) + (s->args[i].value ? strlen(s->args[i].value) : 0);
    return n;
}

/* What an instruction adds stands in the history too, and in two of the other lists at most: as
 * long as three times that has room, nothing needs to be counted. */
int state_check_size(struct state *s, struct err *err)
{
    if (s->counted > 0 && s->counted + 3 * (s->history_bytes - s->counted_at) <= STATE_TEXT_MAX)
        return 0;
    s->counted = count_text(s) + 1;
    s->counted_at = s->history_bytes;
    if (s->counted <= STATE_TEXT_MAX)
        return 0;
    return err_set(err, ERR_USAGE,
                   "environment, labels and history of the stage are over %u bytes together",
                   STATE_TEXT_MAX);
}

void state_key_layer(struct key *k, const struct state *s, size_t i)
{
    key_digest(k, "below", &s->layers[i]->content_id.d);
    layer_links_key(s->layers[i], "", k, "below.links");
}

void state_key(struct key *k, const struct state *s)
{
    for (size_t i = 0; i < s->n_layers; i++)
        state_key_layer(k, s, i);
}

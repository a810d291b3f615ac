/*
 * An image out of a Docker engine: asked for by inspect, taken over as
 * `docker save` writes it. Members of that tar come in any order: what begins
 * with '{' or '[' is a document, the rest is a layer, in any encoding.
 */
#include "engine/from_internal.h"

#include "base/fs.h"
#include "engine/engine_internal.h"
#include <string.h>

struct save {
    struct engine *e;
    struct docker *d;
    const char *name;
    struct map *documents; /* member -> char * text */
    struct map *layers;    /* member -> struct layer (borrowed) */
};

static void save_release(struct save *s)
{
    map_free(s->documents);
    map_free(s->layers);
}
DEFINE_AUTO_VALUE(struct save, save_release);

/* The rest of the reader's current member behind the bytes that were looked at. */
struct member_source {
    struct source s;
    struct tar_reader *r;
    char head[16];
    size_t head_len, head_at;
};

static ssize_t member_read(struct source *s, void *p, size_t n, struct err *err)
{
    struct member_source *m = (struct member_source *)s;
    if (m->head_at == m->head_len)
        return tar_reader_read(m->r, p, n, err);
    size_t left = m->head_len - m->head_at;
    if (n > left)
        n = left;
    memcpy(p, m->head + m->head_at, n);
    m->head_at += n;
    return (ssize_t)n;
}

static void member_free(struct source *s UNUSED)
{
}

static int read_head(struct member_source *m, struct err *err)
{
    while (m->head_len < sizeof(m->head)) {
        ssize_t n =
            tar_reader_read(m->r, m->head + m->head_len, sizeof(m->head) - m->head_len, err);
        if (n < 0)
            return (int)n;
        if (n == 0)
            break;
        m->head_len += (size_t)n;
    }
    return 0;
}

static int take_document(struct save *s, const char *path, struct source *from, struct err *err)
{
    AUTO(buf_release) struct buf text = BUF_INIT;
    AUTO(sink_free) struct sink *to = sink_buf(&text, MANIFEST_MAX);
    if (stream_copy(from, to, NULL, err) < 0)
        return err_wrap(err, "'%s' of the engine's archive", path);
    map_set(s->documents, path, buf_take(&text));
    return 0;
}

/* Old engines' own small files: "VERSION", "repositories" are documents or too short to be layers.
 */
static int take_member(struct save *s, struct tar_reader *r, const struct entry *e, struct err *err)
{
    if (e->type != ENTRY_FILE || e->hardlink != NULL || e->size < 16)
        return 0;
    AUTO(mem_free) char *path = str_dup(e->path);
    struct member_source m = { .s = { .read = member_read, .free = member_free }, .r = r };
    if (read_head(&m, err) < 0)
        return err->code;
    if (m.head[0] == '{' || m.head[0] == '[')
        return take_document(s, path, &m.s, err);
    struct blob_id want;
    struct err not_one = ERR_INIT;
    bool named = str_starts(path, "blobs/sha256/") &&
                 digest_parse_hex(path_base(path), &want.d, &not_one) == 0;
    const struct layer *l =
        layer_ingest(s->e->store, &m.s, named ? &want : NULL, e->size, NULL, err);
    if (l == NULL)
        return err_wrap(err, "layer '%s' of the engine's archive", path);
    map_set(s->layers, path, (void *)(uintptr_t)l);
    return 0;
}

static int produce_save(void *arg, struct sink *to, struct err *err)
{
    struct save *s = arg;
    return docker_save(s->d, s->name, to, err);
}

static int read_archive(struct save *s, struct err *err)
{
    AUTO(source_free) struct source *from = producer_source(produce_save, s, err);
    AUTO(tar_reader_free) struct tar_reader *r = from ? tar_reader_new(from, err) : NULL;
    if (r == NULL)
        return err->code;
    struct entry e;
    int rc;
    while ((rc = tar_reader_next(r, &e, err)) > 0)
        if (take_member(s, r, &e, err) < 0)
            return err->code;
    return rc;
}

/* manifest.json says which member is the configuration; every layer must have come, in order. */
static int check_archive(struct save *s, struct blob_id *ret_config, struct err *err)
{
    const char *text = map_get(s->documents, "manifest.json");
    json_auto_t *j = text ? json_parse(text, strlen(text), "manifest.json", err) : NULL;
    const json_t *first = j ? json_array_get(j, 0) : NULL;
    const char *config_path = first ? json_get_str(first, "Config") : NULL;
    const char *config_text = config_path ? map_get(s->documents, config_path) : NULL;
    if (config_text == NULL)
        return err_set(err, ERR_CORRUPT, "the engine's archive has no configuration");
    struct image_config config;
    if (image_config_parse(config_text, strlen(config_text), &config, err) < 0)
        return err->code;
    const json_t *layers = json_get_arr(first, "Layers");
    int rc = json_array_size(layers) == config.n_layers ? 0 : ERR_CORRUPT;
    for (size_t i = 0; rc == 0 && i < config.n_layers; i++) {
        const char *path = json_string_value(json_array_get(layers, i));
        const struct layer *l = path ? map_get(s->layers, path) : NULL;
        if (l == NULL)
            l = layer_get(s->e->store, &config.layers[i], err);
        if (l == NULL || !digest_eq(&l->diff_id.d, &config.layers[i].d))
            rc = ERR_CORRUPT;
    }
    image_config_release(&config);
    if (rc < 0)
        return err_set(err, ERR_CORRUPT, "the engine's archive lacks layers of its image");
    return blob_put(s->e->store, config_text, strlen(config_text), ret_config, err);
}

int from_docker(struct engine *e, const struct image_name *name, const char *canonical UNUSED,
                const struct find_options *o, struct found_image *ret, struct err *err)
{
    bool named;
    struct docker *d = engine_docker(e, &named, err);
    if (d == NULL)
        return err->code;
    AUTO(mem_free) char *familiar = image_name_familiar(name);
    json_auto_t *info = docker_inspect(d, familiar, err);
    if (info == NULL)
        return err->code;
    const char *id = json_get_str(info, "Id");
    char platform[64]; /* an id may be an index's */
    AUTO(mem_free) char *memo = str_printf("docker-engine/%s", id ? id : "");
    platform_format(o->platform, platform);
    AUTO(stored_image_release) struct stored_image known = { 0 };
    struct err miss = ERR_INIT;
    if (id != NULL && remote_name_get(e->store, memo, platform, &known, &miss) == 0 &&
        found_from_config(e, &known.config, NULL, ret, &miss) == 0)
        return 0;
    if (o->is_plan)
        return err_set(err, ERR_UNDECIDED, "%s has to be taken from the Docker engine", familiar);
    AUTO(save_release) struct save s = { .e = e, .d = d, .name = familiar };
    s.documents = map_new(mem_free);
    s.layers = map_new(NULL);
    vertex_note(e, o->vertex, "taking %s from the Docker engine", familiar);
    struct blob_id config;
    if (read_archive(&s, err) < 0 || check_archive(&s, &config, err) < 0)
        return err_wrap(err, "cannot take '%s' from the Docker engine", familiar);
    if (remote_name_set(e->store, memo, platform, &config, &config, err) < 0)
        return err->code;
    return found_from_config(e, &config, NULL, ret, err);
}

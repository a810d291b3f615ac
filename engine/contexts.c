#include "engine/contexts.h"

#include "base/clock.h"
#include "base/fs.h"
#include "engine/base_images.h"
#include "engine/context_internal.h"
#include "engine/context_named.h"
#include "engine/engine_internal.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define IGNORE_MAX (1u << 20)

/* A named context, for one platform where that makes a difference. */
struct opened {
    pthread_mutex_t lock;
    bool is_done;
    int rc;
    struct err err;
    char *key;         /* as shown: "NAME" or "NAME::PLATFORM" */
    const char *value; /* behind the kind's prefix */
    struct platform platform;
    struct build_context c;
    struct strv wants;
};

struct contexts {
    struct build_context main;
    struct map *opened; /* "KEY PLATFORM" -> struct opened */
};

static void build_context_release(struct build_context *c)
{
    context_free(c->dir);
    mem_free(c->layers);
    found_image_release(&c->image);
}

static void opened_free(void *arg)
{
    struct opened *o = arg;
    build_context_release(&o->c);
    strv_release(&o->wants);
    mem_free(o->key);
    pthread_mutex_destroy(&o->lock);
    mem_free(o);
}

void contexts_free(struct contexts *c)
{
    if (c == NULL)
        return;
    build_context_release(&c->main);
    map_free(c->opened);
    mem_free(c);
}

static bool is_lost(const struct build *b, const struct build_context *c)
{
    struct err ignored = ERR_INIT;
    for (size_t i = 0; i < c->n_layers; i++)
        if (layer_get(b->store, &c->layers[i]->diff_id, &ignored) == NULL)
            return true;
    return false;
}

bool contexts_lost(const struct build *b)
{
    const char *key;
    void *value;
    if (is_lost(b, &b->contexts->main))
        return true;
    for (size_t i = 0; map_next(b->contexts->opened, &i, &key, &value);)
        if (is_lost(b, &((const struct opened *)value)->c))
            return true;
    return false;
}

void contexts_init(struct build *b)
{
    b->contexts = mem_zalloc(sizeof(*b->contexts));
    b->contexts->opened = map_new(opened_free);
}

void context_take_layer(struct build_context *c, const struct layer *l)
{
    c->kind = CONTEXT_LAYERS;
    c->layers = mem_calloc(1, sizeof(*c->layers));
    c->layers[0] = l;
    c->n_layers = 1;
}

static int keep_made(struct build *b, const struct cache_key *key, struct context_layer *x,
                     const struct buf *fields, const struct layer *l, struct err *err)
{
    x->made_s = clock_wall_s();
    struct record r = { .key = *key, .has_layer = true, .layer = l->diff_id, .made_s = x->made_s };
    struct buf nothing = BUF_INIT;
    snprintf(r.step, sizeof(r.step), "%s", x->shown);
    return answer_keep(b->store, &r, fields, &nothing, err);
}

static const struct layer *find_made(struct build *b, const struct cache_key *key,
                                     struct context_layer *x)
{
    struct answer a;
    struct err miss = ERR_INIT;
    if (answer_find(b->store, key, &a, &miss) < 0)
        return NULL;
    x->made_s = a.record.made_s;
    return a.layer;
}

static const struct layer *foreseen(struct build *b, const struct context_layer *x, struct err *err)
{
    if (x->foresee == NULL) {
        err_set(err, ERR_UNDECIDED, "%s has to be unpacked", x->shown);
        return NULL;
    }
    struct listing *l = x->foresee(x->arg, err);
    return l != NULL ? foresee_layer(b, l) : NULL;
}

const struct layer *context_layer_once(struct build *b, struct key *k, struct context_layer *x,
                                       struct err *err)
{
    struct cache_key key;
    AUTO(buf_release) struct buf fields = BUF_INIT;
    key_end(k, &key, &fields);
    build_used_key(b, &key);
    const struct layer *l = find_made(b, &key, x);
    if (l != NULL || b->is_plan)
        return l != NULL ? l : foreseen(b, x, err);
    AUTO(fd_close) int claim = record_claim(b->store, &key, b->e->cancel, err);
    if (claim < 0)
        return NULL;
    l = find_made(b, &key, x);
    if (l != NULL)
        return l;
    l = x->make(x->arg, err);
    return l != NULL && keep_made(b, &key, x, &fields, l, err) == 0 ? l : NULL;
}

/* Ignore rules. */

static bool is_file(int dir, const char *path)
{
    struct stat st;
    struct err ignored = ERR_INIT;
    AUTO(fd_close) int fd = inroot_open(dir, path, O_PATH, 0, &ignored);
    return fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

/* What is there under the name but is no file counts for nothing, as in BuildKit. */
static int read_optional(int dir, const char *path, struct buf *ret, struct err *err)
{
    int rc = inroot_read(dir, path, IGNORE_MAX, ret, err);
    if (rc == 0 || rc == ERR_CANCELLED || is_file(dir, path))
        return rc;
    err_clear(err);
    return ERR_NOT_FOUND;
}

/* The directory that path's last part is in. */
static int open_dir_of(const char *path, struct err *err)
{
    AUTO(mem_free) char *dir = path_dir(path);
    return dir_open(AT_FDCWD, dir, err);
}

int contexts_read_local(const char *path, size_t max, struct buf *ret, struct err *err)
{
    if (str_starts(path, "/dev/") || str_starts(path, "/proc/"))
        return file_read(AT_FDCWD, path, max, ret, err);
    AUTO(fd_close) int dir = open_dir_of(path, err);
    return dir < 0 ? dir : inroot_read(dir, path_base(path), max, ret, err);
}

static int read_own_ignore(const char *dockerfile_path, struct buf *ret, struct err *err)
{
    struct err absent = ERR_INIT;
    AUTO(mem_free) char *name = str_printf("%s.dockerignore", path_base(dockerfile_path));
    AUTO(fd_close) int dir = open_dir_of(dockerfile_path, &absent);
    return dir < 0 ? ERR_NOT_FOUND : read_optional(dir, name, ret, err);
}

bool contexts_is_dir(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

int contexts_read_ignore(const char *context, const char *dockerfile_path, struct buf *ret,
                         struct err *err)
{
    int rc = dockerfile_path != NULL ? read_own_ignore(dockerfile_path, ret, err) : ERR_NOT_FOUND;
    if (rc != ERR_NOT_FOUND)
        return rc;
    AUTO(fd_close) int dir = dir_open(AT_FDCWD, context, err);
    if (dir < 0)
        return err_wrap(err, "unable to prepare context");
    rc = read_optional(dir, ".dockerignore", ret, err);
    return rc == ERR_NOT_FOUND ? 0 : rc;
}

static struct ignore *parse_ignore(const struct buf *text, const char *failed, struct err *err)
{
    struct ignore *ig = ignore_parse(text->data, text->len, err);
    err->line = err->line_end = 0; /* of the ignore file, not of the Dockerfile */
    if (ig == NULL)
        err_wrap(err, "%s .dockerignore", failed);
    return ig;
}

/* Directories. */

static int open_dir(struct build *b, struct build_context *c, const char *path, struct ignore *ig,
                    struct err *err)
{
    c->dir = context_open(path, ig, b->store, b->e->pool, b->e->cancel, err);
    c->kind = c->dir != NULL ? CONTEXT_DIR : CONTEXT_EMPTY;
    if (c->dir != NULL && b->o->normalize_modes)
        context_normalize_modes(c->dir);
    if (c->dir != NULL && b->o->no_cache)
        context_forget(c->dir);
    return c->dir == NULL ? err_wrap(err, "unable to prepare context") : 0;
}

int contexts_open_main(struct build *b, const char *dockerfile_path, struct err *err)
{
    struct build_context *c = &b->contexts->main;
    if (b->o->context == NULL || c->kind != CONTEXT_EMPTY)
        return 0;
    AUTO(buf_release) struct buf text = BUF_INIT;
    int v = vertex_begin(b->e, "[internal] load .dockerignore");
    int64_t started = clock_mono_ms();
    int rc = contexts_read_ignore(b->o->context, dockerfile_path, &text, err);
    for (size_t i = 0; b->more_rules != NULL && i < b->more_rules->n; i++)
        buf_addf(&text, "\n%s", b->more_rules->v[i]);
    struct ignore *ig = NULL;
    if (rc == 0 && text.len > 0) {
        ig = parse_ignore(&text, "error reading", err);
        rc = ig == NULL ? err->code : 0;
    }
    digest_of(buf_str(&text), text.len, &b->rules);
    vertex_status(b->e, v, "transferring context:", text.len, 0, true);
    if (vertex_close(b->e, v, rc, started, err) < 0)
        return rc;
    return open_dir(b, c, b->o->context, ig, err);
}

static int open_named_dir(struct build *b, struct opened *o, struct err *err)
{
    AUTO(buf_release) struct buf text = BUF_INIT;
    AUTO(mem_free) char *what = str_printf("transferring %s:", o->key);
    int v = vertex_begin(b->e, "[context %s] load .dockerignore", o->key);
    int64_t started = clock_mono_ms();
    int rc = contexts_read_ignore(o->value, NULL, &text, err);
    struct ignore *ig = NULL;
    if (rc == 0 && text.len > 0) {
        ig = parse_ignore(&text, "failed parsing", err);
        rc = ig == NULL ? err->code : 0;
    }
    vertex_status(b->e, v, what, text.len, 0, true);
    if (vertex_close(b->e, v, rc, started, err) < 0)
        return rc;
    return open_dir(b, &o->c, o->value, ig, err);
}

/* The other kinds. */

static int open_image(struct build *b, struct opened *o, struct err *err)
{
    if (str_eq(o->value, "scratch")) {
        o->c.kind = CONTEXT_LAYERS;
        return 0;
    }
    AUTO(base_image_release) struct base_image image = { .found = NULL };
    AUTO(mem_free) char *label = str_printf("[context %s] load metadata for %s", o->key, o->value);
    if (base_image_find(b, o->value, &o->platform, label, &image, err) < 0)
        return err->code;
    const struct found_image *f = image.found;
    o->c.kind = CONTEXT_IMAGE;
    o->c.layers = mem_calloc(f->n_layers + 1, sizeof(*o->c.layers));
    for (size_t i = 0; i < f->n_layers; i++)
        o->c.layers[i] = f->layers[i];
    o->c.n_layers = f->n_layers;
    image_config_copy(&o->c.image.config, &f->config);
    int v = vertex_begin(b->e, "[context %s] %s", o->key, o->value);
    vertex_end(b->e, v, VERTEX_CACHED, NULL, 0);
    return 0;
}

static int open_layout(struct build *b, struct opened *o, struct err *err)
{
    struct found_image *f = &o->c.image;
    if (context_open_layout(b, o->key, o->value, &o->platform, f, err) < 0)
        return err->code;
    o->c.kind = CONTEXT_IMAGE;
    o->c.layers = mem_calloc(f->n_layers + 1, sizeof(*o->c.layers));
    for (size_t i = 0; i < f->n_layers; i++)
        o->c.layers[i] = f->layers[i];
    o->c.n_layers = f->n_layers;
    return 0;
}

static int open_stage(struct build *b, struct opened *o, struct err *err)
{
    o->c.stage = dockerfile_stage_named(b->df, o->value, b->df->n_stages);
    o->c.kind = CONTEXT_STAGE;
    return o->c.stage < 0 ? err_set(err, ERR_USAGE, "failed to find target %s for context %s",
                                    o->value, o->key)
                          : 0;
}

static int open_url(struct build *b, struct opened *o, struct err *err)
{
    return context_open_url(b, o->key, o->value, &o->c, err);
}

static const struct kind {
    const char *prefix;
    bool by_platform;
    int (*open)(struct build *b, struct opened *o, struct err *err);
} kinds[] = {
    { "docker-image://", true, open_image },
    { "oci-layout://", true, open_layout },
    { "target:", false, open_stage },
}, url_kind = { "", false, open_url }, dir_kind = { "", false, open_named_dir };

static const struct kind *kind_of(const char *value)
{
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (str_starts(value, kinds[i].prefix))
            return &kinds[i];
    return context_is_remote(value) ? &url_kind : &dir_kind;
}

/* Finding. */

bool contexts_has(const struct build *b, const char *name, const struct platform *platform)
{
    struct context_spec spec;
    return context_spec_find(&b->o->contexts, name, platform, &spec);
}

/* NULL: the word names no context. */
static struct opened *opened_of(struct build *b, const char *name, const struct platform *platform,
                                const struct kind **ret_kind)
{
    struct context_spec spec;
    char shown[64] = "";
    if (!context_spec_find(&b->o->contexts, name, platform, &spec))
        return NULL;
    *ret_kind = kind_of(spec.value);
    if ((*ret_kind)->by_platform)
        platform_format(platform, shown);
    AUTO(mem_free) char *key = str_ndup(spec.key, spec.key_len);
    AUTO(mem_free) char *place = str_printf("%s %s", key, shown);
    pthread_mutex_lock(&b->lock);
    struct opened *o = map_get(b->contexts->opened, place);
    if (o == NULL) {
        o = mem_zalloc(sizeof(*o));
        pthread_mutex_init(&o->lock, NULL);
        o->key = TAKE(key);
        o->value = spec.value + strlen((*ret_kind)->prefix);
        o->platform = *platform;
        map_set(b->contexts->opened, place, o);
    }
    pthread_mutex_unlock(&b->lock);
    return o;
}

static int find_named(struct build *b, const char *name, const struct platform *platform,
                      const struct build_context **ret, struct err *err)
{
    const struct kind *kind;
    struct opened *o = opened_of(b, name, platform, &kind);
    if (o == NULL)
        return err_set(err, ERR_NOT_FOUND, "no context is named '%s'", name);
    pthread_mutex_lock(&o->lock);
    if (!o->is_done) {
        err_clear(&o->err);
        o->rc = kind->open(b, o, &o->err);
        if (o->rc == ERR_NOT_FOUND) /* the context is known, what it names is not there */
            o->rc = o->err.code = ERR_USAGE;
        o->is_done = o->rc != ERR_CANCELLED;
    }
    int rc = o->rc < 0 ? err_copy(err, &o->err) : 0;
    pthread_mutex_unlock(&o->lock);
    if (rc == 0)
        *ret = &o->c;
    return rc;
}

int contexts_find(struct build *b, const char *name, const struct platform *platform,
                  const struct build_context **ret, struct err *err)
{
    if (name != NULL)
        return find_named(b, name, platform, ret, err);
    *ret = &b->contexts->main;
    return 0;
}

int contexts_stage(const struct build *b, const char *name, const struct platform *platform,
                   int *ret, struct err *err)
{
    struct context_spec spec;
    *ret = -1;
    if (!context_spec_find(&b->o->contexts, name, platform, &spec) ||
        !str_starts(spec.value, "target:"))
        return 0;
    const char *target = spec.value + strlen("target:");
    *ret = dockerfile_stage_named(b->df, target, b->df->n_stages);
    return *ret < 0 ? err_set(err, ERR_USAGE, "failed to find target %s for context %.*s", target,
                              (int)spec.key_len, spec.key)
                    : 0;
}

struct strv *contexts_wants(struct build *b, const char *from, const struct platform *platform)
{
    const struct kind *kind;
    if (from == NULL || *from == '\0')
        return &b->context_wants;
    struct opened *o = opened_of(b, from, platform, &kind);
    return o != NULL && kind == &dir_kind ? &o->wants : NULL;
}

/* Scanning. */

/* The named context that has the directory; NULL: it is the main one's. */
static struct opened *owner_of(struct build *b, const struct context *dir)
{
    const char *key;
    void *value;
    for (size_t i = 0; map_next(b->contexts->opened, &i, &key, &value);) {
        struct opened *o = value;
        if (o->c.dir == dir)
            return o;
    }
    return NULL;
}

int contexts_scan(struct build *b, struct context *c, const struct strv *paths,
                  const struct listing **ret, struct err *err)
{
    pthread_mutex_lock(&b->lock);
    struct opened *o = owner_of(b, c);
    struct build_context *of = o != NULL ? &o->c : &b->contexts->main;
    bool first = of->vertex == 0;
    if (first)
        of->vertex = o != NULL ? vertex_begin(b->e, "[context %s] load from client", o->key)
                               : vertex_begin(b->e, "[internal] load build context");
    int v = of->vertex;
    pthread_mutex_unlock(&b->lock);
    int64_t started = clock_mono_ms();
    AUTO(strv_release) struct strv wants = STRV_INIT;
    strv_append(&wants, o != NULL ? &o->wants : &b->context_wants);
    strv_append(&wants, paths);
    int rc = context_scan(c, &wants, ret, err);
    if (!first)
        return rc;
    AUTO(mem_free) char *what = str_printf("transferring %s:", o != NULL ? o->key : "context");
    struct context_counts counts;
    context_counts(c, &counts);
    if (rc == 0)
        vertex_status(b->e, v, what, counts.read_bytes, 0, true);
    return vertex_close(b->e, v, rc, started, err);
}

/* The main one from elsewhere. */

int contexts_open_remote(struct build *b, int *ret_vertex, struct err *err)
{
    *ret_vertex = 0;
    const char *context = b->o->context;
    bool is_dir = context == NULL || contexts_is_dir(context);
    if (b->o->context_tar == NULL && (is_dir || !context_is_remote(context)))
        return 0;
    return context_open_remote(b, &b->contexts->main, ret_vertex, err);
}

bool contexts_is_remote(const struct build *b)
{
    return b->contexts->main.kind == CONTEXT_LAYERS;
}

const char *contexts_dockerfile(const struct build *b)
{
    return b->contexts->main.is_file ? "context" : NULL;
}

int contexts_read(struct build *b, const char *path, size_t max, struct buf *ret, struct err *err)
{
    const struct build_context *c = &b->contexts->main;
    AUTO(mem_free) const struct listing **listings = mem_calloc(c->n_layers + 1, sizeof(*listings));
    for (size_t i = 0; i < c->n_layers; i++)
        listings[i] = c->layers[i]->listing;
    AUTO(view_free) struct view *view = view_new(listings, c->n_layers);
    AUTO(mem_free) char *real = NULL;
    struct entry e;
    size_t layer;
    if (view_resolve(view, path, true, &real, NULL, err) < 0)
        return err->code;
    if (!view_find(view, real, &e, &layer) || e.type != ENTRY_FILE)
        return err_set(err, ERR_USAGE, "'%s' is no file", path);
    if (e.size > max)
        return err_set(err, ERR_USAGE, "'%s' is larger than %zu bytes", path, max);
    AUTO(content_free) struct content *content = content_new(b->store);
    content_want(content, c->layers[layer], &e);
    AUTO(source_free) struct source *from = content_open(content, c->layers[layer], &e, err);
    AUTO(sink_free) struct sink *to = from ? sink_buf(ret, max) : NULL;
    if (to != NULL)
        return stream_copy(from, to, NULL, err);
    if (err->code == ERR_NOT_FOUND) /* of the store: the context has the file */
        err->code = ERR_CORRUPT;
    return err->code;
}

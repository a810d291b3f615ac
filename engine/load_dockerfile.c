#include "engine/load_dockerfile.h"

#include "base/clock.h"
#include "base/fs.h"
#include "engine/contexts.h"
#include "engine/engine_internal.h"
#include "engine/fetch.h"
#include "remote/url.h"
#include <string.h>

#define DOCKERFILE_BYTES_MAX (1u << 20)
#define DEFAULT_NAME "Dockerfile"
#define OTHER_NAME "dockerfile" /* taken where there is no file of the usual name */

/* path with its last part in lower case; NULL when that is not to be tried. */
static char *other_path(const char *path)
{
    const char *base = path_base(path);
    if (!str_eq(base, DEFAULT_NAME))
        return NULL;
    return str_printf("%.*s%s", (int)(base - path), path, OTHER_NAME);
}

typedef int (*read_fn)(struct build *b, const char *path, struct buf *ret, struct err *err);

static int read_local(struct build *b UNUSED, const char *path, struct buf *ret, struct err *err)
{
    return contexts_read_local(path, DOCKERFILE_BYTES_MAX, ret, err);
}

static int read_remote(struct build *b, const char *path, struct buf *ret, struct err *err)
{
    return contexts_read(b, path, DOCKERFILE_BYTES_MAX, ret, err);
}

/* *path is what was read. */
static int read_either(struct build *b, read_fn read, char **path, struct err *err)
{
    struct buf *text = &b->result->dockerfile;
    int rc = read(b, *path, text, err);
    AUTO(mem_free) char *other = rc == ERR_NOT_FOUND ? other_path(*path) : NULL;
    struct err second = ERR_INIT;
    if (other == NULL || read(b, other, text, &second) < 0)
        return rc;
    err_clear(err);
    mem_free(*path);
    *path = TAKE(other);
    return 0;
}

static void set_name(struct build *b, const char *name)
{
    mem_free(b->result->dockerfile_name);
    b->result->dockerfile_name = str_dup(name);
}

static int fail_read(struct build *b, int rc, struct err *err)
{
    if (rc == ERR_NOT_FOUND)
        return err_set(err, ERR_USAGE,
                       "failed to read dockerfile: open %s: no such file or directory",
                       b->result->dockerfile_name);
    return rc < 0 ? err_wrap(err, "failed to read dockerfile") : 0;
}

static int load_remote(struct build *b, struct err *err)
{
    const char *only = contexts_dockerfile(b), *given = b->o->dockerfile;
    AUTO(mem_free) char *path = str_dup(only ? only : given ? given : DEFAULT_NAME);
    set_name(b, path);
    int rc = read_either(b, read_remote, &path, err);
    if (rc == 0)
        set_name(b, path);
    return fail_read(b, rc, err);
}

/* Shown as BuildKit's, which downloads it first and then has it as a file called Dockerfile. */
static int load_url(struct build *b, struct err *err)
{
    AUTO(fetched_file_release) struct fetched_file file = { .layer = NULL };
    AUTO(mem_free) char *shown = url_redact(b->o->dockerfile);
    int v = vertex_begin(b->e, "[internal] load %s", shown);
    int64_t started = clock_mono_ms();
    struct fetch_http q = { .url = b->o->dockerfile, .vertex = v };
    struct entry e;
    int rc = fetch_http(b, &q, &file, err);
    if (rc == 0 &&
        (!listing_find(file.layer->listing, file.name, &e) || e.size > DOCKERFILE_BYTES_MAX))
        rc = err_set(err, ERR_USAGE, "Dockerfile %s bigger than allowed max size", shown);
    AUTO(content_free) struct content *content = content_new(b->store);
    AUTO(source_free) struct source *from = NULL;
    AUTO(sink_free) struct sink *to = sink_buf(&b->result->dockerfile, DOCKERFILE_BYTES_MAX);
    if (rc == 0) {
        content_want(content, file.layer, &e);
        from = content_open(content, file.layer, &e, err);
        rc = from == NULL ? err->code : stream_copy(from, to, NULL, err);
    }
    return vertex_close(b->e, v, rc, started, err);
}

static int load_local(struct build *b, char **ret_path, int *ret_vertex, struct err *err)
{
    const struct build_options *o = b->o;
    struct buf *text = &b->result->dockerfile;
    bool is_url = o->dockerfile != NULL && fetch_is_http(o->dockerfile);
    bool is_file = o->dockerfile_text == NULL && !is_url;
    set_name(b, is_file && o->dockerfile ? path_base(o->dockerfile) : DEFAULT_NAME);
    if (is_url && load_url(b, err) < 0)
        return err->code;
    AUTO(mem_free) char *path = NULL;
    int rc = 0;
    if (is_file) {
        path =
            o->dockerfile ? str_dup(o->dockerfile) : str_printf("%s/%s", o->context, DEFAULT_NAME);
        rc = read_either(b, read_local, &path, err);
    } else if (o->dockerfile_text != NULL) {
        buf_add(text, o->dockerfile_text, o->dockerfile_len);
    }
    if (rc == 0 && is_file)
        set_name(b, path_base(path));
    int v = *ret_vertex =
        vertex_begin(b->e, "[internal] load build definition from %s", b->result->dockerfile_name);
    if (rc == 0)
        vertex_status(b->e, v, "transferring dockerfile:", text->len, 0, true);
    else
        fail_read(b, rc, err);
    *ret_path = TAKE(path);
    return rc < 0 ? err->code : 0;
}

/* -f of a remote context is in it, unless it is a whole path of this machine. */
static bool is_in_context(const struct build *b)
{
    const struct build_options *o = b->o;
    if (!contexts_is_remote(b) || o->dockerfile_text != NULL)
        return false;
    return o->dockerfile == NULL || o->context_tar != NULL ||
           (*o->dockerfile != '/' && !fetch_is_http(o->dockerfile));
}

int build_load_dockerfile(struct build *b, char **ret_path, int *ret_vertex, struct err *err)
{
    *ret_vertex = 0;
    if (contexts_open_remote(b, ret_vertex, err) < 0)
        return err->code;
    int v = *ret_vertex;
    if (is_in_context(b) && load_remote(b, err) == 0)
        return 0;
    if (v != 0) /* the context came, whatever becomes of the Dockerfile */
        vertex_end(b->e, v, VERTEX_DONE, NULL, 0);
    *ret_vertex = 0;
    if (err->code != ERR_NONE)
        return err->code;
    return load_local(b, ret_path, ret_vertex, err);
}

/* As much of a build as it takes to fetch. */
static void own_release(struct build *b)
{
    contexts_free(b->contexts);
    map_free(b->fetched);
    map_free(b->materials);
    mem_free(b->context_uri);
    mem_free(b->used_keys);
    pthread_mutex_destroy(&b->lock);
}
DEFINE_AUTO_VALUE(struct build, own_release);

int dockerfile_load(struct engine *e, const struct build_options *o, struct check_result *ret,
                    int *ret_vertex, struct err *err)
{
    AUTO(build_result_release) struct build_result result = { .has_image = false };
    AUTO(carried_release) struct carried carried = { .context = NULL };
    AUTO(own_release)
    struct build b = {
        .e = e, .o = o, .store = e->store, .result = &result, .carried = &carried, .epoch = -1
    };
    pthread_mutex_init(&b.lock, NULL);
    b.fetched = map_new(mem_free);
    b.materials = map_new(mem_free);
    contexts_init(&b);
    AUTO(mem_free) char *path = NULL;
    int rc = build_load_dockerfile(&b, &path, ret_vertex, err);
    ret->is_file = path != NULL;
    ret->path = path != NULL ? path_clean(path) : str_dup(result.dockerfile_name);
    buf_add(&ret->text, result.dockerfile.data, result.dockerfile.len);
    return rc;
}

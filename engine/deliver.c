/* Where a finished image goes: its names in the store, the Docker engine, files, the result files.
 */
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "engine/deliver_results.h"
#include "engine/engine_internal.h"
#include "engine/fetch_layer.h"
#include "engine/load_engine.h"
#include "engine/output_options.h"
#include "engine/provenance.h"
#include "engine/push_output.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct delivery {
    struct build *b;
    struct built_image *images; /* one for each platform */
    size_t n_images;
    const struct blob_id *config_id; /* of the first */
    const struct image_config *config;
    struct strv names; /* canonical */
    int vertex;
    struct delivered result;
    struct attestation provenance; /* without a predicate: not asked for */
    bool is_elsewhere;             /* an engine or a registry has the image */
};

/* Names. */

static bool has_away(const struct delivery *d)
{
    for (size_t t = 0; t < d->n_images; t++) {
        const struct state *s = &build_target_stage(d->b, t)->state;
        for (size_t i = 0; i < s->n_layers; i++)
            if (layer_is_away(s->layers[i]))
                return true;
    }
    return false;
}

static int fetch_all(const struct delivery *d, struct err *err)
{
    for (size_t t = 0; t < d->n_images; t++) {
        const struct state *s = &build_target_stage(d->b, t)->state;
        if (fetch_layers(d->b->e, s->layers, s->n_layers, err) < 0)
            return err->code;
    }
    return 0;
}

/* The names no longer stand here for what they stood for. */
static int drop_tags(struct delivery *d, struct err *err)
{
    for (size_t i = 0; i < d->names.n; i++) {
        struct err one = ERR_INIT;
        if (tag_delete(d->b->store, d->names.v[i], &one) < 0 && one.code != ERR_NOT_FOUND)
            return err_copy(err, &one);
    }
    return 0;
}

/* A name alone stands for the image that this machine runs, else for the first. */
static void order_platforms(const struct build *b, struct tag_platform *ret)
{
    struct platform host = platform_host();
    size_t own = 0;
    int best = -1;
    for (size_t i = 0; i < b->n_targets; i++) {
        int match = platform_match(&host, &b->targets[i].platform);
        ret[i] = (struct tag_platform){ .platform = b->targets[i].platform,
                                        .config = b->targets[i].config_id };
        if (match >= 0 && (best < 0 || match < best)) {
            own = i;
            best = match;
        }
    }
    struct tag_platform first = ret[own];
    ret[own] = ret[0];
    ret[0] = first;
}

static int set_name(const struct delivery *d, const char *name, struct err *err)
{
    const struct build *b = d->b;
    if (b->n_targets == 1)
        return tag_set(b->store, name, d->config_id, NULL, err);
    AUTO(mem_free) struct tag_platform *v = mem_calloc(b->n_targets, sizeof(*v));
    order_platforms(b, v);
    if (name != NULL)
        return tag_set_platforms(b->store, name, v, b->n_targets, err);
    for (size_t i = 0; i < b->n_targets; i++)
        if (tag_set(b->store, NULL, &v[i].config, NULL, err) < 0)
            return err->code;
    return 0;
}

static int set_tags(struct delivery *d, struct err *err)
{
    vertex_status(d->b->e, d->vertex, "exporting layers", 0, 0, true);
    for (size_t i = 0; i < d->n_images; i++) {
        AUTO(mem_free)
        char *writing = str_printf("writing image %s", DIGEST_S(&d->images[i].config_id.d));
        vertex_status(d->b->e, d->vertex, writing, 0, 0, true);
    }
    if (d->names.n == 0)
        return set_name(d, NULL, err);
    for (size_t i = 0; i < d->names.n; i++) {
        AUTO(mem_free) char *naming = str_printf("naming to %s", d->names.v[i]);
        if (set_name(d, d->names.v[i], err) < 0)
            return err->code;
        vertex_status(d->b->e, d->vertex, naming, 0, 0, true);
    }
    return 0;
}

/* What is said about an image stands beside it, where a manifest of its own can: an engine's load
 * and `docker load` take none. */
static void attest_images(struct delivery *d, bool attest)
{
    bool has = attest && d->provenance.predicate != NULL;
    for (size_t i = 0; i < d->n_images; i++) {
        d->images[i].attestations = has ? &d->provenance : NULL;
        d->images[i].n_attestations = has;
    }
}

/* The Docker engine. */

/* What the image's last stage began with, if that was an image with a name. */
static char *base_name(const struct build *b)
{
    const struct build_stage *st = build_target_stage(b, 0);
    while (st->base_stage >= 0)
        st = &b->stages[st->base_stage];
    AUTO(image_name_release) struct image_name n = { 0 };
    struct err ignored = ERR_INIT;
    if (st->base == NULL || st->base_context != NULL ||
        image_name_parse(st->base, &n, &ignored) < 0)
        return NULL;
    return image_name_canonical(&n);
}

static int load_all_into(struct delivery *d, struct docker *docker, int vertex, struct err *err)
{
    struct blob_id index;
    attest_images(d, false);
    if (engine_load_platforms(d->b->e, docker, d->images, d->n_images, &d->names, vertex, &index,
                              err) < 0)
        return err->code;
    d->is_elsewhere = true;
    return 0;
}

static int load_into(struct delivery *d, struct docker *docker, int vertex, bool *ret_was_there,
                     struct err *err)
{
    if (d->n_images > 1)
        return load_all_into(d, docker, vertex, err);
    AUTO(mem_free) char *base = base_name(d->b);
    struct engine_load what = { .config_id = d->config_id,
                                .config = d->config,
                                .layers = d->images[0].layers,
                                .names = &d->names,
                                .base = base };
    struct engine_loaded got;
    if (engine_load(d->b->e, docker, &what, vertex, &got, err) < 0)
        return err->code;
    *ret_was_there = got.was_there;
    d->is_elsewhere = true;
    if (!got.has_manifest)
        return 0;
    descriptor_release(&d->result.top);
    d->result.top = (struct descriptor){ .media_type = str_dup(doc_media_type(DOC_OCI_MANIFEST)),
                                         .id = got.manifest,
                                         .size = got.manifest_size,
                                         .has_platform = true,
                                         .platform = d->config->platform };
    d->result.has_top = d->result.is_in_containerd = true;
    return 0;
}

/* Nobody has asked for the engine: what it cannot hold stays here. */
static bool is_beyond(const struct delivery *d, struct docker *docker)
{
    bool is_containerd = false;
    struct err silent = ERR_INIT;
    if (d->n_images == 1 ||
        (docker_is_containerd(docker, &is_containerd, &silent) == 0 && is_containerd))
        return false;
    log_warn("engine", "the image stays in shale's store: an engine without containerd's image "
                       "store holds no image of several platforms");
    return true;
}

static int load_engine(struct delivery *d, bool required, struct err *err)
{
    struct engine *e = d->b->e;
    bool named = false;
    struct err none = ERR_INIT;
    struct docker *docker = engine_docker(e, &named, &none);
    if (docker == NULL && none.code != ERR_CANCELLED && !required) {
        if (named)
            log_warn("engine", "the image stays in shale's store: %s", none.msg);
        return 0;
    }
    if (docker == NULL)
        return err_copy(err, &none);
    if (!required && is_beyond(d, docker))
        return 0;
    bool was_there = false;
    int64_t started = clock_mono_ms();
    int v = vertex_begin(e, "loading image into %s", docker_host(docker));
    int rc = load_into(d, docker, v, &was_there, err);
    if (rc < 0 || !was_there)
        return vertex_close(e, v, rc, started, err);
    vertex_end(e, v, VERTEX_CACHED, NULL, 0);
    return 0;
}

/* Files. */

struct archiving {
    struct delivery *d;
    const struct image_docs *docs;
    struct archive_options options;
};

static int produce_archive(void *arg, struct sink *to, struct err *err)
{
    struct archiving *a = arg;
    return archive_write(a->d->b->e, a->docs, &a->options, to, err);
}

/* Where a link leads: it stays, and the file behind it becomes the new one. */
static char *real_path(const char *path)
{
    char real[PATH_MAX];
    return str_dup(realpath(path, real) ? real : path);
}

/* fd (or -1, with errno) is closed here. */
static int write_open(const char *dest, int fd, produce_fn fn, void *arg, struct err *err)
{
    if (fd < 0)
        return err_sys(err, errno, "cannot write '%s'", dest);
    AUTO(sink_free) struct sink *to = sink_fd(fd, true);
    return fn(arg, to, err) < 0 ? err->code : sink_finish(to, err);
}

static int write_file(struct delivery *d, const char *dest, produce_fn fn, void *arg,
                      struct err *err)
{
    if (str_eq(dest, "-")) {
        AUTO(sink_free) struct sink *to = sink_fd(d->b->o->stdout_fd, false);
        return fn(arg, to, err) < 0 ? err->code : sink_finish(to, err);
    }
    struct stat st;
    bool exists = stat(dest, &st) == 0;
    if (exists && !S_ISREG(st.st_mode)) /* a pipe, /dev/null: written to, never replaced */
        return write_open(dest, open(dest, O_WRONLY | O_CLOEXEC), fn, arg, err);
    AUTO(mem_free) char *real = exists ? real_path(dest) : str_dup(dest);
    AUTO(mem_free) char *temp = str_printf("%s.shale-%d", real, getpid());
    int rc =
        write_open(dest, open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666), fn, arg, err);
    if (rc == 0 && rename(temp, real) < 0)
        rc = err_sys(err, errno, "cannot write '%s'", dest);
    if (rc < 0)
        unlink(temp);
    return rc;
}

/* File systems. */

struct exporting {
    struct delivery *d;
    struct exported *v; /* one for each platform */
    struct strv names, dirs;
};

static void exporting_release(struct exporting *x)
{
    mem_free(x->v);
    strv_release(&x->names);
    strv_release(&x->dirs);
}
DEFINE_AUTO_VALUE(struct exporting, exporting_release);

/* "linux_arm_v7" */
static char *dir_of_platform(const char *platform)
{
    char *dir = str_dup(platform);
    for (char *p = dir; *p; p++)
        if (*p == '/')
            *p = '_';
    return dir;
}

static int export_open(struct delivery *d, const struct build_output *o, struct exporting *ret,
                       struct err *err)
{
    const struct build *b = d->b;
    const char *given = o->attrs ? map_get(o->attrs, "platform-split") : NULL;
    bool split = given != NULL ? str_eq(given, "true") : b->is_split;
    if (given != NULL && !split && !str_eq(given, "false"))
        return err_set(err, ERR_USAGE, "invalid value '%s' for platform-split", given);
    ret->d = d;
    ret->v = mem_calloc(b->n_targets, sizeof(*ret->v));
    for (size_t i = 0; i < b->n_targets; i++) {
        char text[64];
        strv_add(&ret->names, platform_format(&b->targets[i].platform, text));
        strv_take(&ret->dirs, split ? dir_of_platform(text) : str_dup(""));
    }
    for (size_t i = 0; i < b->n_targets; i++)
        ret->v[i] = (struct exported){ .s = &build_target_stage(b, i)->state,
                                       .dir = ret->dirs.v[i],
                                       .name = ret->names.v[i] };
    return 0;
}

static int produce_tar(void *arg, struct sink *to, struct err *err)
{
    struct exporting *x = arg;
    return export_tar(x->d->b->e, x->v, x->d->n_images, to, err);
}

static struct doc_options docs_options(const struct delivery *d, const struct output_options *how,
                                       bool attest)
{
    struct doc_options options = how->docs;
    options.is_index = options.is_index || (attest && d->b->is_split);
    return options;
}

static int make_docs(struct delivery *d, const struct output_options *how, bool attest,
                     struct image_docs *ret, struct err *err)
{
    struct doc_options options = docs_options(d, how, attest);
    attest_images(d, attest);
    return image_docs_make(d->b->e, d->images, d->n_images, &options, ret, err);
}

static void show_one(struct delivery *d, const char *what, const struct blob_id *id)
{
    AUTO(mem_free) char *text = str_printf("exporting %s %s", what, DIGEST_S(&id->d));
    vertex_status(d->b->e, d->vertex, text, 0, 0, true);
}

static void show_docs(struct delivery *d, const struct image_docs *docs)
{
    vertex_status(d->b->e, d->vertex, "exporting layers", 0, 0, true);
    for (size_t i = 0; i < docs->n_images; i++) {
        show_one(d, "manifest", &docs->images[i].manifest_id);
        show_one(d, "config", &docs->images[i].config_id);
    }
    for (size_t i = 0; i < docs->n_extra; i++)
        if (docs->extra[i].is_manifest)
            show_one(d, "attestation manifest", &docs->extra[i].what.id);
    if (docs->has_index)
        show_one(d, "manifest list", &docs->index_id);
}

static int output_archive(struct delivery *d, const struct build_output *o, bool docker,
                          struct err *err)
{
    if (docker && d->n_images > 1)
        return engine_refuse_platforms(err);
    AUTO(image_docs_release) struct image_docs docs = { .n_images = 0 };
    AUTO(output_options_release) struct output_options how;
    output_options_init(&how);
    if (output_options_parse(&how, o, d->b->o, err) < 0 ||
        make_docs(d, &how, !docker, &docs, err) < 0)
        return err->code;
    show_docs(d, &docs);
    delivered_note(&d->result, &docs, &how.names);
    struct archiving a = { .d = d,
                           .docs = &docs,
                           .options = { .docker = docker, .names = &how.names } };
    if (!how.is_tar)
        return archive_write_dir(d->b->e, &docs, &a.options, o->dest, err);
    return write_file(d, o->dest, produce_archive, &a, err);
}

static int output_oci(struct delivery *d, const struct build_output *o, struct err *err)
{
    if (o->dest == NULL)
        return err_set(err, ERR_USAGE, "dest is required for type=oci");
    return output_archive(d, o, false, err);
}

static int output_docker(struct delivery *d, const struct build_output *o, struct err *err)
{
    return o->dest == NULL ? load_engine(d, true, err) : output_archive(d, o, true, err);
}

static int output_local(struct delivery *d, const struct build_output *o, struct err *err)
{
    AUTO(exporting_release) struct exporting x = { .v = NULL };
    if (export_open(d, o, &x, err) < 0)
        return err->code;
    return export_tree(d->b->e, x.v, d->n_images, o->dest, err);
}

static int output_tar(struct delivery *d, const struct build_output *o, struct err *err)
{
    AUTO(exporting_release) struct exporting x = { .v = NULL };
    return export_open(d, o, &x, err) < 0 ? err->code
                                          : write_file(d, o->dest, produce_tar, &x, err);
}

static int push_image(struct delivery *d, const struct push_output *to, struct err *err)
{
    const struct output_options *how = &to->options;
    AUTO(image_docs_release) struct image_docs docs = { .n_images = 0 };
    struct doc_options options = docs_options(d, how, true);
    attest_images(d, true);
    if (pusher_documents(to->pusher, d->images, d->n_images, &options, &docs, err) < 0)
        return err->code;
    show_docs(d, &docs);
    if (pusher_finish(to->pusher, &docs, how->by_digest, d->vertex, err) < 0)
        return err->code;
    AUTO(strv_release) struct strv repositories = STRV_INIT;
    pusher_repositories(to->pusher, &repositories);
    delivered_note(&d->result, &docs, how->by_digest ? &repositories : &how->names);
    d->is_elsewhere = true;
    return 0;
}

static int output_image(struct delivery *d, const struct build_output *o, struct err *err)
{
    const struct push_output *to = build_push_output(d->b, o);
    return to != NULL ? push_image(d, to, err) : 0;
}

static int output_none(struct delivery *d UNUSED, const struct build_output *o UNUSED,
                       struct err *err UNUSED)
{
    return 0;
}

static const struct {
    const char *type, *shown;
    int (*write)(struct delivery *d, const struct build_output *o, struct err *err);
} outputs[] = {
    { "oci", "exporting to oci image format", output_oci },
    { "docker", "exporting to docker image format", output_docker },
    { "local", "exporting to client directory", output_local },
    { "tar", "exporting to client tarball", output_tar },
    { "image", "exporting to image", output_image },
    { "cacheonly", "exporting nothing", output_none },
};

static int write_output(struct delivery *d, const struct build_output *o, struct err *err)
{
    for (size_t i = 0; i < ARRAY_LEN(outputs); i++) {
        if (!str_eq(o->type, outputs[i].type))
            continue;
        int64_t started = clock_mono_ms();
        int v = vertex_begin(d->b->e, "%s", outputs[i].shown);
        d->vertex = v;
        int rc = outputs[i].write(d, o, err);
        return vertex_close(d->b->e, v, rc, started, err);
    }
    return err_set(err, ERR_UNSUPPORTED,
                   "output type '%s' is not supported by this version of shale", o->type);
}

/* What images of several platforms are called as one: by their index, as it is in the store. */
static int find_index(struct delivery *d, struct err *err)
{
    AUTO(image_docs_release) struct image_docs docs = { .n_images = 0 };
    struct doc_options how = { .compression = NULL };
    if (d->n_images == 1)
        return 0;
    if (image_docs_make(d->b->e, d->images, d->n_images, &how, &docs, err) < 0)
        return err->code;
    delivered_note(&d->result, &docs, &d->names);
    return 0;
}

bool build_wants_engine(const struct build_options *o)
{
    return o->load == LOAD_YES || (o->load == LOAD_AUTO && o->n_outputs == 0);
}

bool build_wants_image(const struct build_options *o)
{
    for (size_t i = 0; i < o->n_outputs; i++)
        if (str_eq(o->outputs[i].type, "image") || str_eq(o->outputs[i].type, "docker"))
            return true;
    return o->n_outputs == 0 || o->tags.n > 0;
}

/* "-o type=image" that is not pushed: it is this store's. */
static bool is_kept_by_wish(const struct build *b)
{
    for (size_t i = 0; i < b->o->n_outputs; i++)
        if (str_eq(b->o->outputs[i].type, "image") && b->pushers[i] == NULL)
            return true;
    return false;
}

/*
 * The image under its names in the store. An image of which the registry or the engine has layers
 * that are not here is not kept here as well: only to keep it all of them would be fetched. Without
 * such a place they are.
 */
static int keep_image(struct delivery *d, bool is_elsewhere, struct err *err)
{
    int64_t started = clock_mono_ms();
    if (!build_wants_image(d->b->o))
        return 0;
    d->vertex = vertex_begin(d->b->e, "exporting to image");
    int rc = 0;
    if (is_elsewhere && has_away(d) && !is_kept_by_wish(d->b)) {
        vertex_note(d->b->e, d->vertex, "not kept here: layers of its base are not fetched");
        rc = drop_tags(d, err);
    } else {
        rc = fetch_all(d, err);
        rc = rc < 0 ? rc : set_tags(d, err);
    }
    return vertex_close(d->b->e, d->vertex, rc, started, err);
}

static bool is_attested(const struct build_options *o)
{
    return o->provenance.is_wanted && !o->provenance.is_inline_only;
}

static void take_provenance(struct delivery *d)
{
    const struct build_provenance *p = &d->b->o->provenance;
    if (!is_attested(d->b->o))
        return;
    d->provenance = (struct attestation){ .predicate_type = provenance_type(p),
                                          .predicate = provenance_predicate(d->b) };
    d->result.provenance = d->provenance.predicate;
}

static int deliver(struct delivery *d, struct err *err)
{
    const struct build_options *o = d->b->o;
    if (build_canonical_names(&o->tags, &d->names, err) < 0 || find_index(d, err) < 0)
        return err->code;
    strv_copy(&d->result.names, &d->names);
    take_provenance(d);
    bool is_whole = !has_away(d);
    if (is_whole && keep_image(d, false, err) < 0)
        return err->code;
    if (build_wants_engine(o) && load_engine(d, o->load == LOAD_YES, err) < 0)
        return err->code;
    for (size_t i = 0; i < o->n_outputs; i++)
        if (write_output(d, &o->outputs[i], err) < 0)
            return err->code;
    if (!is_whole && keep_image(d, d->is_elsewhere, err) < 0)
        return err->code;
    return deliver_results(d->b, &d->result, err);
}

/* An output with manifests: those carry annotations, and attestations stand beside them. */
static bool has_documents(const struct build *b, const struct build_output *o)
{
    if (str_eq(o->type, "image"))
        return build_push_output(b, o) != NULL;
    return str_eq(o->type, "oci") || (str_eq(o->type, "docker") && o->dest != NULL);
}

static int check_output(const struct build *b, const struct build_output *o, struct err *err)
{
    bool is_docker = str_eq(o->type, "docker");
    AUTO(output_options_release) struct output_options how;
    output_options_init(&how);
    if (b->n_targets > 1 && is_docker && o->dest != NULL)
        return engine_refuse_platforms(err);
    if (!has_documents(b, o))
        return 0;
    if (output_options_parse(&how, o, b->o, err) < 0)
        return err->code;
    bool has_index = !is_docker && (b->n_targets > 1 || b->is_split || is_attested(b->o));
    return image_docs_check(&how.docs, has_index, err);
}

/* What no delivery can hold is said before anything is built. */
int build_check_delivery(const struct build *b, struct err *err)
{
    const struct build_options *o = b->o;
    bool any = false;
    for (size_t i = 0; i < o->n_outputs; i++) {
        if (check_output(b, &o->outputs[i], err) < 0)
            return err->code;
        any = any || has_documents(b, &o->outputs[i]);
    }
    if (!any && (o->n_annotations > 0 || is_attested(o)))
        log_warn("engine", "annotations and attestations are lost: only what is pushed or written "
                           "with type=oci has them");
    return 0;
}

/* One a layer of the configuration; NULL: the stages were not built, the store has them all. */
static const struct layer *const *layers_of(const struct build *b, size_t i)
{
    const struct state *s = &build_target_stage(b, i)->state;
    return s->n_layers == b->targets[i].config.n_layers ? s->layers : NULL;
}

int build_deliver(struct build *b, struct err *err)
{
    AUTO(mem_free) struct built_image *images = mem_calloc(b->n_targets, sizeof(*images));
    for (size_t i = 0; i < b->n_targets; i++)
        images[i] = (struct built_image){ .config_id = b->targets[i].config_id,
                                          .config = &b->targets[i].config,
                                          .layers = layers_of(b, i),
                                          .platform = &b->targets[i].platform };
    struct delivery d = { .b = b,
                          .images = images,
                          .n_images = b->n_targets,
                          .config_id = &b->targets[0].config_id,
                          .config = &b->targets[0].config };
    d.result.config_id = d.config_id;
    int rc = deliver(&d, err);
    if (rc == 0 && d.result.has_top)
        b->result->manifest = d.result.top.id;
    if (rc == 0 && d.n_images > 1)
        b->result->config = d.result.top.id;
    json_decref(d.provenance.predicate);
    delivered_release(&d.result);
    strv_release(&d.names);
    return rc;
}

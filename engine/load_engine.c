#include "engine/load_engine.h"
#include "base/log.h"
#include "engine/archive_internal.h"
#include "engine/engine_internal.h"
#include "engine/lacks.h"
#include <string.h>

#define MEMO_TRIES 4 /* images of the memo that are asked for */

struct loading {
    struct engine *e;
    struct docker *docker;
    const struct engine_load *what;
    int vertex;
    struct engine_memo memo;
    bool is_containerd;
    bool is_sure;           /* of that: the engine has said so, or an image of it shows it */
    bool was_silent;        /* it does not say: nothing is remembered */
    struct image_docs docs; /* for containerd's store */
    struct digest id;       /* what the engine calls the image */
    struct engine_layer *layers;
    struct lacks lacks;
    struct strv unnamed; /* names that do not stand for the image there */
    bool is_there;       /* under some name or by its id */
};

static void loading_clear(struct loading *l)
{
    image_docs_release(&l->docs);
    l->docs = (struct image_docs){ .n_images = 0 };
    mem_free(TAKE(l->layers));
    mem_free(l->lacks.has);
    l->lacks = (struct lacks){ .n = 0 };
    strv_clear(&l->unnamed);
}

static void loading_release(struct loading *l)
{
    loading_clear(l);
    strv_release(&l->unnamed);
    engine_memo_release(&l->memo);
}
DEFINE_AUTO_VALUE(struct loading, loading_release);

/* An engine that does not say takes what a graph driver's takes, whole. */
static void ask_kind(struct loading *l)
{
    struct err why = ERR_INIT;
    l->is_containerd = false;
    l->is_sure = true;
    l->was_silent = docker_is_containerd(l->docker, &l->is_containerd, &why) < 0;
    if (l->was_silent)
        log_warn("engine", "%s", why.msg);
}

/* What is to be sent at most. Layers are packed for containerd's store only: its images are named
 * by the packed bytes. */
static int prepare(struct loading *l, struct err *err)
{
    const struct image_config *c = l->what->config;
    struct built_image image = { .config_id = *l->what->config_id,
                                 .config = c,
                                 .layers = l->what->layers };
    struct doc_options options = { .compression = NULL };
    if (l->memo.is_known)
        l->is_containerd = l->memo.is_containerd;
    else if (!l->is_sure)
        ask_kind(l);
    if (l->is_containerd && image_docs_make(l->e, &image, 1, &options, &l->docs, err) < 0)
        return err->code;
    l->id = l->is_containerd ? l->docs.top.id.d : l->what->config_id->d;
    l->layers = mem_calloc(c->n_layers + 1, sizeof(*l->layers));
    for (size_t i = 0; i < c->n_layers; i++) {
        l->layers[i].diff = c->layers[i];
        if (l->is_containerd)
            l->layers[i].blob = l->docs.images[0].blobs[i].id;
    }
    l->lacks = (struct lacks){ .layers = l->layers,
                               .n = c->n_layers,
                               .by_blob = l->is_containerd,
                               .has = mem_calloc(c->n_layers + 1, sizeof(bool)) };
    return 0;
}

/* What it has. */

/* The engine has this image. Of one in containerd's store only the memo knows the blobs. */
static void learn(struct loading *l, const struct inspected *seen)
{
    const struct engine_image *known = engine_memo_find(&l->memo, &seen->id);
    if (!l->is_containerd)
        lacks_learn(&l->lacks, seen->layers, seen->n_layers);
    else if (known != NULL && known->n_layers == seen->n_layers)
        lacks_learn(&l->lacks, known->layers, known->n_layers);
}

/*
 * One kind names an image by its manifest, the other by its configuration: an engine that knows an
 * image by the digest that is remembered is still of the kind that it was. Newer engines tell.
 */
static bool shows_kind(const struct loading *l, const struct inspected *seen)
{
    bool is_remembered = l->memo.is_known && engine_memo_find(&l->memo, &seen->id) != NULL;
    return (is_remembered && l->memo.is_containerd == l->is_containerd) ||
           (seen->has_descriptor && l->is_containerd);
}

/* Whether the engine has an image of that name or id, which is learned from. *ret_same: it is ours,
 * and whole. An engine that does not answer is found out when something is sent. */
static bool look_at(struct loading *l, const char *name, bool *ret_same)
{
    struct err ignored = ERR_INIT;
    AUTO(inspected_release) struct inspected seen = { .n_layers = 0 };
    json_auto_t *answer = docker_inspect(l->docker, name, &ignored);
    *ret_same = false;
    if (answer == NULL || inspected_parse(answer, &seen, &ignored) < 0)
        return false;
    *ret_same = digest_eq(&seen.id, &l->id) && seen.n_layers == l->lacks.n;
    l->is_sure = l->is_sure || *ret_same || shows_kind(l, &seen);
    learn(l, &seen);
    return true;
}

static void look_at_names(struct loading *l)
{
    const struct strv *names = l->what->names;
    bool same;
    for (size_t i = 0; i < names->n; i++) {
        look_at(l, names->v[i], &same);
        if (!same)
            strv_add(&l->unnamed, names->v[i]);
        l->is_there = l->is_there || same;
    }
    if (!l->is_there)
        look_at(l, DIGEST_S(&l->id), &l->is_there);
}

/* The image of the memo that would tell most. */
static const struct engine_image *best_of_memo(const struct loading *l)
{
    const struct engine_image *best = NULL;
    size_t most = 0;
    for (size_t i = 0; i < l->memo.n; i++) {
        const struct engine_image *image = &l->memo.images[i];
        size_t gain = lacks_gain(&l->lacks, image->layers, image->n_layers);
        if (gain > most) {
            most = gain;
            best = image;
        }
    }
    return best;
}

static void look_further(struct loading *l)
{
    bool same;
    for (int i = 0; i < MEMO_TRIES && l->lacks.n_has < l->lacks.n; i++) {
        const struct engine_image *image = best_of_memo(l);
        if (image == NULL)
            break;
        struct digest id = image->id;
        size_t before = l->lacks.n_has;
        look_at(l, DIGEST_S(&id), &same);
        if (l->lacks.n_has == before) /* it is gone */
            engine_memo_drop(&l->memo, &id);
    }
    if (l->lacks.n_has == 0 && !l->is_containerd && l->what->base != NULL)
        look_at(l, l->what->base, &same);
}

/* Sending. */

static int produce(void *arg, struct sink *to, struct err *err)
{
    struct loading *l = arg;
    const struct engine_load *w = l->what;
    struct archive_options o = { .docker = true, .names = w->names, .has = l->lacks.has };
    return l->is_containerd ? archive_write(l->e, &l->docs, &o, to, err)
                            : archive_write_graph(l->e, w, l->lacks.n_has, to, err);
}

/* containerd's store takes an image that lacks blobs when it was unpacked before. */
static int check_whole(struct loading *l, struct err *err)
{
    bool same;
    look_at(l, DIGEST_S(&l->id), &same);
    return same ? 0 : err_set(err, ERR_NET, "the Docker engine has not all of the image");
}

static int send_image(struct loading *l, struct err *err)
{
    size_t left_out = l->lacks.n_has;
    uint64_t sent = 0;
    AUTO(source_free) struct source *tar = producer_source(produce, l, err);
    if (tar == NULL)
        return err->code;
    AUTO(source_free) struct source *counted = source_count(TAKE(tar), &sent);
    if (docker_load(l->docker, counted, err) < 0)
        return err->code;
    if (l->is_containerd && left_out > 0 && check_whole(l, err) < 0)
        return err->code;
    AUTO(mem_free)
    char *text = str_printf("transferring %zu of %zu layers", l->lacks.n - left_out, l->lacks.n);
    vertex_status(l->e, l->vertex, text, sent, 0, true);
    return 0;
}

/* The memo was wrong, perhaps even about what kind of engine it is. */
static int send_whole(struct loading *l, struct err *err)
{
    loading_clear(l);
    engine_memo_release(&l->memo);
    return prepare(l, err) < 0 ? err->code : send_image(l, err);
}

static int send_what_lacks(struct loading *l, struct err *err)
{
    struct err thin = ERR_INIT;
    if (l->lacks.n_has == 0)
        return send_image(l, err);
    if (send_image(l, &thin) == 0)
        return 0;
    if (thin.code == ERR_CANCELLED)
        return err_copy(err, &thin);
    log_info("engine", "the image is sent whole: %s", thin.msg);
    return send_whole(l, err);
}

/* It is there, under another name. */
static int set_names(struct loading *l, struct err *err)
{
    for (size_t i = 0; i < l->unnamed.n; i++) {
        AUTO(image_name_release) struct image_name n = { 0 };
        if (image_name_parse(l->unnamed.v[i], &n, err) < 0)
            return err->code;
        AUTO(mem_free) char *repository = image_name_repository(&n);
        if (docker_tag(l->docker, DIGEST_S(&l->id), repository, n.tag, err) < 0)
            return err->code;
    }
    return 0;
}

/* The address may have another engine than when the memo was written, or the engine another store:
 * that is made sure of before something is sent. */
static int make_sure(struct loading *l, struct err *err)
{
    bool remembered = l->is_containerd;
    if (l->is_sure)
        return 0;
    ask_kind(l);
    if (l->is_containerd == remembered && !l->was_silent)
        return 0;
    loading_clear(l);
    engine_memo_release(&l->memo);
    if (prepare(l, err) < 0)
        return err->code;
    l->is_there = false;
    look_at_names(l);
    return 0;
}

static int deliver(struct loading *l, struct err *err)
{
    struct err gone = ERR_INIT;
    if (l->is_there && set_names(l, &gone) == 0)
        return 0;
    if (gone.code == ERR_CANCELLED)
        return err_copy(err, &gone);
    look_further(l);
    return send_what_lacks(l, err);
}

static void remember(struct loading *l)
{
    if (l->was_silent)
        return;
    if (l->memo.is_known && l->memo.n > 0 && digest_eq(&l->memo.images[0].id, &l->id))
        return;
    l->memo.is_known = true;
    l->memo.is_containerd = l->is_containerd;
    engine_memo_add(&l->memo, &l->id, l->layers, l->lacks.n);
    engine_memo_write(l->e->store, docker_host(l->docker), &l->memo);
}

int engine_load(struct engine *e, struct docker *docker, const struct engine_load *what, int vertex,
                struct engine_loaded *ret, struct err *err)
{
    AUTO(loading_release)
    struct loading l = { .e = e, .docker = docker, .what = what, .vertex = vertex };
    engine_memo_read(e->store, docker_host(docker), &l.memo);
    if (prepare(&l, err) < 0)
        return err->code;
    look_at_names(&l);
    if ((!l.is_there || l.unnamed.n > 0) && make_sure(&l, err) < 0)
        return err->code;
    bool was_there = l.is_there && l.unnamed.n == 0;
    if (!was_there && deliver(&l, err) < 0)
        return err->code;
    remember(&l);
    *ret = (struct engine_loaded){ .was_there = was_there, .has_manifest = l.is_containerd };
    if (l.is_containerd) {
        ret->manifest = l.docs.top.id;
        ret->manifest_size = l.docs.top.size;
    }
    return 0;
}

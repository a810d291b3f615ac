#include "engine/provenance.h"

#include "base/base64.h"
#include "engine/base_images.h"
#include "engine/context_named.h"
#include "engine/contexts.h"
#include "engine/fetch.h"
#include "remote/url.h"
#include <string.h>
#include <sys/random.h>

#define ID_LEN 25
#define BUILDKIT_V1 "https://mobyproject.org/buildkit@v1"
#define BUILDKIT_SLSA1 \
    "https://github.com/moby/buildkit/blob/master/docs/attestations/slsa-definitions.md"

void provenance_saw(struct build *b, const char *written, const char *uri, const char *algorithm,
                    const char *hex)
{
    pthread_mutex_lock(&b->lock);
    map_set(b->materials, uri, str_printf("%s:%s", algorithm, hex));
    if (b->context_uri == NULL && str_eq(written, b->o->context))
        b->context_uri = str_dup(uri);
    pthread_mutex_unlock(&b->lock);
}

const char *provenance_type(const struct build_provenance *p)
{
    return p->is_v02 ? "https://slsa.dev/provenance/v0.2" : "https://slsa.dev/provenance/v1";
}

const char *build_id(struct build *b)
{
    static const char letters[] = "0123456789abcdefghijklmnopqrstuvwxyz";
    unsigned char bytes[ID_LEN];
    if (b->id[0] != '\0' || getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
        return b->id;
    for (size_t i = 0; i < ID_LEN; i++)
        b->id[i] = letters[bytes[i] % 36];
    return b->id;
}

/* Materials. */

static void saw_base(void *arg, const char *canonical, const char *platform,
                     const struct found_image *found)
{
    struct build *b = arg;
    AUTO(image_name_release) struct image_name n = { 0 };
    struct err ignored = ERR_INIT;
    if (image_name_parse(canonical, &n, &ignored) < 0)
        return;
    AUTO(mem_free) char *uri = image_name_package_url(&n, platform);
    const struct blob_id *id = found->has_manifest ? &found->manifest_id : &found->config_id;
    provenance_saw(b, canonical, uri, "sha256", DIGEST_HEX(&id->d));
}

static json_t *digest_object(const char *digest)
{
    const char *colon = strchr(digest, ':');
    json_t *ret = json_object();
    AUTO(mem_free) char *algorithm = str_ndup(digest, (size_t)(colon - digest));
    json_object_set_new(ret, algorithm, json_string(colon + 1));
    return ret;
}

static json_t *materials(struct build *b)
{
    AUTO(strv_release) struct strv uris = STRV_INIT;
    const char *uri;
    void *digest;
    json_t *ret = json_array();
    base_images_each(b, saw_base, b);
    for (size_t i = 0; map_next(b->materials, &i, &uri, &digest);)
        strv_add(&uris, uri);
    strv_sort(&uris);
    for (size_t i = 0; i < uris.n; i++)
        json_array_append_new(ret,
                              json_pack("{s:o, s:o}", "uri", json_from_str(uris.v[i]), "digest",
                                        digest_object(map_get(b->materials, uris.v[i]))));
    return ret;
}

/* Parameters. */

static void add_pairs(struct strv *to, const char *prefix, const struct strv *pairs)
{
    for (size_t i = 0; i < pairs->n; i++)
        strv_addf(to, "%s%s", prefix, pairs->v[i]);
}

/* Named contexts; of those on this machine the name alone. */
static void add_contexts(struct strv *to, const struct strv *contexts)
{
    for (size_t i = 0; i < contexts->n; i++) {
        const char *pair = contexts->v[i], *value = strchr(pair, '=') + 1;
        int n = (int)(value - pair - 1);
        AUTO(mem_free) char *shown = context_is_remote(value) ? url_redact(value) : NULL;
        if (shown == NULL && (str_starts(value, "docker-image://") || str_starts(value, "target:")))
            shown = str_dup(value);
        if (shown != NULL)
            strv_addf(to, "context:%.*s=%s", n, pair, shown);
        else
            strv_addf(to, "context:%.*s=local:%.*s", n, pair, n, pair);
    }
}

/* What the command line said, or NULL. With mode=min: no values that may be anything. */
static json_t *arguments(const struct build *b)
{
    const struct build_options *o = b->o;
    AUTO(strv_release) struct strv list = STRV_INIT;
    if (o->provenance.is_max) {
        add_pairs(&list, "build-arg:", &o->build_args);
        add_pairs(&list, "label:", &o->labels);
    }
    add_contexts(&list, &o->contexts);
    if (o->target != NULL)
        strv_addf(&list, "target=%s", o->target);
    if (o->no_cache)
        strv_add(&list, "no-cache=");
    strv_sort(&list);
    json_t *ret = list.n > 0 ? json_object() : NULL;
    for (size_t i = 0; i < list.n; i++) {
        const char *eq = strchr(list.v[i], '=');
        AUTO(mem_free) char *key = str_ndup(list.v[i], (size_t)(eq - list.v[i]));
        json_object_set_new(ret, key, json_from_str(eq + 1));
    }
    return ret;
}

/* Everything that was said is in the statement. */
static bool is_complete(const struct build *b)
{
    const struct build_options *o = b->o;
    return o->provenance.is_max || (o->build_args.n == 0 && o->labels.n == 0);
}

static bool has_local_files(const struct build *b)
{
    return !contexts_is_remote(b) || b->o->contexts.n > 0;
}

static json_t *request(const struct build *b)
{
    json_t *ret = json_pack("{s:s}", "frontend", "dockerfile.v0");
    json_t *args = arguments(b);
    if (args != NULL)
        json_object_set_new(ret, "args", args);
    if (!contexts_is_remote(b))
        json_object_set_new(ret, "locals",
                            json_pack("[{s:s}, {s:s}]", "name", "context", "name", "dockerfile"));
    return ret;
}

static const char *dockerfile_name(const struct build *b)
{
    return b->result->dockerfile_name != NULL ? b->result->dockerfile_name : "Dockerfile";
}

/* The context's repository or URL, where it is one; entry: the version's name for the file. */
static json_t *config_source(const struct build *b, const char *entry)
{
    json_t *ret = json_object();
    const char *digest = b->context_uri ? map_get(b->materials, b->context_uri) : NULL;
    if (digest != NULL) {
        /* of a repository with the directory in it, which is not in the material's name */
        AUTO(mem_free)
        char *uri =
            fetch_is_git(b->o->context) ? url_redact(b->o->context) : str_dup(b->context_uri);
        json_object_set_new(ret, "uri", json_from_str(uri));
        json_object_set_new(ret, "digest", digest_object(digest));
    }
    json_object_set_new(ret, entry, json_from_str(dockerfile_name(b)));
    return ret;
}

/* With mode=max: the Dockerfile itself. */
static json_t *sources(const struct build *b)
{
    AUTO(buf_release) struct buf text = BUF_INIT;
    base64_add(&text, buf_str(&b->result->dockerfile), b->result->dockerfile.len);
    return json_pack("{s:{s:[{s:o, s:s, s:s}]}}", "source", "infos", "filename",
                     json_from_str(dockerfile_name(b)), "language", "Dockerfile", "data",
                     buf_str(&text));
}

/* Both versions. */

struct facts {
    char started[CLOCK_STR_LEN], finished[CLOCK_STR_LEN], platform[64];
    const char *builder;
};

static void gather(const struct build *b, struct facts *ret)
{
    struct platform host = platform_host();
    clock_format(b->started, ret->started);
    clock_format(clock_now(), ret->finished);
    platform_format(&host, ret->platform);
    ret->builder = b->o->provenance.builder ? b->o->provenance.builder : "";
}

static json_t *metadata_v1(struct build *b, const struct facts *f)
{
    json_t *ret = json_pack("{s:s, s:s, s:s}", "invocationId", build_id(b), "startedOn", f->started,
                            "finishedOn", f->finished);
    if (b->o->provenance.is_max)
        json_object_set_new(ret, "buildkit_metadata", sources(b));
    json_object_set_new(ret, "buildkit_completeness",
                        json_pack("{s:b, s:b}", "request", is_complete(b), "resolvedDependencies",
                                  !has_local_files(b)));
    if (b->o->provenance.is_reproducible)
        json_object_set_new(ret, "buildkit_reproducible", json_true());
    return ret;
}

static json_t *predicate_v1(struct build *b, const struct facts *f, json_t *used)
{
    json_t *definition = json_pack("{s:s}", "buildType", BUILDKIT_SLSA1);
    if (json_array_size(used) > 0)
        json_object_set(definition, "resolvedDependencies", used);
    json_object_set_new(
        definition, "externalParameters",
        json_pack("{s:o, s:o}", "configSource", config_source(b, "path"), "request", request(b)));
    json_object_set_new(definition, "internalParameters",
                        json_pack("{s:s}", "builderPlatform", f->platform));
    return json_pack("{s:o, s:{s:{s:o}, s:o}}", "buildDefinition", definition, "runDetails",
                     "builder", "id", json_from_str(f->builder), "metadata", metadata_v1(b, f));
}

static json_t *metadata_v02(struct build *b, const struct facts *f)
{
    json_t *ret =
        json_pack("{s:s, s:s, s:s, s:{s:b, s:b, s:b}, s:b}", "buildInvocationID", build_id(b),
                  "buildStartedOn", f->started, "buildFinishedOn", f->finished, "completeness",
                  "parameters", is_complete(b), "environment", true, "materials",
                  !has_local_files(b), "reproducible", b->o->provenance.is_reproducible);
    if (b->o->provenance.is_max)
        json_object_set_new(ret, BUILDKIT_V1 "#metadata", sources(b));
    return ret;
}

static json_t *predicate_v02(struct build *b, const struct facts *f, json_t *used)
{
    json_t *ret = json_pack("{s:{s:o}, s:s}", "builder", "id", json_from_str(f->builder),
                            "buildType", BUILDKIT_V1);
    if (json_array_size(used) > 0)
        json_object_set(ret, "materials", used);
    json_object_set_new(ret, "invocation",
                        json_pack("{s:o, s:o, s:{s:s}}", "configSource",
                                  config_source(b, "entryPoint"), "parameters", request(b),
                                  "environment", "platform", f->platform));
    json_object_set_new(ret, "metadata", metadata_v02(b, f));
    return ret;
}

json_t *provenance_predicate(struct build *b)
{
    struct facts f;
    gather(b, &f);
    json_auto_t *used = materials(b);
    return b->o->provenance.is_v02 ? predicate_v02(b, &f, used) : predicate_v1(b, &f, used);
}

#include "cmd/build_request.h"

#include "base/log.h"
#include "cmd/cache_spec.h"
#include "cmd/call.h"
#include "cmd/config.h"
#include "cmd/csv.h"
#include "cmd/stdin_source.h"
#include "cmd/trace_options.h"
#include "dockerfile/ignore.h"
#include "engine/context_named.h"
#include "image/name.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#define DOCKERFILE_MAX (16u << 20)

void build_request_release(struct build_request *r)
{
    strv_release(&r->build.build_args);
    strv_release(&r->build.labels);
    strv_release(&r->build.tags);
    strv_release(&r->build.cache_images);
    strv_release(&r->build.add_hosts);
    strv_release(&r->build.no_cache_filter);
    strv_release(&r->build.allow);
    strv_release(&r->build.docs);
    build_access_release(&r->access);
    attest_spec_release(&r->attest);
    output_list_release(&r->outputs);
    mem_free(r->platforms);
    strv_release(&r->build.contexts);
    buf_release(&r->dockerfile);
    source_free(r->context_tar);
}

static int read_text(struct build_request *r, struct source *in, struct err *err)
{
    AUTO(sink_free) struct sink *out = sink_buf(&r->dockerfile, DOCKERFILE_MAX);
    uint64_t n;
    if (stream_copy(in, out, &n, err) < 0)
        return err_wrap(err, "cannot read the Dockerfile from standard input");
    r->build.dockerfile_text = buf_str(&r->dockerfile);
    r->build.dockerfile_len = r->dockerfile.len;
    return 0;
}

static int read_stdin(struct build_request *r, const struct session *s, struct err *err)
{
    AUTO(source_free) struct source *in = stdin_source(s->cancel);
    return read_text(r, in, err);
}

/* `shale build -`: an archive is the context, anything else a Dockerfile without one. */
static int context_from_stdin(struct build_request *r, const struct session *s, const char *file,
                              struct err *err)
{
    if (str_eq(file, "-"))
        return err_set(err, ERR_USAGE,
                       "invalid argument: can't use stdin for both build context and dockerfile");
    AUTO(source_free) struct source *in = stdin_source(s->cancel);
    char head[CONTEXT_HEAD];
    ssize_t n = source_read_full(in, head, sizeof(head), err);
    if (n < 0)
        return err_wrap(err, "failed to peek context header from STDIN");
    source_free(in);
    in = stdin_source_after(s->cancel, head, (size_t)n);
    if (context_is_archive(head, (size_t)n)) {
        r->build.dockerfile = file;
        r->build.context_tar = r->context_tar = TAKE(in);
        return 0;
    }
    if (file != NULL)
        return err_set(
            err, ERR_USAGE,
            "ambiguous Dockerfile source: both stdin and flag correspond to Dockerfiles");
    return read_text(r, in, err);
}

static int take_context(struct build_request *r, const struct session *s, const char *context,
                        const char *file, struct err *err)
{
    struct stat st;
    if (*context == '\0')
        return err_set(err, ERR_USAGE,
                       "please specify build context (e.g. \".\" for the current directory)");
    if (str_eq(context, "-"))
        return context_from_stdin(r, s, file, err);
    bool is_dir = stat(context, &st) == 0 && S_ISDIR(st.st_mode);
    if (!is_dir && !context_is_remote(context))
        return err_set(err, ERR_USAGE, "unable to prepare context: path \"%s\" not found", context);
    r->build.context = context;
    if (file != NULL && str_eq(file, "-"))
        return read_stdin(r, s, err);
    r->build.dockerfile = file;
    return 0;
}

/* A directory of this machine is looked for now, whether or not the build will ask for it. */
static int check_named(const char *spec, struct err *err)
{
    static const char *const elsewhere[] = { "docker-image://", "oci-layout://", "target:" };
    const char *value = strchr(spec, '=') + 1;
    int name_len = (int)(value - 1 - spec);
    struct stat st;
    for (size_t i = 0; i < ARRAY_LEN(elsewhere); i++)
        if (str_starts(value, elsewhere[i]))
            return 0;
    if (context_is_remote(value))
        return 0;
    if (stat(value, &st) < 0)
        return err_set(err, ERR_USAGE, "failed to get build context %.*s: stat %s: %s", name_len,
                       spec, value,
                       errno == ENOENT ? "no such file or directory" : strerror(errno));
    if (!S_ISDIR(st.st_mode))
        return err_set(err, ERR_USAGE, "failed to get build context path %s: not a directory",
                       value);
    return 0;
}

static int take_contexts(struct strv *ret, const struct strv *given, struct err *err)
{
    for (size_t i = 0; i < given->n; i++) {
        AUTO(mem_free) char *spec = context_spec_parse(given->v[i], err);
        if (spec == NULL)
            return err->code;
        strv_add(ret, spec);
    }
    for (size_t i = 0; i < ret->n; i++)
        if (check_named(ret->v[i], err) < 0)
            return err->code;
    return 0;
}

static int check_key(const char *pair, struct err *err)
{
    if (*pair == '\0' || *pair == '=')
        return err_set(err, ERR_USAGE, "invalid key-value pair \"%s\": empty key", pair);
    return 0;
}

static void set_pair(struct strv *list, const char *pair, size_t key_len)
{
    AUTO(mem_free) char *key = str_ndup(pair, key_len);
    env_set(list, key, pair + key_len + 1);
}

/* "K" takes the value of our environment; without one it is as if it had not been given. */
static int take_build_args(struct strv *ret, const struct strv *given, struct err *err)
{
    const char *epoch = getenv("SOURCE_DATE_EPOCH");
    if (epoch != NULL && *epoch != '\0')
        env_set(ret, "SOURCE_DATE_EPOCH", epoch);
    for (size_t i = 0; i < given->n; i++) {
        const char *pair = given->v[i], *eq = strchr(pair, '=');
        if (check_key(pair, err) < 0)
            return err->code;
        const char *value = eq == NULL ? getenv(pair) : NULL;
        if (eq != NULL)
            set_pair(ret, pair, (size_t)(eq - pair));
        else if (value != NULL)
            env_set(ret, pair, value);
    }
    return 0;
}

static int take_labels(struct strv *ret, const struct strv *given, struct err *err)
{
    for (size_t i = 0; i < given->n; i++) {
        const char *pair = given->v[i], *eq = strchr(pair, '=');
        if (check_key(pair, err) < 0)
            return err->code;
        if (eq != NULL)
            set_pair(ret, pair, (size_t)(eq - pair));
        else
            env_set(ret, pair, "");
    }
    return 0;
}

static int take_tags(struct strv *ret, const struct strv *given, struct err *err)
{
    for (size_t i = 0; i < given->n; i++) {
        struct image_name name = { .domain = NULL };
        int code = image_name_parse(given->v[i], &name, err);
        if (code == 0 && name.has_digest)
            code = err_set(err, ERR_USAGE, "it must not have a digest");
        image_name_release(&name);
        if (code < 0)
            return err_wrap(err, "invalid tag \"%s\"", given->v[i]);
        strv_add(ret, given->v[i]);
    }
    return 0;
}

/* RUN shares the host's network: there the host is the loopback address. */
#define HOST_GATEWAY "127.0.0.1"

/* "name:ip", "name=ip", "name:[ip6]"; to the engine as "name:ip". */
static int take_host(struct strv *ret, const char *text, struct err *err)
{
    size_t n = strcspn(text, "=");
    if (text[n] == '\0')
        n = strcspn(text, ":");
    if (text[n] == '\0' || n == 0 || text[n + 1] == '\0')
        return err_set(err, ERR_USAGE, "invalid host %s", text);
    const char *ip = text + n + 1;
    size_t len = strlen(ip);
    if (ip[0] == '[' && ip[len - 1] == ']') {
        ip++;
        len -= 2;
    }
    AUTO(mem_free) char *plain = str_ndup(ip, len);
    const char *address = str_eq(plain, "host-gateway") ? HOST_GATEWAY : plain;
    if (strspn(address, "0123456789abcdefABCDEF.:%") != strlen(address))
        return err_set(err, ERR_USAGE, "invalid host %s: \"%s\" is no IP address", text, address);
    strv_addf(ret, "%.*s:%s", (int)n, text, address);
    return 0;
}

static int take_hosts(struct strv *ret, const struct strv *given, struct err *err)
{
    for (size_t i = 0; i < given->n; i++) {
        AUTO(strv_release) struct strv fields = STRV_INIT;
        if (csv_parse(given->v[i], &fields, err) < 0)
            return err->code;
        for (size_t j = 0; j < fields.n; j++) {
            if (take_host(ret, fields.v[j], err) < 0)
                return err->code;
        }
    }
    return 0;
}

static int take_network(struct build_options *b, const char *mode, struct err *err)
{
    static const char *const modes[] = { "default", "host", "none" };
    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        if (str_eq(modes[i], mode)) {
            b->network = mode;
            return 0;
        }
    }
    return err_set(err, ERR_USAGE,
                   "network mode \"%s\" not supported by shale - use default, host or none", mode);
}

static bool same_platform(const struct platform *a, const struct platform *b)
{
    char one[64], other[64];
    return str_eq(platform_format(a, one), platform_format(b, other)) &&
           str_eq(a->os_version, b->os_version);
}

/* One that is there already counts once. */
static int add_platform(struct build_request *r, const char *text, struct err *err)
{
    struct build_options *b = &r->build;
    struct platform p = platform_host();
    if (strcasecmp(text, "local") != 0 && platform_parse(text, &p, err) < 0)
        return err->code;
    for (size_t i = 0; i < b->n_platforms; i++)
        if (same_platform(&p, &r->platforms[i]))
            return 0;
    if (b->n_platforms == BUILD_PLATFORMS_MAX)
        return err_set(err, ERR_USAGE, "more than %d platforms", BUILD_PLATFORMS_MAX);
    r->platforms[b->n_platforms++] = p;
    return 0;
}

static int take_platforms(struct build_request *r, const struct strv *given, struct err *err)
{
    AUTO(strv_release) struct strv all = STRV_INIT;
    for (size_t i = 0; i < given->n; i++) {
        AUTO(strv_release) struct strv fields = STRV_INIT;
        if (csv_parse(given->v[i], &fields, err) < 0)
            return err->code;
        strv_append(&all, &fields);
    }
    const char *fallback = getenv("DOCKER_DEFAULT_PLATFORM");
    if (all.n == 0 && fallback != NULL && csv_parse(fallback, &all, err) < 0)
        return err->code;
    r->platforms = mem_calloc(BUILD_PLATFORMS_MAX, sizeof(*r->platforms));
    for (size_t i = 0; i < all.n; i++)
        if (add_platform(r, all.v[i], err) < 0)
            return err->code;
    r->build.platforms = r->platforms;
    return 0;
}

static int take_filter(struct build_options *b, const struct options *o, struct err *err)
{
    const struct strv *given = option_list(o, "no-cache-filter");
    if (b->no_cache && given->n > 0)
        return err_set(err, ERR_USAGE,
                       "--no-cache and --no-cache-filter cannot currently be used together");
    for (size_t i = 0; i < given->n; i++) {
        AUTO(strv_release) struct strv fields = STRV_INIT;
        if (csv_parse(given->v[i], &fields, err) < 0)
            return err->code;
        strv_append(&b->no_cache_filter, &fields);
    }
    /* --no-cache-filter= is --no-cache, as with Docker */
    const struct strv *names = &b->no_cache_filter;
    b->no_cache |= given->n > 0 && (names->n == 0 || (names->n == 1 && names->v[0][0] == '\0'));
    return 0;
}

static int take_outputs(struct build_request *r, const struct options *o, struct err *err)
{
    const struct strv *given = option_list(o, "output");
    bool to_stdout;
    for (size_t i = 0; i < given->n; i++) {
        if (output_list_add(&r->outputs, given->v[i], isatty(STDOUT_FILENO), err) < 0)
            return err->code;
    }
    if (option_on(o, "push"))
        output_list_push(&r->outputs);
    if (output_list_check_names(&r->outputs, r->build.tags.n > 0, err) < 0 ||
        output_list_stdout(&r->outputs, &to_stdout, err) < 0 ||
        output_list_check(&r->outputs, &r->build, err) < 0)
        return err->code;
    r->build.outputs = r->outputs.v;
    r->build.n_outputs = r->outputs.n;
    r->build.stdout_fd = STDOUT_FILENO;
    if (option_given(o, "load"))
        r->build.load = option_on(o, "load") ? LOAD_YES : LOAD_NO;
    return 0;
}

/* Flags that a team sets once for all its builds. */
static bool is_set(const char *variable)
{
    const char *value = getenv(variable);
    return value != NULL && *value != '\0';
}

static bool is_on(const char *variable)
{
    static const char *const no[] = { "0", "f", "false", "n", "no", "off" };
    bool on = is_set(variable);
    for (size_t i = 0; on && i < ARRAY_LEN(no); i++)
        on = strcasecmp(getenv(variable), no[i]) != 0;
    return on;
}

/* --skip-docs goes before SHALE_SKIP_DOCS, which goes before the patterns of the configuration. */
static int take_docs(struct build_options *b, const struct options *o, const struct config *c,
                     struct err *err)
{
    static const char *const usual[] = { "*.md",     "*.rst",      "*.adoc",    "docs/**",
                                         "LICENSE*", "CHANGELOG*", ".github/**" };
    strv_copy(&b->docs, &c->docs);
    for (size_t i = 0; !c->has_docs && i < ARRAY_LEN(usual); i++)
        strv_add(&b->docs, usual[i]);
    if (option_given(o, "skip-docs"))
        b->skip_docs = option_on(o, "skip-docs");
    else if (is_set("SHALE_SKIP_DOCS"))
        b->skip_docs = is_on("SHALE_SKIP_DOCS");
    else
        b->skip_docs = c->has_docs;
    b->skip_docs = b->skip_docs && b->docs.n > 0;
    AUTO(ignore_free) struct ignore *patterns = ignore_new(&b->docs, err);
    return patterns != NULL ? 0 : err_wrap(err, "patterns of documentation (docs = ...)");
}

/* What may also stand in the configuration. */
static int take_configured(struct build_options *b, const struct options *o, struct err *err)
{
    AUTO(config_release) struct config config = { .has_docs = false };
    if (config_read(&config, err) < 0)
        return err_wrap(err, "cannot read the configuration");
    return take_docs(b, o, &config, err) < 0 ? err->code : trace_options_take(b, o, &config, err);
}

static void take_plain(struct build_options *b, const struct options *o)
{
    b->target = option_str(o, "target");
    b->no_cache = option_on(o, "no-cache");
    b->pull = option_on(o, "pull");
    b->offline = option_on(o, "offline");
    b->normalize_modes = option_given(o, "normalize-modes") ? option_on(o, "normalize-modes")
                                                            : is_on("SHALE_NORMALIZE_MODES");
    b->iidfile = option_str(o, "iidfile");
    b->metadata_file = option_str(o, "metadata-file");
    b->metadata_warnings = b->metadata_file != NULL && is_on("BUILDX_METADATA_WARNINGS");
}

int build_request_make(const struct session *s, const struct options *o, struct build_request *ret,
                       struct err *err)
{
    AUTO(build_request_release) struct build_request r = { .outputs.v = NULL };
    struct build_options *b = &r.build;
    take_plain(b, o);
    if (take_build_args(&b->build_args, option_list(o, "build-arg"), err) < 0 ||
        take_labels(&b->labels, option_list(o, "label"), err) < 0 ||
        cache_from_take(option_list(o, "cache-from"), &b->cache_images, err) < 0 ||
        take_contexts(&b->contexts, option_list(o, "build-context"), err) < 0)
        return err->code;
    if (take_filter(b, o, err) < 0 || take_tags(&b->tags, option_list(o, "tag"), err) < 0 ||
        take_hosts(&b->add_hosts, option_list(o, "add-host"), err) < 0 ||
        take_network(b, option_str(o, "network"), err) < 0 ||
        build_access_take(&r.access, o, b, err) < 0 || attest_spec_take(&r.attest, o, b, err) < 0 ||
        take_platforms(&r, option_list(o, "platform"), err) < 0 || take_outputs(&r, o, err) < 0 ||
        take_configured(b, o, err) < 0 ||
        take_context(&r, s, o->args.v[0], option_str(o, "file"), err) < 0)
        return err_wrap(err, "failed to build"); /* as buildx: not before what is wrong in form */
    *ret = r;
    r = (struct build_request){ .outputs.v = NULL };
    return 0;
}

int build_request_make_dry(const struct session *s, const struct options *o,
                           struct build_request *ret, struct err *err)
{
    struct call call = { .method = CALL_BUILD };
    if (option_on(o, "debug"))
        log_set_level(LOG_DEBUG);
    if (call_parse(o, &call, err) < 0)
        return err->code;
    if (call.method != CALL_BUILD)
        return err_set(err, ERR_USAGE, "--call and --check are for 'shale build'");
    return build_request_make(s, o, ret, err);
}

/*
 * `shale build`: from options to an image.
 *
 * The Dockerfile is read, parsed and turned into stages; the stages that the
 * target needs are walked side by side; every step's answer is asked of the
 * cache first and made only when there is none; the image is put together and
 * delivered. Nothing here prints: see progress.h.
 */
#ifndef SHALE_ENGINE_BUILD_H
#define SHALE_ENGINE_BUILD_H

#include "base/buf.h"
#include "base/map.h"
#include "engine/engine.h"
#include "engine/image_docs.h"
#include "engine/report.h"
#include "image/platform.h"

/* "-o type=oci,dest=x": attributes as given; type is filled from the short forms ("dir", "-"). */
struct build_output {
    char *type;        /* "image", "docker", "oci", "local", "tar", "registry", "cacheonly" */
    char *dest;        /* path, "-" for stdout, or NULL */
    struct map *attrs; /* everything else, char * values */
};

/* An attribute that is true or false, as Go writes them; not there: *ret stays. ERR_USAGE in
 * BuildKit's words. */
int output_attr_bool(const struct build_output *o, const char *name, bool *ret, struct err *err);

/* --secret. Exactly one of path and env is set. The value is read when a step needs it. */
struct build_secret {
    char *id;
    char *path; /* of a file */
    char *env;  /* name of a variable of ours */
};

/* --ssh. */
struct build_ssh {
    char *id;          /* "default" */
    struct strv paths; /* one agent socket, or private keys; none: $SSH_AUTH_SOCK */
};

#define BUILD_PLATFORMS_MAX 64

/* --provenance: what the image's statement of its origin holds; none unless it is asked for. */
struct build_provenance {
    bool is_wanted;
    bool is_max;          /* mode=max: with build arguments, labels and the Dockerfile's text */
    bool is_v02;          /* version=v0.2; else SLSA v1 */
    bool is_inline_only;  /* only where it can stand inside of an image: nowhere yet */
    bool is_reproducible; /* the user's word that it is */
    const char *builder;  /* builder-id; NULL: "" */
};

#define TRACE_MAX_AGE_S (7 * 24 * 3600) /* the usual trace_max_age_s */

/* Borrowed for the call. Start it zeroed. */
struct build_options {
    const char *context;        /* directory, URL or git repository; NULL: none, or context_tar */
    struct source *context_tar; /* the context as a tar from standard input, or NULL */
    /* path as given with -f, or NULL: Dockerfile in the context. Relative to the context where that
     * is no directory of this machine */
    const char *dockerfile;
    const char *dockerfile_text; /* instead of a file (-f -), or NULL */
    size_t dockerfile_len;
    struct strv build_args; /* "K=V"; those without value are resolved or left out by the caller */
    struct strv labels;     /* "K=V" */
    struct strv tags;       /* as given */
    struct strv cache_images; /* --cache-from type=registry: canonical names */
    struct strv contexts; /* --build-context: "NAME=VALUE", names normalized as image names are */
    const struct build_secret *secrets;
    size_t n_secrets;
    const struct build_ssh *ssh;
    size_t n_ssh;
    struct strv allow;                 /* entitlements: "network.host", "security.insecure" */
    uint64_t shm_size;                 /* of a step's /dev/shm; 0: as usual */
    const struct exec_ulimit *ulimits; /* of steps; exec/run.h */
    size_t n_ulimits;
    const char *cgroup_parent; /* NULL: the group we are in */
    const char *target;
    struct strv add_hosts; /* "name:ip" */
    const char *network;   /* "default", "host", "none", or NULL */
    /* One image for each, no two the same; none: for this machine. More than BUILD_PLATFORMS_MAX
     * are refused. */
    const struct platform *platforms;
    size_t n_platforms;
    bool no_cache;
    struct strv no_cache_filter;
    bool pull;    /* the registry is asked for every base image; not when offline */
    bool offline; /* no registry is asked */
    /*
     * When all that changed since the last successful build is documentation (paths of the context
     * that these patterns match, as those of an ignore file), its image is the result.
     */
    bool skip_docs;
    struct strv docs; /* ignore.h's language */
    /*
     * What a RUN looked at (cache/questions.h): OFF neither watches nor uses what was watched,
     * VERIFY runs a step all the same where it could be reused, and compares.
     */
    enum build_trace { TRACE_ON, TRACE_OFF, TRACE_VERIFY } trace;
    unsigned trace_sample;   /* percent of reuses that are verified so, now and then */
    int64_t trace_max_age_s; /* of traces of steps that could use the network; 0: not used at all */
    bool normalize_modes;    /* of files in directories of this machine: as git keeps them */
    enum build_load { LOAD_AUTO /* when an engine answers */, LOAD_YES, LOAD_NO } load;
    const struct build_output *outputs;
    size_t n_outputs;
    const struct annotation *annotations; /* of all outputs' images */
    size_t n_annotations;
    struct build_provenance provenance;
    int stdout_fd; /* for dest "-" */
    const char *iidfile;
    const char *metadata_file;
    bool metadata_warnings; /* what the checks found stands in it as well */
};

/* Filled as far as the build came, also on failure. */
struct build_result {
    struct blob_id config; /* the image id; of several platforms the index's digest */
    struct blob_id id; /* what the id file and --quiet say: as the image is named where it went */
    struct blob_id manifest; /* of the image as delivered (OCI, zstd layers) */
    bool has_image;
    char *dockerfile_name;      /* as shown in errors: "Dockerfile" */
    struct buf dockerfile;      /* its text, for the excerpt */
    int failed_vertex;          /* 0: none */
    int given_up_vertex;        /* up to here they are of a build that began again; 0: none */
    size_t n_steps, n_cached;   /* steps that make layers; those that were known */
    struct build_report report; /* of every needed stage */
    char *docs_skipped;         /* the documentation that changed and was left out; NULL: none */
    /* engine_plan: */
    bool is_up_to_date; /* no step is to be made, and the image is here under its names */
    char *reason;       /* what is to be done when every step is known; NULL */
};
void build_result_release(struct build_result *r);
DEFINE_AUTO_VALUE(struct build_result, build_result_release);

/* The first of them: what is looked at once for all platforms is looked at for this one. */
struct platform build_first_platform(const struct build_options *o);

int engine_build(struct engine *e, const struct build_options *o, struct build_result *ret,
                 struct err *err);
/*
 * `shale plan`: every answer that engine_build would have, without making, fetching or keeping
 * anything but digests of context files (a context that is no directory is fetched, to look at it).
 * What stands on a step that has to run, or on what has to be fetched, is undecided. ret has the
 * image when every step is known.
 */
int engine_plan(struct engine *e, const struct build_options *o, struct build_result *ret,
                struct err *err);

#endif

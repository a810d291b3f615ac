/*
 * A Dockerfile as stages of typed instructions.
 *
 *     AUTO(dockerfile_free) struct dockerfile *df = dockerfile_parse(text, n, err);
 *     for each stage, for each instr:
 *         AUTO(instr_free) struct instr *i =
 *             instr_expand(stage->instrs[k], &env, df->escape, &unmatched, err);
 *
 * Parsing checks what can be checked without values; instr_expand gives a copy
 * with the fields expanded that BuildKit expands when it comes to that
 * instruction (the environment is the one from before it, so ENV a=1 b=$a uses
 * the old a). Errors are ERR_USAGE with err->line and err->line_end set; an
 * instruction's error reads "dockerfile parse error on line N: ..." as
 * BuildKit's does. Everything is immutable once made; any thread may read.
 *
 * Strings are never NULL where a comment does not say so. Absent flags are NULL.
 */
#ifndef SHALE_DOCKERFILE_INSTR_H
#define SHALE_DOCKERFILE_INSTR_H

#include "base/buf.h"
#include "base/err.h"
#include "base/own.h"
#include "dockerfile/ast.h"
#include "dockerfile/expand.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DOCKERFILE_MAX_STAGES 1000
#define DOCKERFILE_MAX_PAIRS 20000 /* of ENV, LABEL and ARG; looking for one is linear */

enum instr_kind {
    INSTR_ADD,
    INSTR_ARG,
    INSTR_CMD,
    INSTR_COPY,
    INSTR_ENTRYPOINT,
    INSTR_ENV,
    INSTR_EXPOSE,
    INSTR_FROM,
    INSTR_HEALTHCHECK,
    INSTR_LABEL,
    INSTR_MAINTAINER,
    INSTR_ONBUILD,
    INSTR_RUN,
    INSTR_SHELL,
    INSTR_STOPSIGNAL,
    INSTR_USER,
    INSTR_VOLUME,
    INSTR_WORKDIR,
    INSTR_KINDS,
};
/* "ADD", "ARG", ... */
const char *instr_kind_name(enum instr_kind kind);

enum instr_tri { INSTR_UNSET, INSTR_FALSE, INSTR_TRUE };

struct instr_pair {
    char *key;
    char *value;   /* ARG: NULL when there is no default */
    char *comment; /* ARG: from a comment line above that begins with the name; else NULL */
    bool old_form; /* ENV and LABEL: "key value" without '=' */
};
struct instr_pairs {
    struct instr_pair *v;
    size_t n;
};

/* A here-document: a file for COPY and ADD, input or script for RUN. */
struct instr_file {
    char *name;
    char *data; /* COPY and ADD: leading tabs removed already. RUN: as written (see chomp) */
    unsigned fd;
    bool expand; /* COPY and ADD: variables in data are expanded by instr_expand */
    bool chomp;  /* RUN: leading tabs are to be removed when it is run as a script */
};
struct instr_files {
    struct instr_file *v;
    size_t n;
};

/* COPY and ADD. */
struct instr_copy {
    struct strv sources;
    struct instr_files files;
    char *dest;
    char *from;          /* COPY; NULL */
    char *chown, *chmod; /* NULL */
    char *checksum;      /* ADD; NULL */
    struct strv exclude;
    bool link;
    bool parents;                /* COPY */
    enum instr_tri unpack;       /* ADD */
    enum instr_tri keep_git_dir; /* ADD */
};

/* RUN, CMD, ENTRYPOINT. */
struct instr_cmdline {
    bool shell; /* to be given to SHELL; args then has one element, or none */
    struct strv args;
};

enum mount_type { MOUNT_BIND, MOUNT_CACHE, MOUNT_TMPFS, MOUNT_SECRET, MOUNT_SSH };
enum mount_sharing { MOUNT_SHARING_UNSET, MOUNT_SHARED, MOUNT_PRIVATE, MOUNT_LOCKED };

struct run_mount {
    enum mount_type type;
    char *from, *source, *target, *id, *env; /* NULL when not given */
    bool read_only;                          /* the type's default applied */
    bool required;
    enum mount_sharing sharing;
    uint64_t size; /* tmpfs, bytes; 0: none */
    bool has_mode, has_uid, has_gid;
    uint32_t mode, uid, gid;
};
void run_mount_release(struct run_mount *m);
DEFINE_AUTO_VALUE(struct run_mount, run_mount_release);
/* "type=cache,target=/x". Values are expanded with env (after splitting at commas). */
int run_mount_parse(const char *spec, const struct env_lookup *env, char escape,
                    struct strv *unmatched, struct run_mount *ret, struct err *err);
const char *mount_type_name(enum mount_type type);

struct run_device {
    char *name;
    bool required;
};
void run_device_release(struct run_device *d);
DEFINE_AUTO_VALUE(struct run_device, run_device_release);
int run_device_parse(const char *spec, struct run_device *ret, struct err *err);

/*
 * "# shale: WORD ..." among the comment lines above a RUN (since the last instruction; empty lines
 * do not matter, an empty comment starts over): "trace=off" and "trace=on", of which the last
 * counts. Words that are neither are added to unknown (may be NULL), those of a line as one text.
 */
#define RUN_DIRECTIVE "shale:"
bool run_directive_trace_off(const struct strv *comments, struct strv *unknown);
/* Whether there is such a line, of whatever words. */
bool run_directive_is_there(const struct strv *comments);

enum run_network { RUN_NETWORK_DEFAULT, RUN_NETWORK_NONE, RUN_NETWORK_HOST };

struct instr_run {
    struct instr_cmdline cmd;
    struct instr_files files;
    struct strv mount_specs;  /* --mount values as written */
    struct run_mount *mounts; /* by instr_expand: one for each mount_specs; NULL before */
    size_t n_mounts;
    struct run_device *devices;
    size_t n_devices;
    enum run_network network;
    bool insecure;          /* --security=insecure */
    bool trace_off;         /* "# shale: trace=off" above */
    struct strv flags_used; /* names, in order of use, each once */
};

struct instr_healthcheck {
    struct strv test; /* {"NONE"}, {"CMD", argv...} or {"CMD-SHELL", line} */
    int64_t interval, timeout, start_period, start_interval; /* ns; 0: default */
    int retries;                                             /* 0: default */
};

struct instr_from {
    char *base;            /* as written, variables in it */
    char *name;            /* of the stage, lower case; NULL */
    char *name_as_written; /* NULL */
    char *as_keyword;      /* "AS" as written; NULL */
    char *platform;        /* --platform, variables in it; NULL */
    char *comment;         /* from a comment line above that begins with the name; NULL */
};

struct instr {
    enum instr_kind kind;
    int line, line_end;   /* 1-based, inclusive */
    char *keyword;        /* as written: "Run" */
    char *text;           /* source as one line, trimmed, heredocs not included */
    struct strv comments; /* the comment lines above, as in ast.h */
    struct strv flags;    /* as written */
    bool json;            /* written as a JSON array */
    union {
        struct instr_copy copy;   /* COPY, ADD */
        struct instr_pairs pairs; /* ENV, LABEL, ARG */
        struct instr_run run;     /* RUN */
        struct instr_cmdline cmd; /* CMD, ENTRYPOINT */
        struct instr_from from;   /* FROM */
        struct instr_healthcheck health;
        struct strv list; /* EXPOSE (sorted), VOLUME, SHELL */
        char *value;      /* WORKDIR, USER, STOPSIGNAL, MAINTAINER; ONBUILD: the trigger */
    };
};
void instr_free(struct instr *i);
DEFINE_AUTO(struct instr, instr_free);
struct instr *instr_copy_of(const struct instr *i) OWNED(instr_free);

/*
 * A copy as it is to be carried out. Expanded: ADD and COPY sources,
 * destination, --chown, --chmod, --checksum and heredoc contents; ENV and LABEL
 * keys and values; ARG names and defaults; EXPOSE (into words); STOPSIGNAL,
 * USER, WORKDIR, VOLUME; RUN's mounts; FROM's base and --platform. The rest is
 * copied. Names that were not set are added to unmatched (may be NULL).
 * In ARG before the first FROM, BuildKit expands one default after the other,
 * each seeing those before it: do that with expand_word.
 */
struct instr *instr_expand(const struct instr *i, const struct env_lookup *env, char escape,
                           struct strv *unmatched, struct err *err) OWNED(instr_free);

/*
 * The words of from= of a RUN's mounts, as written (nothing in them is expanded), in order. A mount
 * that cannot be read adds nothing: it is refused when it is carried out.
 */
void instr_mount_froms(const struct instr *i, char escape, struct strv *ret);

/*
 * A trigger that a base image's configuration (or an earlier stage's ONBUILD)
 * holds: exactly one instruction, with its heredocs. FROM, ONBUILD and
 * MAINTAINER are refused. The error has no line.
 */
struct instr *instr_parse_onbuild(const char *trigger, struct err *err) OWNED(instr_free);

struct stage {
    struct instr *from;
    struct instr **instrs;
    size_t n_instrs;
    const char *name;     /* from->from.name: lower case, NULL when it has none */
    const char *base;     /* from->from.base */
    const char *platform; /* from->from.platform: NULL */
    int line, line_end;   /* first line of FROM, last line of its last instruction */
};

struct dockerfile {
    struct ast *ast;
    char escape;
    struct instr **args; /* ARGs before the first FROM */
    size_t n_args;
    struct stage *stages;
    size_t n_stages; /* at least 1 */
};
void dockerfile_free(struct dockerfile *df);
DEFINE_AUTO(struct dockerfile, dockerfile_free);
struct dockerfile *dockerfile_parse(const char *text, size_t n, struct err *err)
    OWNED(dockerfile_free);
/* Takes over ast, also on failure. */
struct dockerfile *dockerfile_from_ast(struct ast *ast, struct err *err) OWNED(dockerfile_free);

/*
 * The stage that a name means for stage number `before` (n_stages: for
 * --target): the last one of that name, in any case of letters, below before.
 * -1: none.
 */
int dockerfile_stage_named(const struct dockerfile *df, const char *name, size_t before);
/* The same for what FROM says, in which BuildKit wants the letters as they are kept: lower case. */
int dockerfile_stage_base(const struct dockerfile *df, const char *base, size_t before);
/* As dockerfile_stage_named for COPY --from and from= of mounts, which may also be the stage's
 * number. */
int dockerfile_stage_ref(const struct dockerfile *df, const char *from, size_t before);
/* The stage that --target means: by name only; NULL or empty: the last. ERR_USAGE, no line. */
int dockerfile_target(const struct dockerfile *df, const char *target, size_t *ret,
                      struct err *err);
/*
 * What FROM sees before the first ARG: the platform's variables and TARGETSTAGE (--target as it was
 * given, else the last stage's name, else "default"); a build argument of such a name comes first.
 * All are "K=V"; platform and build_args may be NULL. ret is cleared first.
 */
void dockerfile_globals(const struct dockerfile *df, const char *target,
                        const struct strv *platform, const struct strv *build_args,
                        struct strv *ret);
/* ERR_USAGE when stages take from each other in a circle; the line is that which closes it. */
int dockerfile_check_circles(const struct dockerfile *df, struct err *err);

#endif

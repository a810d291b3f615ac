/*
 * Files from elsewhere: what a URL gives, and git repositories, as layers of
 * the store. For ADD, for contexts and for named contexts.
 *
 * What a URL was last seen to give is remembered with its ETag, which only
 * saves the transfer (a date does not tell versions apart well enough); the
 * digest of the content is what enters keys. A git repository is remembered by its commit. Nothing
 * is fetched for what a checksum names and the store has. Credentials are cut from all that is kept
 * or shown. Any thread; one fetch of a thing at a time.
 */
#ifndef SHALE_ENGINE_FETCH_H
#define SHALE_ENGINE_FETCH_H

#include "engine/build_internal.h"

/* True for what BuildKit takes for a git repository: "git://", "git@host:", "https://x/y.git",
 * "github.com/a/b", a "#fragment" behind .git, "?ref=" forms. */
bool fetch_is_git(const char *text);
bool fetch_is_http(const char *text);

struct fetch_http {
    const char *url;
    const char *checksum; /* "sha256:...", sha384 and sha512 too; or NULL */
    int vertex;           /* status goes here; 0: nowhere */
};
/*
 * One file: the layer holds it alone, under the name it has in the URL ("" has become
 * "__unnamed__"), mode 0600, root's, its mtime the server's Last-Modified (else 0).
 */
struct fetched_file {
    const struct layer *layer;
    char *name;
};
void fetched_file_release(struct fetched_file *f);
DEFINE_AUTO_VALUE(struct fetched_file, fetched_file_release);
/* "sha256:HEX", sha384 and sha512 as well; ERR_USAGE in the words of Go's digest package. */
int fetch_checksum_check(const char *text, struct err *err);
/* The name of a URL's file: one component, never "", "." or "..". */
char *fetch_file_name(const char *url) OWNED(mem_free) NONNULL;
/* Secrets HTTP_AUTH_HEADER_<host> and HTTP_AUTH_TOKEN_<host> are sent to that host only. */
int fetch_http(struct build *b, const struct fetch_http *q, struct fetched_file *ret,
               struct err *err);

struct fetch_git {
    const char *remote;      /* as written: with #ref:subdir or ?query */
    const char *checksum;    /* commit id, or a beginning of it; or NULL */
    enum instr_tri keep_dir; /* --keep-git-dir; unset: the query's word, else no */
    bool commit_times;       /* files have the commit's time, as with ?mtime=commit */
    int vertex;
};
/* What is wrong with it without asking anybody: conflicting words of query and flags. */
int fetch_git_check(const struct fetch_git *q, struct err *err);
/* The work tree (the subdirectory's when one is asked for), root's, 0644 or 0755. */
int fetch_git(struct build *b, const struct fetch_git *q, const struct layer **ret,
              struct err *err);

/* A layer that was given out has left the store since. While one thread has the build. */
bool fetch_lost(const struct build *b);

#endif

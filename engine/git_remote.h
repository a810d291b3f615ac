/*
 * References to git repositories, as BuildKit reads them: what is one, and
 * what it asks for. Pure text.
 *
 *     https://host/x.git#REF:SUBDIR   http, https: only when the path ends in ".git"
 *     git://host/x   ssh://user@host/x   user@host:path   github.com/a/b
 *     ...?ref= &tag= &branch= &subdir= &checksum= &commit= &keep-git-dir= &submodules= &mtime=
 *        &fetch-by-commit=
 */
#ifndef SHALE_ENGINE_GIT_REMOTE_H
#define SHALE_ENGINE_GIT_REMOTE_H

#include "base/buf.h"
#include "base/err.h"
#include "dockerfile/instr.h"

struct git_remote {
    char *url;         /* for git: without fragment, query and, of http and https, credentials */
    char *credentials; /* "user:password" of an http or https URL, decoded; else NULL */
    bool is_ssh;
    bool is_like_path; /* "github.com/a/b": a directory may be called so; no source of ADD */
    char *ref;         /* branch, tag, commit id; "" for the remote's HEAD */
    char *subdir;      /* "" for the whole tree; cleaned, never leads up */
    char *checksum;    /* of the query; NULL */
    enum instr_tri keep_dir, submodules;
    bool commit_times;    /* mtime=commit */
    bool fetch_by_commit; /* the checksum alone says what is fetched */
};
void git_remote_release(struct git_remote *r);
DEFINE_AUTO_VALUE(struct git_remote, git_remote_release);

/*
 * 1: a git repository, *ret is filled (ret may be NULL). 0: something else. ERR_USAGE: a git
 * repository with a query or a reference that is wrong.
 */
int git_remote_parse(const char *text, struct git_remote *ret, struct err *err);

/* 40 or 64 lower-case hex digits. */
bool git_is_commit(const char *s);
/* A beginning of a commit id: hex digits, at least one. */
bool git_is_commit_prefix(const char *s);
/* A ref's name that may be handed to git: not empty, no "-" first, no control characters. */
bool git_is_safe_ref(const char *s);

/* One line of `git ls-remote`. */
struct git_advert {
    char id[65];
    const char *name; /* borrowed from the line */
};
/*
 * What ref means among the lines of `git ls-remote` (--symref or not): "refs/REF", then a branch,
 * then a tag, as git-checkout prefers; "" the remote's HEAD. ERR_NOT_FOUND: nothing of that name.
 */
struct git_found {
    char id[65];     /* of what the ref names: a commit or an annotated tag */
    char commit[65]; /* the tag's commit where the lines tell it, else "" */
    char *name;      /* "refs/heads/main"; "HEAD" where the remote does not say */
};
void git_found_release(struct git_found *f);
DEFINE_AUTO_VALUE(struct git_found, git_found_release);
int git_find_ref(const char *lines, const char *ref, struct git_found *ret, struct err *err);

#endif

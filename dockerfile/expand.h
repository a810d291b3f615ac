/*
 * Variables in words, as BuildKit's shell lexer treats them: $v ${v} and the
 * operators :- - :+ + :? ? # ## % %% / //, nested; quotes and escapes are
 * removed. Pure functions, any thread.
 *
 *     struct env_lookup env = env_lookup_strv(&list);
 *     AUTO(mem_free) char *s = expand_word("${HOME:-/}/x", &env, '\\', NULL, err);
 *
 * Work and results are bounded: a result or an intermediate value over 1 MiB,
 * nesting over 100 levels or a pattern that needs too many steps is ERR_USAGE,
 * as is everything that BuildKit calls an error.
 */
#ifndef SHALE_DOCKERFILE_EXPAND_H
#define SHALE_DOCKERFILE_EXPAND_H

#include "base/buf.h"
#include "base/err.h"
#include "base/own.h"
#include <stdbool.h>

#define EXPAND_MAX_BYTES (1 << 20)

/* Where values come from. get: NULL when unset; the value lives until the next call. */
struct env_lookup {
    const char *(*get)(const void *arg, const char *name);
    const void *arg;
};
/* "K=V" strings; the last of equal names wins; "K" alone is set and empty. Borrows env. */
struct env_lookup env_lookup_strv(const struct strv *env);
/* Nothing is set. */
struct env_lookup env_lookup_none(void);

struct expand_options {
    char escape;      /* '\\' or '`' */
    bool raw_quotes;  /* keep quotes in the result */
    bool raw_escapes; /* keep escape characters */
    bool skip_quotes; /* quotes are ordinary characters (heredoc bodies) */
    bool skip_unset;  /* leave what is unset as it is written */
};

struct expand_result {
    char *word;            /* everything as one string */
    struct strv words;     /* split at unquoted white space, also that of values */
    struct strv matched;   /* names that were set, each once, sorted */
    struct strv unmatched; /* names that were asked for and not set, each once, sorted */
};
#define EXPAND_RESULT_INIT \
    {                      \
        .word = NULL       \
    }
void expand_result_release(struct expand_result *r);
DEFINE_AUTO_VALUE(struct expand_result, expand_result_release);

/* ret (initialised by the caller) is written on success; matched and unmatched also on failure. */
int expand(const char *word, const struct env_lookup *env, const struct expand_options *options,
           struct expand_result *ret, struct err *err);

/* The usual case: one word to one string. Unset names are added to unmatched, which may be NULL. */
char *expand_word(const char *word, const struct env_lookup *env, char escape,
                  struct strv *unmatched, struct err *err) OWNED(mem_free);
/* One word to several: EXPOSE. Appends to ret. */
int expand_words(const char *word, const struct env_lookup *env, char escape,
                 struct strv *unmatched, struct strv *ret, struct err *err);
/* A here-document's body: quotes are ordinary, the escape character is always a backslash. */
char *expand_heredoc(const char *body, const struct env_lookup *env, struct strv *unmatched,
                     struct err *err) OWNED(mem_free);

#endif

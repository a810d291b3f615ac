/*
 * Ignore rules: .dockerignore files and the patterns of --exclude, with the
 * verdicts of moby/patternmatcher. The last pattern that matches a path or one
 * of its parents decides; '!' takes back.
 *
 * For one path:         ignore_match(ig, "a/b/c")
 * For a walk:           ignore_match_in(ig, "a", NULL, state_a);
 *                       ignore_match_in(ig, "a/b", state_a, state_b); ...
 * An ignored directory: skip it unless ignore_may_match_below(ig, dir).
 *
 * The two may differ for a list in which a '!' pattern names a directory that is
 * not ignored itself, with things in it that earlier patterns ignore: Docker's
 * own walk, which ignore_match_in follows, leaves those ignored.
 *
 * Paths are relative, clean and '/'-separated. Patterns are compiled when
 * loaded, 10,000 at most; a match costs at most length of path times length of
 * pattern, for any pattern. Immutable: any thread.
 */
#ifndef SHALE_DOCKERFILE_IGNORE_H
#define SHALE_DOCKERFILE_IGNORE_H

#include "base/buf.h"
#include "base/err.h"
#include "base/own.h"
#include "dockerfile/glob.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ignore;
void ignore_free(struct ignore *ig); /* NULL is fine */
DEFINE_AUTO(struct ignore, ignore_free);

/* The text of an ignore file. A bad pattern is ERR_USAGE; err->line is its line. */
struct ignore *ignore_parse(const char *text, size_t n, struct err *err) OWNED(ignore_free);
/* Patterns as they are (trimmed and cleaned, '!' understood, no comments). */
struct ignore *ignore_new(const struct strv *patterns, struct err *err) OWNED(ignore_free);
/* Text to the list of patterns that ignore_new takes; ret is cleared first. */
int ignore_read(const char *text, size_t n, struct strv *ret, struct err *err);

size_t ignore_len(const struct ignore *ig); /* patterns */
/* The i-th pattern, cleaned, without '!'. */
const char *ignore_pattern(const struct ignore *ig, size_t i, bool *ret_exception);

/*
 * The other way round: adds the pattern that means exactly this path (clean, not ""), and what is
 * below it, as it is to stand in an ignore file. False, and nothing is added: no line can say it (a
 * line feed, bytes that are no UTF-8).
 */
bool ignore_line(const char *path, struct buf *ret);

/* True: path is ignored. */
bool ignore_match(const struct ignore *ig, const char *path);
/*
 * The same for a walk. parent: the state of the directory that path is in, NULL
 * at the top; ret_state: ignore_state_size bytes for path's own, may be NULL.
 */
size_t ignore_state_size(const struct ignore *ig);
bool ignore_match_in(const struct ignore *ig, const char *path, const uint8_t *parent,
                     uint8_t *ret_state);
/* Whether a '!' pattern could match a path below dir. False: an ignored dir need not be read. */
bool ignore_may_match_below(const struct ignore *ig, const char *dir);

#endif

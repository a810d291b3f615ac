/*
 * Question sets: what a run of a step asked of the soft layers below it, and
 * what those layers answer. Two layers that answer a set alike are the same to
 * that run, whatever else is in them (docs/precise-run.md has the argument).
 *
 *     questions_new -> (questions_segment -> questions_add*)* -> questions_write -> bytes
 *     questions_open(bytes) -> questions_answer / questions_broken -> questions_free
 *
 * A set has one segment for each soft layer, lowest first. A set is a blob,
 * named by its content; its bytes may come from elsewhere, so opening checks
 * all of them. Pure. An open set is immutable, any thread.
 */
#ifndef SHALE_CACHE_QUESTIONS_H
#define SHALE_CACHE_QUESTIONS_H

#include "base/buf.h"
#include "base/digest.h"
#include "base/err.h"
#include "base/own.h"
#include "image/listing.h"

/*
 * The kinds, ored, with what is compared. The numbers are those of enum observe_kind and of the
 * format.
 *
 * EXIST  type, mode, uid, gid, device number, size (of a link: of its target), how many names it
 *        has, whether it is opaque
 * STAT   the same, and its content (of a link: its target), which stands for its times
 * READ   the same as STAT
 * LIST   names and types of what is in the directory
 * LINK   EXIST, and the target
 * XLIST  EXIST, and names of xattrs
 * XATTR  EXIST, and the named xattrs: value, or absence
 * NEG    that it is not there
 * WHOLE  the content id of the layer, and which names are one file; path "" and alone in its
 *        segment: a layer that enters whole
 *
 * A directory without an entry of its own is there all the same when names below it are, and the
 * root always is: 0755, 0:0. A whiteout is there.
 */
enum question_kind {
    QUESTION_EXIST = 1,
    QUESTION_STAT = 2,
    QUESTION_READ = 4,
    QUESTION_LIST = 8,
    QUESTION_LINK = 16,
    QUESTION_XLIST = 32,
    QUESTION_NEG = 64,
    QUESTION_XATTR = 128,
    QUESTION_WHOLE = 256,
};
/* Of a set: questions, names of xattrs. A run that asks for more is not kept. */
#define QUESTIONS_MAX 4000000u
#define QUESTION_XATTRS_MAX 32u

struct question {
    const char *path;
    unsigned kinds;  /* enum question_kind */
    uint32_t xattrs; /* bit i: the i-th name of the set (questions_xattr) */
};

/* ---- writing ---- */

struct questions_builder;
void questions_builder_free(struct questions_builder *b);
DEFINE_AUTO(struct questions_builder, questions_builder_free);
struct questions_builder *questions_new(void) OWNED(questions_builder_free) NONNULL;
void questions_segment(struct questions_builder *b); /* what follows is of the next soft layer */
/*
 * In the order of listings, strictly ascending within a segment. names: of xattrs, with XATTR.
 * ERR_USAGE: another order, too many, a path that is not clean.
 */
int questions_add(struct questions_builder *b, const char *path, unsigned kinds,
                  const char *const *names, size_t n_names, struct err *err);
/* Format 1 (docs/question-sets.md): the same questions give the same bytes. */
void questions_write(const struct questions_builder *b, struct buf *ret);

/* ---- reading ---- */

struct questions;
void questions_free(struct questions *q);
DEFINE_AUTO(struct questions, questions_free);
/* Copies what it needs. ERR_CORRUPT: also what questions_write would have written otherwise. */
struct questions *questions_open(const void *p, size_t n, struct err *err) OWNED(questions_free);
size_t questions_segments(const struct questions *q);
size_t questions_len(const struct questions *q, size_t segment);
void questions_at(const struct questions *q, size_t segment, size_t i, struct question *ret);
const char *questions_xattr(const struct questions *q, size_t i); /* NULL: no such */
/* The question about exactly this path; false: none. ret may be NULL. */
bool questions_find(const struct questions *q, size_t segment, const char *path,
                    struct question *ret);

/* ---- answers ---- */

/*
 * Of listings (one for each segment: the layers, lowest first) to all questions: SHA-256 over
 * framed answers, so that it decides, together with the id of the set, for questions are not in it.
 * ret_each (may be NULL) gets ANSWER_LEN bytes for each question, in order: enough to tell which
 * answer is another one, and no more.
 */
#define ANSWER_LEN 8
void questions_answer(const struct questions *q, const struct listing *const *layers,
                      struct digest *ret, struct buf *ret_each);

/* A question whose answer is another one now. */
struct broken {
    size_t segment;
    struct question question; /* borrowed from the set; kinds: those that it may be, of a directory
                               * LIST or the others */
    bool is_there;            /* now: there is an entry at the path */
};
/*
 * Each: answers as questions_answer gave them. False: none is broken, or each is not of this set.
 * The one that says most: a file that was read goes before one that was looked at, that before
 * lists and absent names.
 */
bool questions_broken(const struct questions *q, const struct listing *const *layers,
                      const void *each, size_t n_each, struct broken *ret);
/*
 * For people: "read src/config.py, which changed", "read x, which is gone", "looked for x, which is
 * there now", "looked at x, which changed", "listed src, where names have come or gone". path: as
 * it is to be shown.
 */
void broken_text(const struct broken *b, const char *path, struct buf *ret);

/*
 * Whether a change of a layer's files touches any question of that segment: then it was looked at.
 * came_or_went: it is new, gone, or of another type. Directories come and go by themselves.
 */
bool questions_touch(const struct questions *q, size_t segment, const char *path,
                     bool came_or_went);

#endif

/*
 * What a step of the last build asked of the copied files, for people: the
 * trace that its run left (store/trace.h), or the run that it was reused from.
 */
#ifndef SHALE_CMD_LOOKED_AT_H
#define SHALE_CMD_LOOKED_AT_H

#include "base/json.h"
#include "cache/questions.h"
#include "engine/report.h"
#include "store/trace.h"

struct looked_at {
    struct trace trace;
    struct questions *questions;
    struct trace_run run;    /* what is known of the command */
    bool is_earlier;         /* the step's result is reused: its run had other layers */
    struct listing **layers; /* looked_at_layers: one for each segment */
    size_t n_layers;
};
void looked_at_release(struct looked_at *x);
DEFINE_AUTO_VALUE(struct looked_at, looked_at_release);

/* ERR_NOT_FOUND, with a sentence: the step was not observed. Start ret zeroed. */
int looked_at_load(struct store *s, const struct step_report *r, struct looked_at *ret,
                   struct err *err);
/* The layers as they were then, once. ERR_NOT_FOUND: they are no longer known. */
int looked_at_layers(struct store *s, struct looked_at *x, struct err *err);

/* "read", "stat", "list,xattr": in few words what was asked. */
void looked_at_words(const struct question *q, struct buf *b);
/* What a question is about. Of a layer that counts whole that is its only file; the root (""), when
 * the layer is no longer known. Borrowed. */
const char *looked_at_about(const struct looked_at *x, size_t segment, const struct question *q);
/* A path of a layer as it is in the image, for a terminal. */
void looked_at_path(const char *path, struct buf *b);
/* What is to be said of the run beside its questions, a sentence each: that it was an earlier one,
 * that the step is not reproducible, that it is not observed for now, and why. */
void looked_at_notes(const struct looked_at *x, struct strv *ret);
/* The same, for the end of a text. */
void looked_at_notes_text(const struct looked_at *x, struct buf *b);
/* For `shale explain`: how many files were read, and which paths were asked about in which way,
 * of each the first. */
void looked_at_summary(const struct looked_at *x, const struct step_report *r, struct buf *b);

/* How well a file of the layers is known to the step. */
enum look { LOOK_NEVER, LOOK_SEEN, LOOK_WHOLE, LOOK_READ };
/* read: a file's content, or where a link leads. seen: it was asked about, or its directory was
 * listed, and it was not read. whole: it was not looked at, but is compared all the same. */
enum look looked_at_file(const struct looked_at *x, size_t segment, const char *path);
const char *look_name(enum look l); /* "never", "seen", "whole", "read" */

/* How many files, how many of them read, how many requests, notes. A new reference. */
json_t *looked_at_json(const struct looked_at *x);
/* One question: path, kinds, xattrs, layer (from 1). A new reference. */
json_t *question_json(const struct looked_at *x, size_t segment, const struct question *q);

#endif

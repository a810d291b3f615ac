/*
 * Why a step is not known: how its key differs from that of the same step in
 * the build before, in one line for people ("src/app.py changed", "ARG VERSION
 * 1.2 → 1.3", "base image is another one").
 */
#ifndef SHALE_ENGINE_WHY_H
#define SHALE_ENGINE_WHY_H

#include "cache/key_fields.h"
#include "engine/build_internal.h"

/*
 * Of a step with report, fields and state as its key was made from them: sets report->change when
 * there was such a step and its key was another. Reads listings and the earlier key's text.
 */
void why_changed(struct step *s);
/* The reason of a step that is to be made: report->why, from change and what the options say;
 * unless that is set already. */
void why_missed(struct step *s);

/*
 * The part of it that is the fields' alone: one line from two keys' texts, "" when they do not
 * differ. state: what the step stands on.
 */
void why_fields(const struct key_fields *before, const struct key_fields *now,
                const struct state *state, struct buf *ret);

#endif

/* A report's steps as a table for people, and words that `shale plan` and `shale explain` share. */
#ifndef SHALE_CMD_STEP_TABLE_H
#define SHALE_CMD_STEP_TABLE_H

#include "engine/report.h"

/* STEP, INSTRUCTION, ANSWER, WHY. whole: long instructions are not cut. */
void step_table(struct buf *b, const struct build_report *r, bool whole);
/* The text of one instruction on one line, cut after max bytes with "…"; 0: whole. */
char *step_table_text(const char *text, size_t max) OWNED(mem_free) NONNULL;
/* "1.2 s" */
void step_table_seconds(struct buf *b, int64_t ms);

#endif

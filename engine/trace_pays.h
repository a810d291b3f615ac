/*
 * Whether observing a command pays, by what is known of its runs
 * (store/trace.h). What reads nearly everything each time, or asks very much
 * and is never of use, has an exact key that says as much. Pure.
 */
#ifndef SHALE_ENGINE_TRACE_PAYS_H
#define SHALE_ENGINE_TRACE_PAYS_H

#include "store/trace.h"

#define TRACE_WIDE_RUNS 3         /* in a row that read nearly everything */
#define TRACE_DULL_REQUESTS 50000 /* of a run: that many cost seconds */

enum trace_pays { TRACE_PAYS, TRACE_READS_ALL, TRACE_ASKS_MUCH };
enum trace_pays trace_pays(const struct trace_run *known);

#endif

/* Sizes, durations and points in time as Docker words them. Pure. */
#ifndef SHALE_CMD_HUMAN_H
#define SHALE_CMD_HUMAN_H

#include <stddef.h>
#include <stdint.h>

#define HUMAN_LEN 40

/* Tables: three digits, "1.98MB", "32B". Returns ret. */
const char *human_size(uint64_t bytes, char ret[HUMAN_LEN]);
/* Progress: two decimals, "100.05kB", "180B". */
const char *human_bytes(uint64_t bytes, char ret[HUMAN_LEN]);
/* "About a minute", "3 weeks"; negative counts as 0. */
const char *human_duration(int64_t seconds, char ret[HUMAN_LEN]);
/* Seconds in a step's log: 3 decimals below 10 s, 2 below 100 s, else 1. */
const char *human_log_time(int64_t ms, char ret[HUMAN_LEN]);

#endif

/* Time: a monotonic clock to measure with, the wall clock to show, RFC 3339 to write. Any thread.
 */
#ifndef SHALE_BASE_CLOCK_H
#define SHALE_BASE_CLOCK_H

#include "base/err.h"
#include <stdint.h>

int64_t clock_mono_ms(void);
int64_t clock_mono_us(void);
int64_t clock_wall_s(void);
struct clock_time {
    int64_t s; /* seconds since 1970 */
    int32_t ns;
};
struct clock_time clock_now(void);

#define CLOCK_STR_LEN 40
/* "2024-01-02T03:04:05.123456789Z"; trailing zeros of the fraction left out, as Go writes it. */
const char *clock_format(struct clock_time t, char ret[CLOCK_STR_LEN]);
/* RFC 3339 with any offset. */
int clock_parse(const char *s, struct clock_time *ret, struct err *err);

#endif

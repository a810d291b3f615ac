#include "engine/trace_pays.h"

enum trace_pays trace_pays(const struct trace_run *known)
{
    if (known->wide >= TRACE_WIDE_RUNS)
        return TRACE_READS_ALL;
    bool is_dull = known->requests > TRACE_DULL_REQUESTS && known->hits == 0;
    return is_dull && known->traced >= TRACE_WIDE_RUNS ? TRACE_ASKS_MUCH : TRACE_PAYS;
}

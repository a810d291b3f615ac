/* Options that stand before the command: `shale [OPTIONS] COMMAND`. Read by main and by help. */
#ifndef SHALE_CMD_MAIN_OPTIONS_H
#define SHALE_CMD_MAIN_OPTIONS_H

#include "cmd/option.h"

extern const struct option_spec main_options[];

#endif

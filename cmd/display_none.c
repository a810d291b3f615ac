#include "cmd/display_internal.h"

/* --quiet and --progress=none: errors alone, which the command prints. */
const struct display_ops display_none_ops = { .max_lines = 1 };

#include "cmd/build_request.h"

const struct option_spec build_specs[] = {
#include "cmd/build_specs.inc"
    { .name = NULL },
};

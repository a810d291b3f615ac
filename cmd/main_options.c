#include "cmd/main_options.h"

const struct option_spec main_options[] = {
    { "debug", 'D', OPTION_FLAG, .help = "Enable debug logging" },
    { "host", 'H', OPTION_TEXT, .help = "Docker engine to deliver to, as DOCKER_HOST" },
    { "root", 0, OPTION_TEXT, .value = "directory", .help = "The store, as SHALE_ROOT" },
    { "version", 'v', OPTION_FLAG, .help = "Print version information and quit" },
    { .name = NULL },
};

/* The engine's inside; what is made at first use is under lock. */
#ifndef SHALE_ENGINE_ENGINE_INTERNAL_H
#define SHALE_ENGINE_ENGINE_INTERNAL_H

#include "engine/engine.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

struct engine {
    struct store *store;
    struct pool *pool;
    struct cancel *cancel, *own_cancel;
    const struct progress *progress;
    const struct registry_settings *registry_settings;
    atomic_int n_vertices;
    pthread_mutex_t lock;
    struct http *http;
    struct registry_config *registries;
    struct map *repositories; /* canonical -> struct registry */
    struct err registries_err;
    struct work *work;
    struct docker *docker;
    bool docker_asked, docker_named;
    struct err docker_err;
    pthread_t warming;
    bool is_warming;
};

#endif

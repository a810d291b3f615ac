/*
 * What every operation of the engine needs, made once per process. Immutable
 * after engine_open; the parts are locked inside.
 */
#ifndef SHALE_ENGINE_ENGINE_H
#define SHALE_ENGINE_ENGINE_H

#include "base/cancel.h"
#include "base/err.h"
#include "base/pool.h"
#include "engine/progress.h"
#include "remote/docker.h"
#include "remote/http.h"
#include "remote/registry_config.h"
#include "store/store.h"
#include "store/work.h"

struct engine;
void engine_close(struct engine *e);
DEFINE_AUTO(struct engine, engine_close);
/* cancel and progress are borrowed; progress may be NULL (silent). store_root NULL: the default. */
struct engine *engine_open(const char *store_root, struct cancel *cancel,
                           const struct progress *progress, struct err *err) OWNED(engine_close);

struct store *engine_store(struct engine *e);
struct cancel *engine_cancel(struct engine *e);
struct pool *engine_pool(struct engine *e);
/* Made at first use; ERR_* when they cannot be had. Borrowed. */
struct http *engine_http(struct engine *e) NONNULL;
/* What the user configured of registries; borrowed for the engine's life. Before it is asked. */
void engine_set_registries(struct engine *e, const struct registry_settings *settings);
/* Read at first use; the same error each time when that fails. Borrowed. */
const struct registry_config *engine_registries(struct engine *e, struct err *err);
struct work *engine_work(struct engine *e, struct err *err);
/*
 * A Docker engine will be asked at the end: what that needs is loaded meanwhile, on a thread of its
 * own. Once, from the thread that opened the engine.
 */
void engine_warm_up(struct engine *e);
/* The Docker engine; ERR_NOT_FOUND when there is none (asked once). *ret_named as docker_open. */
struct docker *engine_docker(struct engine *e, bool *ret_named, struct err *err);

#endif

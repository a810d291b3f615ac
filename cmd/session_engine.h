/* The engine that a command works with: this session's store, the user's registries. */
#ifndef SHALE_CMD_SESSION_ENGINE_H
#define SHALE_CMD_SESSION_ENGINE_H

#include "cmd/command.h"
#include "engine/engine.h"

/* As engine_open; ERR_USAGE: the configuration file. Close it before the session ends. */
struct engine *session_engine(struct session *s, const struct progress *progress, struct err *err)
    OWNED(engine_close);
void session_release(struct session *s);

#endif

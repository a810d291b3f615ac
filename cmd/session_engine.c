#include "cmd/session_engine.h"

#include "cmd/config.h"

void session_release(struct session *s)
{
    if (s->config != NULL)
        config_release(s->config);
    mem_free(s->config);
    s->config = NULL;
}

/* Quietly: what is not known there is warned of by whoever reads the rest of it. */
static int read_config(struct session *s, struct err *err)
{
    if (s->config != NULL)
        return 0;
    struct config c = { .is_quiet = true };
    if (config_read(&c, err) < 0)
        return err_wrap(err, "cannot read the configuration");
    s->config = mem_dup(&c, sizeof(c));
    return 0;
}

struct engine *session_engine(struct session *s, const struct progress *progress, struct err *err)
{
    if (read_config(s, err) < 0)
        return NULL;
    struct engine *e = engine_open(s->store_root, s->cancel, progress, err);
    if (e != NULL)
        engine_set_registries(e, &s->config->registries);
    return e;
}

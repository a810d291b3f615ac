#include "remote/registry_config.h"

#include "base/mem.h"

struct registry_config {
    char *certs_dir;
};

void registry_config_free(struct registry_config *c)
{
    if (c == NULL)
        return;
    mem_free(c->certs_dir);
    mem_free(c);
}

struct registry_config *registry_config_read(const struct registry_settings *settings,
                                             UNUSED struct err *err)
{
    struct registry_config *c = mem_zalloc(sizeof(*c));
    const char *dir = settings != NULL ? settings->certs_dir : NULL;
    c->certs_dir = str_dup(dir != NULL ? dir : "/etc/docker/certs.d");
    return c;
}

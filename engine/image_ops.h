/* The smaller operations on images: import, push and run. */
#ifndef SHALE_ENGINE_IMAGE_OPS_H
#define SHALE_ENGINE_IMAGE_OPS_H

#include "base/buf.h"
#include "engine/engine.h"
#include "engine/push.h"
#include "image/platform.h"
#include "store/tag.h"

/*
 * `shale import`: an image of one layer from a root file system tar (any of the compressions that
 * docker import reads). changes: Dockerfile lines as `docker import --change` has them (CMD
 * ENTRYPOINT ENV EXPOSE LABEL ONBUILD STOPSIGNAL USER VOLUME WORKDIR HEALTHCHECK SHELL). name may
 * be NULL.
 */
int engine_import(struct engine *e, struct source *tar, const char *name,
                  const struct strv *changes, const char *message, const struct platform *platform,
                  struct blob_id *ret_config, struct err *err);

/*
 * `shale push`: the image of that name (canonical, with tag) into the registry of the name; gzip,
 * but for layers that are compressed in a registry already. ERR_NOT_FOUND: no such name. w: may be
 * NULL.
 */
int engine_push(struct engine *e, const char *name, const struct push_watch *w, struct err *err);

struct run_options {
    const char *image;
    struct strv command;    /* replaces CMD */
    const char *entrypoint; /* NULL: the image's; "" clears it */
    struct strv env;        /* "K=V" */
    const char *user, *workdir;
    struct strv volumes; /* "host:container[:ro]" */
    bool tty;
    const char *network; /* NULL: host */
};
/* `shale run`: stdin, stdout and stderr are ours. *ret_status is the command's. */
int engine_run(struct engine *e, const struct run_options *o, int *ret_status, struct err *err);

#endif

/* `shale import`: an image of one layer from a root file system. */
#include "engine/image_ops.h"

#include "base/clock.h"
#include "base/fs.h"
#include "engine/build_internal.h"
#include "engine/engine_internal.h"
#include <string.h>

/* Instructions that --change takes, as docker import has them. */
static bool is_change(enum instr_kind kind)
{
    return (is_meta(kind) && kind != INSTR_MAINTAINER) || kind == INSTR_WORKDIR;
}

static int apply_change(struct state *s, const char *text, struct err *err)
{
    bool onbuild = strncasecmp(text, "ONBUILD ", 8) == 0;
    if (onbuild) {
        AUTO(instr_free) struct instr *trigger = instr_parse_onbuild(text + 8, err);
        if (trigger == NULL)
            return err->code;
        strv_add(&s->config.onbuild, text + 8 + strspn(text + 8, " \t"));
        return 0;
    }
    AUTO(instr_free) struct instr *parsed = instr_parse_onbuild(text, err);
    if (parsed == NULL)
        return err->code;
    if (!is_change(parsed->kind))
        return err_set(err, ERR_USAGE, "%s is not a valid change command",
                       instr_kind_name(parsed->kind));
    struct env_lookup env = env_lookup_strv(&s->config.env);
    AUTO(instr_free) struct instr *i = instr_expand(parsed, &env, '\\', NULL, err);
    if (i == NULL)
        return err->code;
    if (i->kind != INSTR_WORKDIR)
        return do_meta(s, i, false, err);
    char *dir =
        path_join(s->config.workdir && *s->config.workdir ? s->config.workdir : "/", i->value);
    mem_free(s->config.workdir);
    s->config.workdir = dir;
    return 0;
}

static int make_config(struct engine *e, struct state *s, const struct layer *l,
                       const struct strv *changes, const char *message, struct blob_id *ret,
                       struct err *err)
{
    char now[CLOCK_STR_LEN];
    clock_format((struct clock_time){ .s = clock_wall_s() }, now);
    state_add_layer(s, l, NULL);
    s->config.created = str_dup(now);
    image_config_add_history(&s->config, now, NULL, message ? message : "Imported from -", false);
    for (size_t i = 0; i < changes->n; i++)
        if (apply_change(s, changes->v[i], err) < 0)
            return err_wrap(err, "--change '%s'", changes->v[i]);
    AUTO(buf_release) struct buf text = BUF_INIT;
    image_config_write(&s->config, &text);
    return blob_put(e->store, text.data, text.len, ret, err);
}

int engine_import(struct engine *e, struct source *tar, const char *name,
                  const struct strv *changes, const char *message, const struct platform *platform,
                  struct blob_id *ret_config, struct err *err)
{
    AUTO(mem_free) char *canonical = NULL;
    if (name != NULL) {
        AUTO(image_name_release) struct image_name n = { 0 };
        if (image_name_parse(name, &n, err) < 0)
            return err->code;
        canonical = image_name_canonical(&n);
    }
    const struct layer *l = layer_ingest(e->store, tar, NULL, 0, NULL, err);
    if (l == NULL)
        return err_wrap(err, "cannot import the archive");
    struct state s;
    state_init(&s);
    if (platform != NULL)
        s.config.platform = *platform;
    int rc = make_config(e, &s, l, changes, message, ret_config, err);
    if (rc == 0)
        rc = tag_set(e->store, canonical, ret_config, NULL, err);
    state_release(&s);
    return rc;
}

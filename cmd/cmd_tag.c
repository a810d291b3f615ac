#include "cmd/command.h"
#include "cmd/exit_status.h"
#include "image/name.h"
#include "store/tag.h"

static int parse_target(const char *text, struct image_name *ret, struct err *err)
{
    if (image_name_parse(text, ret, err) < 0)
        return err_wrap(err, "\"%s\" is not a valid repository/tag", text);
    if (ret->has_digest)
        return err_set(err, ERR_USAGE, "refusing to create a tag with a digest reference");
    return 0;
}

static int tag(struct session *s, const char *from, const char *to, struct err *err)
{
    AUTO(image_name_release) struct image_name name = { .domain = NULL };
    if (parse_target(to, &name, err) < 0)
        return err->code;
    AUTO(mem_free) char *canonical = image_name_canonical(&name);
    AUTO(store_close) struct store *store = store_open(s->store_root, err);
    if (store == NULL)
        return err->code;
    AUTO(stored_image_release) struct stored_image i = { .name = NULL };
    if (tag_find(store, from, &i, err) < 0)
        return err->code;
    if (i.name != NULL)
        return tag_copy(store, i.name, canonical, err);
    return tag_set(store, canonical, &i.config, i.has_manifest ? &i.manifest : NULL, err);
}

static int run(struct session *s, const struct options *o)
{
    struct err err = ERR_INIT;
    if (tag(s, o->args.v[0], o->args.v[1], &err) < 0)
        return command_fail(&command_tag, s, &err);
    return EXIT_OK;
}

const struct command command_tag = {
    .name = "tag",
    .also = "image tag",
    .args = "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
    .about = "Give an image another name",
    .min_args = 2,
    .max_args = 2,
    .error_prefix = "shale: ",
    .run = run,
};

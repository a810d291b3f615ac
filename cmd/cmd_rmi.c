#include "cmd/command.h"
#include "cmd/exit_status.h"
#include "image/name.h"
#include "store/tag.h"
#include <stdio.h>

struct names {
    struct blob_id config;
    struct strv list; /* canonical */
};

static int add_name(void *arg, const struct stored_image *i, struct err *err UNUSED)
{
    struct names *n = arg;
    if (i->name != NULL && digest_eq(&i->config.d, &n->config.d))
        strv_add(&n->list, i->name);
    return 0;
}

static int remove_name(struct store *store, const char *canonical, struct err *err)
{
    AUTO(image_name_release) struct image_name name = { .domain = NULL };
    if (tag_delete(store, canonical, err) < 0 || image_name_parse(canonical, &name, err) < 0)
        return err->code;
    AUTO(mem_free) char *familiar = image_name_familiar(&name);
    printf("Untagged: %s\n", familiar);
    return 0;
}

static int remove_names(struct store *store, struct names *n, const char *what, bool force,
                        struct err *err)
{
    if (tag_list(store, add_name, n, err) < 0)
        return err->code;
    if (n->list.n == 0)
        return err_set(err, ERR_NOT_FOUND, "no such image: %s", what);
    if (n->list.n > 1 && !force)
        return err_set(err, ERR_USAGE,
                       "conflict: unable to delete %s (must be forced) - image is referenced by "
                       "several names",
                       what);
    for (size_t i = 0; i < n->list.n; i++) {
        if (remove_name(store, n->list.v[i], err) < 0)
            return err->code;
    }
    return 0;
}

/* A name is removed alone; an id stands for every name of its image. */
static int remove_image(struct store *store, const char *what, bool force, struct err *err)
{
    struct err ignored = ERR_INIT;
    AUTO(image_name_release) struct image_name name = { .domain = NULL };
    if (image_name_parse(what, &name, &ignored) == 0) {
        AUTO(mem_free) char *canonical = image_name_canonical(&name);
        AUTO(stored_image_release) struct stored_image i = { .name = NULL };
        if (tag_get(store, canonical, &i, &ignored) == 0)
            return remove_name(store, canonical, err);
    }
    AUTO(stored_image_release) struct stored_image found = { .name = NULL };
    if (tag_find(store, what, &found, err) < 0)
        return err->code;
    struct names n = { .config = found.config };
    int code = remove_names(store, &n, what, force, err);
    strv_release(&n.list);
    return code;
}

static int run(struct session *s, const struct options *o)
{
    struct err err = ERR_INIT;
    AUTO(store_close) struct store *store = store_open(s->store_root, &err);
    if (store == NULL)
        return command_fail(&command_rmi, s, &err);
    bool force = option_on(o, "force");
    int status = EXIT_OK;
    for (size_t i = 0; i < o->args.n; i++) {
        struct err one = ERR_INIT;
        if (remove_image(store, o->args.v[i], force, &one) == 0)
            continue;
        int failed = command_fail(&command_rmi, s, &one);
        if (one.code != ERR_NOT_FOUND || !force)
            status = failed;
    }
    return status;
}

static const struct option_spec specs[] = {
    { "force", 'f', OPTION_FLAG, .help = "Remove every name of an image given by its ID" },
    { "no-prune", 0, OPTION_FLAG, STANDING_VOID, .help = NULL },
    { .name = NULL },
};

const struct command command_rmi = {
    .name = "rmi",
    .also = "image rm,image remove",
    .args = "[OPTIONS] IMAGE [IMAGE...]",
    .about = "Remove one or more image names",
    .specs = specs,
    .min_args = 1,
    .max_args = -1,
    .error_prefix = "shale: ",
    .run = run,
};

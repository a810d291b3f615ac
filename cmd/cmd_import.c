#include "cmd/command.h"
#include "cmd/exit_status.h"
#include "cmd/stdin_source.h"
#include "engine/image_ops.h"
#include "image/name.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static struct source *open_source(struct session *s, const char *file, struct err *err)
{
    if (str_eq(file, "-")) {
        if (!isatty(STDIN_FILENO))
            return stdin_source(s->cancel);
        err_set(err, ERR_USAGE, "cannot import from a terminal: give a file or a pipe");
        return NULL;
    }
    if (str_starts(file, "http://") || str_starts(file, "https://")) {
        err_set(err, ERR_UNSUPPORTED, "import from a URL is not supported yet by this version: %s",
                file);
        return NULL;
    }
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        err_sys(err, errno, "cannot open '%s'", file);
        return NULL;
    }
    return source_fd(fd, true);
}

static int check_name(const char *name, struct err *err)
{
    AUTO(image_name_release) struct image_name n = { .domain = NULL };
    if (name == NULL)
        return 0;
    if (image_name_parse(name, &n, err) < 0)
        return err->code;
    if (n.has_digest)
        return err_set(err, ERR_USAGE, "cannot import digest reference");
    return 0;
}

static int import(struct session *s, const struct options *o, struct blob_id *ret, struct err *err)
{
    const char *name = o->args.n > 1 ? o->args.v[1] : NULL;
    struct platform platform = platform_host();
    if (check_name(name, err) < 0)
        return err->code;
    if (option_given(o, "platform") &&
        platform_parse(option_str(o, "platform"), &platform, err) < 0)
        return err->code;
    AUTO(source_free) struct source *in = open_source(s, o->args.v[0], err);
    if (in == NULL)
        return err->code;
    AUTO(engine_close) struct engine *e = engine_open(s->store_root, s->cancel, NULL, err);
    if (e == NULL)
        return err->code;
    return engine_import(e, in, name, option_list(o, "change"), option_str(o, "message"), &platform,
                         ret, err);
}

static int run(struct session *s, const struct options *o)
{
    struct err err = ERR_INIT;
    struct blob_id id;
    if (import(s, o, &id, &err) < 0)
        return command_fail(&command_import, s, &err);
    printf("%s\n", DIGEST_S(&id.d));
    return EXIT_OK;
}

static const struct option_spec specs[] = {
    { "change", 'c', OPTION_LIST, .help = "Apply Dockerfile instruction to the created image" },
    { "message", 'm', OPTION_TEXT, .help = "Set commit message for imported image" },
    { "platform", 0, OPTION_TEXT, .help = "Set platform of the image (default: this machine's)" },
    { .name = NULL },
};

const struct command command_import = {
    .name = "import",
    .also = "image import",
    .args = "[OPTIONS] FILE|- [REPOSITORY[:TAG]]",
    .about = "Create an image from a root file system's tar",
    .specs = specs,
    .min_args = 1,
    .max_args = 2,
    .error_prefix = "shale: ",
    .run = run,
};

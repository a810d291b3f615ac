#include "base/log.h"
#include "cmd/command.h"
#include "cmd/exit_status.h"
#include "cmd/session_engine.h"
#include "engine/image_ops.h"
#include "image/name.h"
#include "store/tag.h"
#include <stdio.h>
#include <string.h>

#define SHORT_ID 12

/* What is said, on standard output, and to which names. */
struct pushing {
    bool quiet;
    const struct image_name *name;
    struct strv names; /* canonical */
};

static void pushing_release(struct pushing *p)
{
    strv_release(&p->names);
}
DEFINE_AUTO_VALUE(struct pushing, pushing_release);

/* A line goes out when it is written, also into a pipe. */
static void say(const struct pushing *p, const char *text)
{
    AUTO(buf_release) struct buf b = BUF_INIT;
    if (p->quiet)
        return;
    log_escape(&b, text, strlen(text));
    printf("%s\n", buf_str(&b));
    fflush(stdout);
}

static void show_layer(void *arg, const struct layer *l, enum registry_pushed how, const char *from)
{
    static const char *const words[] = { [REGISTRY_WAS_THERE] = "Layer already exists",
                                         [REGISTRY_MOUNTED] = "Mounted",
                                         [REGISTRY_SENT] = "Pushed" };
    AUTO(mem_free)
    char *line = str_printf("%.*s: %s%s%s", SHORT_ID, DIGEST_HEX(&l->diff_id.d), words[how],
                            from != NULL ? " from " : "", from != NULL ? from : "");
    say(arg, line);
}

static void show_name(void *arg, const char *name, const struct descriptor *what)
{
    AUTO(mem_free)
    char *line = str_printf("%s: digest: %s size: %llu", strrchr(name, ':') + 1,
                            DIGEST_S(&what->id.d), (unsigned long long)what->size);
    say(arg, line);
}

static int add_tag(void *arg, const struct stored_image *i, struct err *err)
{
    struct pushing *p = arg;
    AUTO(image_name_release) struct image_name n = { .domain = NULL };
    if (i->name == NULL)
        return 0;
    if (image_name_parse(i->name, &n, err) < 0)
        return err->code;
    if (str_eq(n.domain, p->name->domain) && str_eq(n.path, p->name->path) && n.tag != NULL)
        strv_add(&p->names, i->name);
    return 0;
}

/* The names that are there; none is an error, in Docker's words. */
static int find_names(struct store *store, struct pushing *p, bool all_tags, struct err *err)
{
    AUTO(mem_free) char *familiar = image_name_familiar(p->name);
    AUTO(mem_free) char *canonical = image_name_canonical(p->name);
    AUTO(stored_image_release) struct stored_image there = { .name = NULL };
    *strrchr(familiar, ':') = '\0';
    if (all_tags && tag_list(store, add_tag, p, err) < 0)
        return err->code;
    if (all_tags)
        return p->names.n > 0
                   ? 0
                   : err_set(err, ERR_NOT_FOUND, "An image does not exist locally with the tag: %s",
                             familiar);
    if (tag_get(store, canonical, &there, err) < 0)
        return err->code != ERR_NOT_FOUND
                   ? err->code
                   : err_set(err, ERR_NOT_FOUND, "An image does not exist locally with the tag: %s",
                             familiar);
    strv_add(&p->names, canonical);
    return 0;
}

static int push_all(struct session *s, struct pushing *p, bool all_tags, struct err *err)
{
    struct push_watch watch = { .arg = p, .layer = show_layer, .named = show_name };
    AUTO(engine_close) struct engine *e = session_engine(s, NULL, err);
    if (e == NULL || find_names(engine_store(e), p, all_tags, err) < 0)
        return err->code;
    for (size_t i = 0; i < p->names.n; i++)
        if (engine_push(e, p->names.v[i], &watch, err) < 0)
            return err->code;
    return 0;
}

/* A tag that was written. */
static bool has_tag(const char *text)
{
    const char *slash = strrchr(text, '/');
    return strchr(slash != NULL ? slash : text, ':') != NULL;
}

static int push(struct session *s, const struct options *o, struct err *err)
{
    const char *text = o->args.v[0];
    bool all_tags = option_on(o, "all-tags");
    AUTO(image_name_release) struct image_name name = { .domain = NULL };
    AUTO(pushing_release) struct pushing p = { .quiet = option_on(o, "quiet"), .name = &name };
    if (image_name_parse(text, &name, err) < 0)
        return err->code;
    if (name.has_digest)
        return err_set(err, ERR_USAGE, "cannot push a digest reference");
    if (all_tags && has_tag(text))
        return err_set(err, ERR_USAGE, "tag can't be used with --all-tags/-a");
    if (!all_tags && !has_tag(text))
        say(&p, "Using default tag: latest");
    AUTO(mem_free) char *repository = image_name_repository(&name);
    AUTO(mem_free) char *line = str_printf("The push refers to repository [%s]", repository);
    say(&p, line);
    if (push_all(s, &p, all_tags, err) < 0)
        return err->code;
    if (p.quiet)
        for (size_t i = 0; i < (all_tags ? 1 : p.names.n); i++)
            printf("%s\n", all_tags ? repository : p.names.v[i]);
    return 0;
}

static int run(struct session *s, const struct options *o)
{
    struct err err = ERR_INIT;
    if (push(s, o, &err) < 0)
        return command_fail(&command_push, s, &err);
    return EXIT_OK;
}

static const struct option_spec specs[] = {
    { "all-tags", 'a', OPTION_FLAG, .help = "Push all tags of an image to the repository" },
    { "disable-content-trust", 0, OPTION_FLAG, STANDING_VOID, .initial = "true" },
    { "quiet", 'q', OPTION_FLAG, .help = "Suppress verbose output" },
    { .name = NULL },
};

const struct command command_push = {
    .name = "push",
    .also = "image push",
    .args = "[OPTIONS] NAME[:TAG]",
    .about = "Upload an image to a registry",
    .specs = specs,
    .min_args = 1,
    .max_args = 1,
    .error_prefix = "shale: ",
    .run = run,
};

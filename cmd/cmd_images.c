#include "base/clock.h"
#include "base/json.h"
#include "cmd/command.h"
#include "cmd/exit_status.h"
#include "cmd/human.h"
#include "cmd/table.h"
#include "image/name.h"
#include "store/tag.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SHORT_ID 12

struct image_row {
    char *repository, *tag, *canonical;
    char id[DIGEST_STR_LEN + 1];
    int64_t created_s;
    uint64_t size;
};

struct image_rows {
    struct image_row *v;
    size_t n, cap;
    struct store *store;
    const struct image_name *wanted; /* NULL: all */
    bool any_tag;                    /* wanted names a repository */
};

static void rows_release(struct image_rows *r)
{
    for (size_t i = 0; i < r->n; i++) {
        mem_free(r->v[i].repository);
        mem_free(r->v[i].tag);
        mem_free(r->v[i].canonical);
    }
    mem_free(r->v);
}
DEFINE_AUTO_VALUE(struct image_rows, rows_release);

/* When the image was built; 0 when it does not say. */
static int64_t created(struct store *store, const struct blob_id *config)
{
    struct err ignored = ERR_INIT;
    struct clock_time t;
    AUTO(image_config_release) struct image_config c = { .created = NULL };
    if (tag_config(store, config, &c, &ignored) < 0 || c.created == NULL ||
        clock_parse(c.created, &t, &ignored) < 0)
        return 0;
    return t.s;
}

static bool is_wanted(const struct image_rows *r, const struct image_name *name)
{
    if (r->wanted == NULL)
        return true;
    if (!str_eq(r->wanted->domain, name->domain) || !str_eq(r->wanted->path, name->path))
        return false;
    return r->any_tag || str_eq(r->wanted->tag, name->tag);
}

static int add_image(void *arg, const struct stored_image *i, struct err *err)
{
    struct image_rows *r = arg;
    AUTO(image_name_release) struct image_name name = { .domain = NULL };
    if (i->name == NULL)
        return 0;
    if (image_name_parse(i->name, &name, err) < 0)
        return err->code;
    if (!is_wanted(r, &name))
        return 0;
    MEM_ROOM(r->v, r->n, r->cap);
    struct image_row *row = &r->v[r->n++];
    *row = (struct image_row){ .size = i->size, .canonical = str_dup(i->name) };
    AUTO(mem_free) char *familiar = image_name_familiar(&name);
    const char *colon = strrchr(familiar, ':');
    size_t n = name.tag != NULL && colon != NULL ? (size_t)(colon - familiar) : strlen(familiar);
    row->repository = str_ndup(familiar, n);
    row->tag = str_dup(name.tag != NULL ? name.tag : "<none>");
    digest_str(&i->config.d, row->id);
    row->created_s = created(r->store, &i->config);
    return 0;
}

/* The newest first, as docker images lists them. */
static int compare(const void *a, const void *b)
{
    const struct image_row *x = a, *y = b;
    if (x->created_s != y->created_s)
        return x->created_s < y->created_s ? 1 : -1;
    return strcmp(x->canonical, y->canonical);
}

static char *shown_id(const struct image_row *row, bool whole)
{
    return whole ? str_dup(row->id) : str_ndup(row->id + strlen("sha256:"), SHORT_ID);
}

static char *shown_age(const struct image_row *row)
{
    char text[HUMAN_LEN];
    if (row->created_s <= 0)
        return str_dup("N/A");
    return str_printf("%s ago", human_duration(clock_wall_s() - row->created_s, text));
}

static void print_ids(const struct image_rows *r, bool whole)
{
    for (size_t i = 0; i < r->n; i++) {
        bool seen = false;
        for (size_t j = 0; j < i && !seen; j++)
            seen = str_eq(r->v[j].id, r->v[i].id);
        AUTO(mem_free) char *id = shown_id(&r->v[i], whole);
        if (!seen)
            puts(id);
    }
}

static void print_table(const struct image_rows *r, bool whole)
{
    static const char *const heads[] = { "REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE" };
    AUTO(strv_release) struct strv cells = STRV_INIT;
    for (size_t i = 0; i < ARRAY_LEN(heads); i++)
        strv_add(&cells, heads[i]);
    for (size_t i = 0; i < r->n; i++) {
        char size[HUMAN_LEN];
        strv_add(&cells, r->v[i].repository);
        strv_add(&cells, r->v[i].tag);
        strv_take(&cells, shown_id(&r->v[i], whole));
        strv_take(&cells, shown_age(&r->v[i]));
        strv_add(&cells, human_size(r->v[i].size, size));
    }
    AUTO(buf_release) struct buf b = BUF_INIT;
    table_add(&b, &cells, ARRAY_LEN(heads));
    fputs(buf_str(&b), stdout);
}

static void print_json(const struct image_rows *r, bool whole)
{
    for (size_t i = 0; i < r->n; i++) {
        const struct image_row *row = &r->v[i];
        char size[HUMAN_LEN], when[64] = "N/A";
        time_t t = (time_t)row->created_s;
        struct tm tm;
        if (row->created_s > 0 && gmtime_r(&t, &tm) != NULL)
            strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S +0000 UTC", &tm);
        AUTO(mem_free) char *id = shown_id(row, whole);
        AUTO(mem_free) char *age = shown_age(row);
        json_auto_t *o = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "CreatedAt", when,
                                   "CreatedSince", age, "ID", id, "Repository", row->repository,
                                   "Size", human_size(row->size, size), "Tag", row->tag);
        AUTO(buf_release) struct buf b = BUF_INIT;
        json_write(o, &b);
        puts(buf_str(&b));
    }
}

static int list(struct session *s, const struct options *o, struct image_rows *r, struct err *err)
{
    AUTO(image_name_release) struct image_name wanted = { .domain = NULL };
    if (o->args.n > 0) {
        if (image_name_parse(o->args.v[0], &wanted, err) < 0)
            return err->code;
        const char *slash = strrchr(o->args.v[0], '/');
        r->any_tag = strchr(slash != NULL ? slash : o->args.v[0], ':') == NULL;
        r->wanted = &wanted;
    }
    AUTO(store_close) struct store *store = store_open(s->store_root, err);
    if (store == NULL)
        return err->code;
    r->store = store;
    int code = tag_list(store, add_image, r, err);
    r->wanted = NULL;
    if (code == 0 && r->n > 0)
        qsort(r->v, r->n, sizeof(*r->v), compare);
    return code;
}

static int run(struct session *s, const struct options *o)
{
    struct err err = ERR_INIT;
    AUTO(rows_release) struct image_rows r = { .v = NULL };
    const char *format = option_str(o, "format");
    int code;
    bool json = str_eq(format, "json") || str_eq(format, "{{json .}}");
    if (!json && !str_eq(format, "table"))
        code = err_set(&err, ERR_UNSUPPORTED, "format '%s' is not supported: use table or json",
                       format);
    else
        code = list(s, o, &r, &err);
    if (code < 0)
        return command_fail(&command_images, s, &err);
    if (option_on(o, "quiet"))
        print_ids(&r, option_on(o, "no-trunc"));
    else if (json)
        print_json(&r, option_on(o, "no-trunc"));
    else
        print_table(&r, option_on(o, "no-trunc"));
    return EXIT_OK;
}

static const struct option_spec specs[] = {
    { "all", 'a', OPTION_FLAG, STANDING_VOID, .help = "Show all images; there are no hidden ones" },
    { "format", 0, OPTION_TEXT, .initial = "table", .help = "\"table\" or \"json\"" },
    { "no-trunc", 0, OPTION_FLAG, .help = "Don't truncate output" },
    { "quiet", 'q', OPTION_FLAG, .help = "Only show image IDs" },
    { .name = NULL },
};

const struct command command_images = {
    .name = "images",
    .also = "image ls,image list",
    .args = "[OPTIONS] [REPOSITORY[:TAG]]",
    .about = "List images",
    .specs = specs,
    .max_args = 1,
    .error_prefix = "shale: ",
    .run = run,
};

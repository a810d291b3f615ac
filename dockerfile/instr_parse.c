#include "dockerfile/instr_internal.h"
#include "dockerfile/runes_internal.h"
#include "dockerfile/suggest.h"
#include "base/map.h"
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MIN_INTERVAL_NS 1000000

static int at_least_one(const char *name, struct err *err)
{
    return err_set(err, ERR_USAGE, "%s requires at least one argument", name);
}

static int exactly_one(const char *name, struct err *err)
{
    return err_set(err, ERR_USAGE, "%s requires exactly one argument", name);
}

/* Any flag at all is an error. */
static int no_flags(const struct ast_node *node, struct err *err)
{
    struct flag_values none;
    return flags_parse(&node->flags, NULL, 0, &none, err);
}

/* What a comment line above says about name: "# name says". */
static char *comment_about(const struct ast_node *node, const char *name)
{
    size_t n = name != NULL ? strlen(name) : 0;
    for (size_t i = 0; n > 0 && i < node->comments.n; i++) {
        const char *line = node->comments.v[i];
        if (strncmp(line, name, n) == 0 && line[n] == ' ')
            return str_dup(line + n + 1);
    }
    return NULL;
}

/* ENV and LABEL. */
static int parse_pairs(const struct ast_node *node, struct instr *ret, struct err *err)
{
    const char *name = instr_kind_name(ret->kind);
    if (no_flags(node, err) < 0)
        return err->code;
    if (node->args.n == 0)
        return at_least_one(name, err);
    ret->pairs.v = mem_calloc(node->args.n / 3, sizeof(*ret->pairs.v));
    for (size_t i = 0; i + 2 < node->args.n; i += 3) {
        if (*node->args.v[i] == '\0')
            return err_set(err, ERR_USAGE, "%s names can not be blank", name);
        ret->pairs.v[ret->pairs.n++] = (struct instr_pair){
            .key = str_dup(node->args.v[i]),
            .value = str_dup(node->args.v[i + 1]),
            .old_form = *node->args.v[i + 2] == '\0',
        };
    }
    return 0;
}

static int parse_arg(const struct ast_node *node, struct instr *ret, struct err *err)
{
    if (node->args.n == 0)
        return at_least_one("ARG", err);
    ret->pairs.v = mem_calloc(node->args.n, sizeof(*ret->pairs.v));
    for (size_t i = 0; i < node->args.n; i++) {
        const char *arg = node->args.v[i], *equals = strchr(arg, '=');
        if (equals == arg)
            return err_set(err, ERR_USAGE, "ARG names can not be blank");
        struct instr_pair *pair = &ret->pairs.v[ret->pairs.n++];
        pair->key = str_ndup(arg, equals != NULL ? (size_t)(equals - arg) : strlen(arg));
        pair->value = equals != NULL ? str_dup(equals + 1) : NULL;
        pair->comment = comment_about(node, pair->key);
    }
    return 0;
}

/* MAINTAINER, USER, WORKDIR. */
static int parse_value(const struct ast_node *node, struct instr *ret, struct err *err)
{
    if (node->args.n != 1)
        return exactly_one(instr_kind_name(ret->kind), err);
    if (no_flags(node, err) < 0)
        return err->code;
    ret->value = str_dup(node->args.v[0]);
    return 0;
}

/* BuildKit does not look at its flags. */
static int parse_stopsignal(const struct ast_node *node, struct instr *ret, struct err *err)
{
    if (node->args.n != 1)
        return exactly_one("STOPSIGNAL", err);
    ret->value = str_dup(node->args.v[0]);
    return 0;
}

/* A heredoc's body by its name; of equal names the last one counts. */
static struct map *heredocs_by_name(const struct ast_node *node)
{
    struct map *m = map_new(NULL);
    for (size_t i = 0; i < node->n_heredocs; i++)
        map_set(m, node->heredocs[i].name, &node->heredocs[i]);
    return m;
}

static void add_file(struct instr_files *files, size_t *cap, const struct ast_heredoc *word,
                     const struct ast_heredoc *found)
{
    const char *body = found != NULL ? found->body : "";
    MEM_ROOM(files->v, files->n, *cap);
    files->v[files->n++] = (struct instr_file){
        .name = str_dup(word->name),
        .data = word->chomp ? ast_chomp(body) : str_dup(body),
        .fd = word->fd,
        .expand = word->expand,
    };
}

/* Sources, here-documents among them, and the destination. */
static int parse_paths(const struct ast_node *node, struct instr *ret, struct err *err)
{
    AUTO(map_free) struct map *heredocs = heredocs_by_name(node);
    struct instr_copy *copy = &ret->copy;
    size_t last = node->args.n - 1, cap = 0;
    for (size_t i = 0; i <= last; i++) {
        struct ast_heredoc word = { .name = NULL };
        struct err ignored = ERR_INIT;
        int is = ast_heredoc_word(node->args.v[i], &word, &ignored);
        if (is == 1 && i == last) {
            ast_heredoc_release(&word);
            return err_set(err, ERR_USAGE, "%s cannot accept a heredoc as a destination",
                           instr_kind_name(ret->kind));
        }
        if (is == 1)
            add_file(&copy->files, &cap, &word, map_get(heredocs, word.name));
        else if (i < last)
            strv_add(&copy->sources, node->args.v[i]);
        else
            copy->dest = str_dup(node->args.v[i]);
        ast_heredoc_release(&word);
    }
    return 0;
}

static int no_destination(const char *name, struct err *err)
{
    return err_set(err, ERR_USAGE,
                   "%s requires at least two arguments, but only one was provided. "
                   "Destination could not be determined",
                   name);
}

/* An empty value is as good as none. */
static char *flag_text(const char *value)
{
    return value != NULL && *value != '\0' ? str_dup(value) : NULL;
}

static bool is_true(const char *value)
{
    return value != NULL && strcmp(value, "true") == 0;
}

static enum instr_tri tri_of(const char *value)
{
    return value == NULL ? INSTR_UNSET : is_true(value) ? INSTR_TRUE : INSTR_FALSE;
}

static int parse_add(const struct ast_node *node, struct instr *ret, struct err *err)
{
    enum { CHOWN, CHMOD, LINK, KEEP_GIT_DIR, CHECKSUM, UNPACK, EXCLUDE };
    static const struct flag_spec specs[] = {
        [CHOWN] = { "chown", FLAG_STRING },       [CHMOD] = { "chmod", FLAG_STRING },
        [LINK] = { "link", FLAG_BOOL },           [KEEP_GIT_DIR] = { "keep-git-dir", FLAG_BOOL },
        [CHECKSUM] = { "checksum", FLAG_STRING }, [UNPACK] = { "unpack", FLAG_BOOL },
        [EXCLUDE] = { "exclude", FLAG_LIST },
    };
    struct flag_values flags;
    if (node->args.n < 2)
        return no_destination("ADD", err);
    if (flags_parse(&node->flags, specs, ARRAY_LEN(specs), &flags, err) < 0)
        return err->code;
    ret->copy.chown = flag_text(flags.v[CHOWN]);
    ret->copy.chmod = flag_text(flags.v[CHMOD]);
    ret->copy.checksum = flag_text(flags.v[CHECKSUM]);
    ret->copy.link = is_true(flags.v[LINK]);
    ret->copy.unpack = tri_of(flags.v[UNPACK]);
    ret->copy.keep_git_dir = tri_of(flags.v[KEEP_GIT_DIR]);
    flags_list(&node->flags, "exclude", &ret->copy.exclude);
    return parse_paths(node, ret, err);
}

static int parse_copy(const struct ast_node *node, struct instr *ret, struct err *err)
{
    enum { CHOWN, CHMOD, FROM, LINK, PARENTS, EXCLUDE };
    static const struct flag_spec specs[] = {
        [CHOWN] = { "chown", FLAG_STRING },   [CHMOD] = { "chmod", FLAG_STRING },
        [FROM] = { "from", FLAG_STRING },     [LINK] = { "link", FLAG_BOOL },
        [PARENTS] = { "parents", FLAG_BOOL }, [EXCLUDE] = { "exclude", FLAG_LIST },
    };
    struct flag_values flags;
    if (node->args.n < 2)
        return no_destination("COPY", err);
    if (flags_parse(&node->flags, specs, ARRAY_LEN(specs), &flags, err) < 0)
        return err->code;
    ret->copy.chown = flag_text(flags.v[CHOWN]);
    ret->copy.chmod = flag_text(flags.v[CHMOD]);
    ret->copy.from = flag_text(flags.v[FROM]);
    ret->copy.link = is_true(flags.v[LINK]);
    ret->copy.parents = is_true(flags.v[PARENTS]);
    flags_list(&node->flags, "exclude", &ret->copy.exclude);
    return parse_paths(node, ret, err);
}

static bool is_stage_name(const char *s)
{
    if (!islower((unsigned char)*s))
        return false;
    return s[strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-_.")] == '\0';
}

static int parse_stage_name(const struct ast_node *node, struct instr_from *ret, struct err *err)
{
    const struct strv *args = &node->args;
    if (args->n != 3 || strcasecmp(args->v[1], "as") != 0) {
        if (args->n == 1)
            return 0;
        return err_set(err, ERR_USAGE, "FROM requires either one or three arguments");
    }
    ret->as_keyword = str_dup(args->v[1]);
    ret->name_as_written = str_dup(args->v[2]);
    ret->name = str_dup(args->v[2]);
    for (char *c = ret->name; *c != '\0'; c++)
        *c = (char)tolower((unsigned char)*c);
    if (is_stage_name(ret->name))
        return 0;
    AUTO(buf_release) struct buf quoted = BUF_INIT;
    text_quote(&quoted, args->v[2]);
    return err_set(err, ERR_USAGE,
                   "invalid name for build stage: %s, name can't start with a number or contain "
                   "symbols",
                   buf_str(&quoted));
}

static int parse_from(const struct ast_node *node, struct instr *ret, struct err *err)
{
    static const struct flag_spec specs[] = { { "platform", FLAG_STRING } };
    struct flag_values flags;
    if (parse_stage_name(node, &ret->from, err) < 0 ||
        flags_parse(&node->flags, specs, ARRAY_LEN(specs), &flags, err) < 0)
        return err->code;
    ret->from.base = str_dup(node->args.v[0]);
    ret->from.platform = flag_text(flags.v[0]);
    ret->from.comment = comment_about(node, ret->from.name);
    return 0;
}

/* ONBUILD's text without "ONBUILD", here-documents put back. */
static char *onbuild_trigger(const struct ast_node *node)
{
    AUTO(buf_release) struct buf b = BUF_INIT;
    size_t n;
    const char *p = text_trim_left(node->text, strlen(node->text), &n) + strlen("ONBUILD");
    buf_adds(&b, p + strspn(p, "\t\n\f\r "));
    for (size_t i = 0; i < node->n_heredocs; i++) {
        buf_addc(&b, '\n');
        buf_adds(&b, node->heredocs[i].body);
        buf_adds(&b, node->heredocs[i].name);
    }
    return buf_take(&b);
}

/* What may not be a trigger. */
static int check_trigger(const char *keyword, struct err *err)
{
    if (strcasecmp(keyword, "ONBUILD") == 0)
        return err_set(err, ERR_USAGE, "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed");
    if (strcasecmp(keyword, "FROM") == 0 || strcasecmp(keyword, "MAINTAINER") == 0)
        return err_set(err, ERR_USAGE, "%s isn't allowed as an ONBUILD trigger",
                       tolower((unsigned char)*keyword) == 'f' ? "FROM" : "MAINTAINER");
    return 0;
}

static int parse_onbuild(const struct ast_node *node, struct instr *ret, struct err *err)
{
    if (node->sub == NULL)
        return at_least_one("ONBUILD", err);
    if (no_flags(node, err) < 0 || check_trigger(node->sub->keyword, err) < 0)
        return err->code;
    ret->value = onbuild_trigger(node);
    return 0;
}

/* Exec form, or the shell form's one string. */
static void set_cmdline(const struct ast_node *node, struct instr_cmdline *ret)
{
    ret->shell = !node->json;
    strv_copy(&ret->args, &node->args);
}

/* CMD and ENTRYPOINT. */
static int parse_cmd(const struct ast_node *node, struct instr *ret, struct err *err)
{
    if (no_flags(node, err) < 0)
        return err->code;
    set_cmdline(node, &ret->cmd);
    return 0;
}

static void set_run_files(const struct ast_node *node, struct instr_files *ret)
{
    if (node->n_heredocs == 0)
        return;
    ret->v = mem_calloc(node->n_heredocs, sizeof(*ret->v));
    for (size_t i = 0; i < node->n_heredocs; i++) {
        const struct ast_heredoc *h = &node->heredocs[i];
        ret->v[ret->n++] = (struct instr_file){ .name = str_dup(h->name),
                                                .data = str_dup(h->body),
                                                .fd = h->fd,
                                                .expand = h->expand,
                                                .chomp = h->chomp };
    }
}

static int parse_network(const char *value, enum run_network *ret, struct err *err)
{
    static const char *const names[] = {
        [RUN_NETWORK_DEFAULT] = "default",
        [RUN_NETWORK_NONE] = "none",
        [RUN_NETWORK_HOST] = "host",
    };
    if (value == NULL)
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (strcmp(value, names[i]) == 0) {
            *ret = (enum run_network)i;
            return 0;
        }
    }
    AUTO(buf_release) struct buf quoted = BUF_INIT;
    text_quote(&quoted, value);
    return err_set(err, ERR_USAGE, "invalid network mode %s", buf_str(&quoted));
}

static int parse_security(const char *value, bool *ret, struct err *err)
{
    *ret = value != NULL && strcmp(value, "insecure") == 0;
    if (*ret || value == NULL || strcmp(value, "sandbox") == 0)
        return 0;
    AUTO(buf_release) struct buf quoted = BUF_INIT;
    text_quote(&quoted, value);
    return err_set(err, ERR_USAGE, "security %s is not valid", buf_str(&quoted));
}

static int parse_devices(const struct ast_node *node, struct instr_run *ret, struct err *err)
{
    AUTO(strv_release) struct strv specs = STRV_INIT;
    flags_list(&node->flags, "device", &specs);
    if (specs.n == 0)
        return 0;
    ret->devices = mem_calloc(specs.n, sizeof(*ret->devices));
    for (; ret->n_devices < specs.n; ret->n_devices++) {
        if (run_device_parse(specs.v[ret->n_devices], &ret->devices[ret->n_devices], err) < 0)
            return err->code;
    }
    return 0;
}

static int parse_run(const struct ast_node *node, struct instr *ret, struct err *err)
{
    enum { MOUNT, NETWORK, SECURITY, DEVICE };
    static const struct flag_spec specs[] = {
        [MOUNT] = { "mount", FLAG_LIST },
        [NETWORK] = { "network", FLAG_STRING },
        [SECURITY] = { "security", FLAG_STRING },
        [DEVICE] = { "device", FLAG_LIST },
    };
    struct flag_values flags;
    struct instr_run *run = &ret->run;
    if (flags_parse(&node->flags, specs, ARRAY_LEN(specs), &flags, err) < 0)
        return err->code;
    flags_names(&node->flags, &run->flags_used);
    set_cmdline(node, &run->cmd);
    set_run_files(node, &run->files);
    run->trace_off = run_directive_trace_off(&node->comments, NULL);
    flags_list(&node->flags, "mount", &run->mount_specs);
    if (parse_devices(node, run, err) < 0)
        return err->code;
    for (size_t i = 0; i < run->mount_specs.n; i++) {
        if (run_mount_check(run->mount_specs.v[i], err) < 0)
            return err->code;
    }
    if (parse_network(flags.v[NETWORK], &run->network, err) < 0)
        return err->code;
    return parse_security(flags.v[SECURITY], &run->insecure, err);
}

static int parse_interval(const char *name, const char *value, int64_t *ret, struct err *err)
{
    int64_t ns = 0;
    if (value == NULL || *value == '\0')
        return 0;
    if (duration_parse(value, &ns, err) < 0)
        return err->code;
    if (ns != 0 && ns < MIN_INTERVAL_NS)
        return err_set(err, ERR_USAGE, "Interval \"%s\" cannot be less than 1ms", name);
    *ret = ns;
    return 0;
}

static int parse_retries(const char *value, int *ret, struct err *err)
{
    AUTO(buf_release) struct buf quoted = BUF_INIT;
    char *end;
    if (value == NULL || *value == '\0')
        return 0;
    errno = 0;
    long n = strtol(value, &end, 10);
    text_quote(&quoted, value);
    if (*end != '\0' || isspace((unsigned char)*value))
        return err_set(err, ERR_USAGE, "strconv.ParseInt: parsing %s: invalid syntax",
                       buf_str(&quoted));
    if (errno != 0 || n > INT32_MAX || n < INT32_MIN)
        return err_set(err, ERR_USAGE, "strconv.ParseInt: parsing %s: value out of range",
                       buf_str(&quoted));
    if (n < 0)
        return err_set(err, ERR_USAGE, "--retries cannot be negative (%ld)", n);
    *ret = (int)n;
    return 0;
}

/* "CMD" and the command into {"CMD", argv...} or {"CMD-SHELL", line}. */
static int parse_health_test(const struct ast_node *node, struct strv *ret, struct err *err)
{
    if (strcasecmp(node->args.v[0], "CMD") != 0) {
        AUTO(buf_release) struct buf quoted = BUF_INIT;
        AUTO(mem_free) char *upper = str_dup(node->args.v[0]);
        for (char *c = upper; *c != '\0'; c++)
            *c = (char)toupper((unsigned char)*c);
        text_quote(&quoted, upper);
        return err_set(err, ERR_USAGE, "Unknown type %s in HEALTHCHECK (try CMD)",
                       buf_str(&quoted));
    }
    if (node->args.n < 2)
        return err_set(err, ERR_USAGE, "Missing command after HEALTHCHECK CMD");
    strv_copy(ret, &node->args);
    strv_remove(ret, 0);
    AUTO(strv_release) struct strv rest = *ret;
    *ret = (struct strv)STRV_INIT;
    strv_add(ret, node->json ? "CMD" : "CMD-SHELL");
    strv_append(ret, &rest);
    return 0;
}

static int parse_healthcheck(const struct ast_node *node, struct instr *ret, struct err *err)
{
    enum { INTERVAL, TIMEOUT, START_PERIOD, START_INTERVAL, RETRIES };
    static const struct flag_spec specs[] = {
        [INTERVAL] = { "interval", FLAG_STRING },
        [TIMEOUT] = { "timeout", FLAG_STRING },
        [START_PERIOD] = { "start-period", FLAG_STRING },
        [START_INTERVAL] = { "start-interval", FLAG_STRING },
        [RETRIES] = { "retries", FLAG_STRING },
    };
    struct instr_healthcheck *h = &ret->health;
    int64_t *const times[] = { &h->interval, &h->timeout, &h->start_period, &h->start_interval };
    struct flag_values flags;
    if (node->args.n == 0)
        return at_least_one("HEALTHCHECK", err);
    if (strcasecmp(node->args.v[0], "NONE") == 0) {
        if (node->args.n > 1)
            return err_set(err, ERR_USAGE, "HEALTHCHECK NONE takes no arguments");
        strv_add(&h->test, "NONE");
        return 0;
    }
    if (flags_parse(&node->flags, specs, ARRAY_LEN(specs), &flags, err) < 0 ||
        parse_health_test(node, &h->test, err) < 0)
        return err->code;
    for (size_t i = 0; i < ARRAY_LEN(times); i++) {
        if (parse_interval(specs[i].name, flags.v[i], times[i], err) < 0)
            return err->code;
    }
    return parse_retries(flags.v[RETRIES], &h->retries, err);
}

static int parse_expose(const struct ast_node *node, struct instr *ret, struct err *err)
{
    if (node->args.n == 0)
        return at_least_one("EXPOSE", err);
    if (no_flags(node, err) < 0)
        return err->code;
    strv_copy(&ret->list, &node->args);
    strv_sort(&ret->list);
    return 0;
}

static int parse_volume(const struct ast_node *node, struct instr *ret, struct err *err)
{
    if (node->args.n == 0)
        return at_least_one("VOLUME", err);
    if (no_flags(node, err) < 0)
        return err->code;
    for (size_t i = 0; i < node->args.n; i++) {
        size_t n;
        const char *volume = text_trim(node->args.v[i], strlen(node->args.v[i]), &n);
        if (n == 0)
            return err_set(err, ERR_USAGE, "VOLUME specified can not be an empty string");
        strv_addn(&ret->list, volume, n);
    }
    return 0;
}

static int parse_shell(const struct ast_node *node, struct instr *ret, struct err *err)
{
    if (no_flags(node, err) < 0)
        return err->code;
    if (node->args.n == 0)
        return at_least_one("SHELL", err);
    if (!node->json)
        return err_set(err, ERR_USAGE, "SHELL requires the arguments to be in JSON form");
    strv_copy(&ret->list, &node->args);
    return 0;
}

static int (*const parsers[INSTR_KINDS])(const struct ast_node *, struct instr *, struct err *) = {
    [INSTR_ADD] = parse_add,
    [INSTR_ARG] = parse_arg,
    [INSTR_CMD] = parse_cmd,
    [INSTR_COPY] = parse_copy,
    [INSTR_ENTRYPOINT] = parse_cmd,
    [INSTR_ENV] = parse_pairs,
    [INSTR_EXPOSE] = parse_expose,
    [INSTR_FROM] = parse_from,
    [INSTR_HEALTHCHECK] = parse_healthcheck,
    [INSTR_LABEL] = parse_pairs,
    [INSTR_MAINTAINER] = parse_value,
    [INSTR_ONBUILD] = parse_onbuild,
    [INSTR_RUN] = parse_run,
    [INSTR_SHELL] = parse_shell,
    [INSTR_STOPSIGNAL] = parse_stopsignal,
    [INSTR_USER] = parse_value,
    [INSTR_VOLUME] = parse_volume,
    [INSTR_WORKDIR] = parse_value,
};

/* -1: there is no such instruction, said in err. */
static int find_kind(const char *keyword, struct err *err)
{
    const char *names[INSTR_KINDS];
    for (int k = 0; k < INSTR_KINDS; k++) {
        names[k] = instr_kind_name((enum instr_kind)k);
        if (strcasecmp(names[k], keyword) == 0)
            return k;
    }
    err_set(err, ERR_USAGE, "unknown instruction: %s", keyword);
    suggest_add(err, keyword, names, INSTR_KINDS, true);
    return -1;
}

/* A JSON word may hold a NUL, which no argument list and no path can. */
static int check_words(const struct ast_node *node, struct err *err)
{
    for (size_t i = 0; node->json && i < node->args.n; i++) {
        if (strstr(node->args.v[i], "\xC0\x80") != NULL)
            return err_set(err, ERR_USAGE, "%s has an argument with a NUL character",
                           node->keyword);
    }
    return 0;
}

struct instr *instr_from_node(const struct ast_node *node, struct err *err)
{
    size_t n;
    int kind = find_kind(node->keyword, err);
    if (kind < 0 || check_words(node, err) < 0)
        return NULL;
    AUTO(instr_free) struct instr *i = mem_zalloc(sizeof(*i));
    const char *text = text_trim(node->text, strlen(node->text), &n);
    i->kind = (enum instr_kind)kind;
    i->line = node->line;
    i->line_end = node->line_end;
    i->keyword = str_dup(node->keyword);
    i->text = str_ndup(text, n);
    i->json = node->json;
    strv_copy(&i->comments, &node->comments);
    strv_copy(&i->flags, &node->flags);
    if (parsers[kind](node, i, err) < 0)
        return NULL;
    return TAKE(i);
}

struct instr *instr_parse_onbuild(const char *trigger, struct err *err)
{
    AUTO(ast_free) struct ast *a = ast_parse(trigger, strlen(trigger), err);
    if (a != NULL && a->n_nodes != 1)
        err_set(err, ERR_USAGE, "onbuild trigger should be a single expression");
    struct instr *i = NULL;
    if (a != NULL && a->n_nodes == 1 && check_trigger(a->nodes[0].keyword, err) == 0)
        i = instr_from_node(&a->nodes[0], err);
    err->line = err->line_end = 0;
    return i;
}

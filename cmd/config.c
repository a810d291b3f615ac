#include "cmd/config.h"

#include "base/fs.h"
#include "base/log.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define CONFIG_MAX (1u << 20) /* bytes of a file */
#define BLANKS " \t\r"

void config_release(struct config *c)
{
    strv_release(&c->docs);
    mem_free(c->trace);
    mem_free(c->trace_max_age);
    mem_free(c->trace_sample);
    strv_release(&c->registries.mirrors);
    strv_release(&c->registries.insecure);
    mem_free(c->certs_dir);
}

/* Words between blanks. */
static int take_docs(struct config *c, const char *value, struct err *err UNUSED)
{
    c->has_docs = true;
    strv_clear(&c->docs);
    for (const char *p = value + strspn(value, BLANKS); *p; p += strspn(p, BLANKS)) {
        size_t n = strcspn(p, BLANKS);
        strv_addn(&c->docs, p, n);
        p += n;
    }
    return 0;
}

/* One value without the blanks around it; what it may be is not known here. */
static void take_text(char **ret, const char *value)
{
    value += strspn(value, BLANKS);
    size_t n = strlen(value);
    while (n > 0 && strchr(BLANKS, value[n - 1]) != NULL)
        n--;
    mem_free(*ret);
    *ret = str_ndup(value, n);
}

static int take_trace(struct config *c, const char *value, struct err *err UNUSED)
{
    take_text(&c->trace, value);
    return 0;
}

static int take_trace_max_age(struct config *c, const char *value, struct err *err UNUSED)
{
    take_text(&c->trace_max_age, value);
    return 0;
}

static int take_trace_sample(struct config *c, const char *value, struct err *err UNUSED)
{
    take_text(&c->trace_sample, value);
    return 0;
}

/* Between commas and blanks; a key that stands there again adds to the list. */
static void take_list(struct strv *ret, const char *value)
{
    for (const char *p = value + strspn(value, BLANKS ","); *p; p += strspn(p, BLANKS ",")) {
        size_t n = strcspn(p, BLANKS ",");
        strv_addn(ret, p, n);
        p += n;
    }
}

static int take_mirrors(struct config *c, const char *value, struct err *err UNUSED)
{
    take_list(&c->registries.mirrors, value);
    return 0;
}

static int take_insecure(struct config *c, const char *value, struct err *err UNUSED)
{
    take_list(&c->registries.insecure, value);
    return 0;
}

static int take_certs(struct config *c, const char *value, struct err *err UNUSED)
{
    take_text(&c->certs_dir, value);
    c->registries.certs_dir = *c->certs_dir != '\0' ? c->certs_dir : NULL;
    return 0;
}

static const struct {
    const char *key;
    int (*take)(struct config *c, const char *value, struct err *err);
} keys[] = {
    { "docs", take_docs },
    { "insecure-registry", take_insecure },
    { "registry-certs", take_certs },
    { "registry-mirror", take_mirrors },
    { "trace", take_trace },
    { "trace-max-age", take_trace_max_age },
    { "trace-sample", take_trace_sample },
};

static int take_line(struct config *c, char *line, const char *name, int number, struct err *err)
{
    line += strspn(line, BLANKS);
    if (*line == '\0' || *line == '#')
        return 0;
    char *value = strchr(line, '=');
    if (value == NULL)
        return err_set(err, ERR_USAGE, "'%s', line %d: it is no KEY = VALUE", name, number);
    char *end = value++;
    while (end > line && strchr(BLANKS, end[-1]) != NULL)
        end--;
    *end = '\0';
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        if (str_eq(line, keys[i].key))
            return keys[i].take(c, value, err);
    if (!c->is_quiet)
        log_warn("cmd", "'%s', line %d: '%s' is not known to this version", name, number, line);
    return 0;
}

int config_parse(const char *text, size_t n, const char *name, struct config *ret, struct err *err)
{
    AUTO(mem_free) char *copy = str_ndup(text, n);
    AUTO(config_release) struct config c = { .is_quiet = ret->is_quiet };
    int number = 0;
    if (strlen(copy) != n)
        return err_set(err, ERR_USAGE, "'%s' is no text", name);
    for (char *line = copy, *end; *line != '\0'; line = end) {
        end = line + strcspn(line, "\n");
        if (*end != '\0')
            *end++ = '\0';
        if (take_line(&c, line, name, ++number, err) < 0)
            return err->code;
    }
    *ret = c;
    c = (struct config){ .has_docs = false };
    return 0;
}

static int read_file(const char *path, struct config *ret, struct err *err)
{
    AUTO(buf_release) struct buf text = BUF_INIT;
    if (file_read(AT_FDCWD, path, CONFIG_MAX, &text, err) < 0)
        return err->code;
    return config_parse(buf_str(&text), text.len, path, ret, err);
}

/* A file that nobody named: what cannot be reached (another user's home) is not there. */
static int read_if_there(const char *path, struct config *ret, struct err *err)
{
    int rc = read_file(path, ret, err);
    if (rc != ERR_IO || (err->sys != ENOTDIR && err->sys != EACCES))
        return rc;
    log_debug("cmd", "%s", err->msg);
    return ERR_NOT_FOUND;
}

static char *users_path(void)
{
    const char *dir = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    if (dir != NULL && *dir == '/')
        return str_printf("%s/shale/shale.conf", dir);
    return home != NULL && *home == '/' ? str_printf("%s/.config/shale/shale.conf", home) : NULL;
}

int config_read(struct config *ret, struct err *err)
{
    const char *named = getenv("SHALE_CONFIG");
    if (named != NULL && *named != '\0')
        return read_file(named, ret, err);
    AUTO(mem_free) char *own = users_path();
    int rc = own != NULL ? read_if_there(own, ret, err) : ERR_NOT_FOUND;
    if (rc == ERR_NOT_FOUND)
        rc = read_if_there("/etc/shale/shale.conf", ret, err);
    if (rc != ERR_NOT_FOUND)
        return rc;
    err_clear(err);
    return 0;
}

#include "engine/context_named.h"

#include "image/name.h"
#include <string.h>
#include <strings.h>

#define LATEST ":latest"
#define OF_PLATFORM "::"

/* The familiar form, which is what --build-context and FROM's word are compared in. */
static char *normalized(const char *name, struct err *err)
{
    AUTO(image_name_release) struct image_name n = { 0 };
    if (image_name_parse(name, &n, err) < 0)
        return NULL;
    char *familiar = image_name_familiar(&n);
    if (str_ends(familiar, LATEST))
        familiar[strlen(familiar) - strlen(LATEST)] = '\0';
    return familiar;
}

char *context_spec_parse(const char *text, struct err *err)
{
    const char *eq = strchr(text, '=');
    if (eq == NULL) {
        err_set(err, ERR_USAGE, "invalid context value: %s, expected key=value", text);
        return NULL;
    }
    AUTO(mem_free) char *key = str_ndup(text, (size_t)(eq - text));
    AUTO(mem_free) char *bare = str_dup(key);
    char *at = strstr(bare, OF_PLATFORM), shown[64] = "";
    if (at != NULL) {
        struct platform p;
        *at = '\0';
        if (platform_parse(at + strlen(OF_PLATFORM), &p, err) < 0) {
            err_wrap(err, "invalid context name %s", key);
            return NULL;
        }
        platform_format(&p, shown);
    }
    AUTO(mem_free) char *name = normalized(bare, err);
    if (name == NULL) {
        err_wrap(err, "invalid context name %s", key);
        return NULL;
    }
    return str_printf("%s%s%s=%s", name, *shown ? OF_PLATFORM : "", shown, eq + 1);
}

static bool find_key(const struct strv *specs, const char *key, struct context_spec *ret)
{
    size_t n = strlen(key);
    for (size_t i = specs->n; i-- > 0;) {
        const char *spec = specs->v[i];
        if (strncmp(spec, key, n) == 0 && spec[n] == '=') {
            *ret = (struct context_spec){ .key = spec, .key_len = n, .value = spec + n + 1 };
            return true;
        }
    }
    return false;
}

bool context_spec_find(const struct strv *specs, const char *word, const struct platform *platform,
                       struct context_spec *ret)
{
    struct err ignored = ERR_INIT;
    if (specs->n == 0 || strcasecmp(word, "scratch") == 0 || strcasecmp(word, "context") == 0)
        return false;
    AUTO(mem_free) char *name = normalized(word, &ignored);
    if (name == NULL)
        return false;
    char shown[64];
    AUTO(mem_free)
    char *of_platform = str_printf("%s" OF_PLATFORM "%s", name, platform_format(platform, shown));
    return find_key(specs, of_platform, ret) || find_key(specs, name, ret);
}

void layout_ref_release(struct layout_ref *r)
{
    mem_free(r->path);
    mem_free(r->tag);
    mem_free(r->digest);
}

void layout_ref_parse(const char *text, struct layout_ref *ret)
{
    size_t n = strcspn(text, "@"), path = strcspn(text, ":@");
    ret->path = str_ndup(text, path);
    ret->tag = path < n ? str_ndup(text + path + 1, n - path - 1) : str_dup("latest");
    ret->digest = text[n] == '@' ? str_dup(text + n + 1) : NULL;
}

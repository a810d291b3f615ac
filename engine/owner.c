#include "engine/owner.h"

#include <stdlib.h>
#include <string.h>

/* A number that no user has; for Docker one that is not there. */
static bool is_too_large(const char *s)
{
    return *s != '\0' && s[strspn(s, "0123456789")] == '\0' && strtoull(s, NULL, 10) > INT32_MAX;
}

/* A number, "root" or nothing. */
static bool is_number(const char *s, uint32_t *ret)
{
    char *end;
    unsigned long long n = strtoull(s, &end, 10);
    if (*s == '\0' || strcmp(s, "root") == 0 || is_too_large(s)) {
        *ret = 0;
        return true;
    }
    if (*s < '0' || *s > '9' || *end != '\0')
        return false;
    *ret = (uint32_t)n;
    return true;
}

/* spec at its colon; *ret_group is NULL without one. */
static void split(const char *spec, char **ret_user, char **ret_group)
{
    const char *colon = strchr(spec, ':');
    *ret_user = colon ? str_ndup(spec, (size_t)(colon - spec)) : str_dup(spec);
    *ret_group = colon ? str_dup(colon + 1) : NULL;
}

/* 0, also when the name is not there: *ret_found tells. */
static int look_up(const struct view *v, const char *spec, struct user_ids *ret, bool *ret_found,
                   struct buf *unknown, struct err *err)
{
    struct err why = ERR_INIT;
    int rc = view_user(v, spec, 0, ret, &why);
    *ret_found = rc == 0;
    if (rc < 0 && rc != ERR_NOT_FOUND)
        return err_copy(err, &why);
    if (rc < 0 && unknown != NULL)
        buf_addf(unknown, "%s%s", unknown->len > 0 ? "; " : "", why.msg);
    return 0;
}

int owner_resolve(const struct view *v, const char *spec, struct owner *ret,
                  struct buf *ret_unknown, struct err *err)
{
    AUTO(mem_free) char *user = NULL;
    AUTO(mem_free) char *group = NULL;
    AUTO(user_ids_release) struct user_ids by_user = { 0 };
    AUTO(user_ids_release) struct user_ids by_group = { 0 };
    struct owner o = { 0 };
    bool found;
    split(spec, &user, &group);
    if (is_number(user, &o.uid)) {
        o.gid = o.uid;
    } else {
        if (look_up(v, user, &by_user, &found, ret_unknown, err) < 0)
            return err->code;
        if (found)
            o = (struct owner){ .uid = by_user.uid, .gid = by_user.gid };
    }
    if (group != NULL && !is_too_large(group) && !is_number(group, &o.gid)) {
        AUTO(mem_free) char *as_group = str_printf("0:%s", group);
        if (look_up(v, as_group, &by_group, &found, ret_unknown, err) < 0)
            return err->code;
        if (found)
            o.gid = by_group.gid;
    }
    *ret = o;
    return 0;
}

bool owner_has_names(const char *spec)
{
    AUTO(mem_free) char *user = NULL;
    AUTO(mem_free) char *group = NULL;
    uint32_t n;
    split(spec, &user, &group);
    return !is_number(user, &n) || (group != NULL && !is_number(group, &n));
}

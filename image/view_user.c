#include "image/view.h"

#include "base/mem.h"
#include <string.h>

#define ID_MAX 2147483647u
#define FIELDS_MAX 7

/* A line of passwd or group cut at its colons; the last field takes the rest. */
struct line {
    struct field {
        const char *p;
        size_t n;
    } f[FIELDS_MAX];
    size_t n;
};

struct text {
    const char *p;
    size_t n;
};

static bool next_line(struct text *t, struct line *ret)
{
    if (t->n == 0)
        return false;
    const char *end = memchr(t->p, '\n', t->n);
    size_t len = end ? (size_t)(end - t->p) : t->n;
    const char *p = t->p, *stop = p + len;
    t->p += len + (end != NULL);
    t->n -= len + (end != NULL);
    ret->n = 0;
    while (ret->n < FIELDS_MAX) {
        const char *colon = memchr(p, ':', (size_t)(stop - p));
        const char *to = colon ? colon : stop;
        ret->f[ret->n++] = (struct field){ .p = p, .n = (size_t)(to - p) };
        if (colon == NULL)
            break;
        p = colon + 1;
    }
    return true;
}

static bool is(const struct field *f, const char *s, size_t n)
{
    return f->n == n && memcmp(f->p, s, n) == 0;
}

/* Digits only, so that a damaged line never means user 0. */
static bool number(const char *s, size_t n, uint32_t *ret)
{
    uint64_t v = 0;
    if (n == 0 || n > 10)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (s[i] < '0' || s[i] > '9')
            return false;
        v = v * 10 + (uint64_t)(s[i] - '0');
    }
    *ret = (uint32_t)v;
    return v <= ID_MAX;
}

static bool all_digits(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (s[i] < '0' || s[i] > '9')
            return false;
    return n > 0;
}

/* A file that is there but not carried must not pass for one that names nobody. */
static int load(const struct view *v, const char *path, struct text *ret, struct err *err)
{
    AUTO(mem_free) char *real = NULL;
    struct err none = ERR_INIT;
    struct entry e;
    *ret = (struct text){ .p = "" };
    ret->p = view_inline(v, path, &ret->n);
    if (ret->p || view_resolve(v, path, true, &real, NULL, &none) < 0 ||
        !view_find(v, real, &e, NULL) || e.type != ENTRY_FILE || e.size == 0) {
        ret->n = ret->p ? ret->n : 0;
        return 0;
    }
    return err_set(err, ERR_UNSUPPORTED,
                   "cannot look up users: '/%s' is larger than %u bytes or "
                   "not in its place",
                   path, LISTING_INLINE_MAX);
}

struct part {
    const char *s;
    size_t n;
    bool numeric;
    uint32_t id;
};

static int take_part(const char *s, size_t n, struct part *ret, struct err *err)
{
    *ret = (struct part){ .s = s, .n = n, .numeric = all_digits(s, n) };
    if (ret->numeric && !number(s, n, &ret->id))
        return err_set(err, ERR_USAGE, "uids and gids must be in range 0-%u", ID_MAX);
    return 0;
}

struct lookup {
    struct part user, group;
    bool has_group;
    struct field name; /* of the user in passwd; n 0: none */
    struct user_ids ids;
};

static bool is_user(const struct line *l, const struct part *want, uint32_t *ret_uid,
                    uint32_t *ret_gid)
{
    if (l->n < 4 || l->f[0].n == 0 || l->f[0].p[0] == '#' ||
        !number(l->f[2].p, l->f[2].n, ret_uid) || !number(l->f[3].p, l->f[3].n, ret_gid))
        return false;
    if (want->numeric || want->n == 0)
        return *ret_uid == want->id;
    return is(&l->f[0], want->s, want->n);
}

static int find_user(const struct view *v, struct lookup *k, uint32_t gid_default, struct err *err)
{
    struct text text;
    struct line l;
    if (load(v, "etc/passwd", &text, err) < 0)
        return err->code;
    while (next_line(&text, &l)) {
        if (!is_user(&l, &k->user, &k->ids.uid, &k->ids.gid))
            continue;
        k->name = l.f[0];
        if (l.n > 5 && l.f[5].n > 0)
            k->ids.home = str_ndup(l.f[5].p, l.f[5].n);
        return 0;
    }
    if (k->user.n > 0 && !k->user.numeric)
        return err_set(err, ERR_NOT_FOUND,
                       "unable to find user %.*s: no matching entries in passwd file",
                       (int)k->user.n, k->user.s);
    k->ids.uid = k->user.id;
    k->ids.gid = gid_default;
    return 0;
}

static bool lists(const struct line *l, const struct field *user)
{
    if (l->n < 4 || user->n == 0)
        return false;
    const char *p = l->f[3].p, *end = p + l->f[3].n;
    while (p < end) {
        const char *comma = memchr(p, ',', (size_t)(end - p));
        const char *to = comma ? comma : end;
        if (is(user, p, (size_t)(to - p)))
            return true;
        p = to + 1;
    }
    return false;
}

static int add_group(struct user_ids *u, uint32_t gid, struct err *err)
{
    for (size_t i = 0; i < u->n_groups; i++)
        if (u->groups[i] == gid)
            return 0;
    if (u->n_groups == ARRAY_LEN(u->groups))
        return err_set(err, ERR_UNSUPPORTED, "a user with more than %zu groups",
                       ARRAY_LEN(u->groups));
    u->groups[u->n_groups++] = gid;
    return 0;
}

static bool is_group_line(const struct line *l, uint32_t *ret_gid)
{
    return l->n >= 3 && l->f[0].n > 0 && l->f[0].p[0] != '#' &&
           number(l->f[2].p, l->f[2].n, ret_gid);
}

static int find_group(struct text text, struct lookup *k, struct err *err)
{
    struct line l;
    uint32_t gid;
    while (next_line(&text, &l))
        if (is_group_line(&l, &gid) && is(&l.f[0], k->group.s, k->group.n)) {
            k->ids.gid = gid;
            return 0;
        }
    return err_set(err, ERR_NOT_FOUND,
                   "unable to find group %.*s: no matching entries in group file", (int)k->group.n,
                   k->group.s);
}

static int find_groups(const struct view *v, struct lookup *k, struct err *err)
{
    struct text text;
    struct line l;
    uint32_t gid;
    if (k->has_group && k->group.numeric)
        k->ids.gid = k->group.id;
    if ((k->has_group && k->group.numeric) || (!k->has_group && k->name.n == 0))
        return add_group(&k->ids, k->ids.gid, err);
    if (load(v, "etc/group", &text, err) < 0)
        return err->code;
    if (k->has_group && find_group(text, k, err) < 0)
        return err->code;
    if (add_group(&k->ids, k->ids.gid, err) < 0)
        return err->code;
    while (!k->has_group && next_line(&text, &l))
        if (is_group_line(&l, &gid) && lists(&l, &k->name) && add_group(&k->ids, gid, err) < 0)
            return err->code;
    return 0;
}

int view_user(const struct view *v, const char *spec, uint32_t gid_default, struct user_ids *ret,
              struct err *err)
{
    const char *colon = strchr(spec, ':');
    const char *group = colon ? colon + 1 : "";
    struct lookup k = { .has_group = *group != '\0' };
    if (take_part(spec, strcspn(spec, ":"), &k.user, err) < 0 ||
        take_part(group, strlen(group), &k.group, err) < 0)
        return err->code;
    if (find_user(v, &k, gid_default, err) < 0 || find_groups(v, &k, err) < 0) {
        user_ids_release(&k.ids);
        return err->code;
    }
    if (k.ids.home == NULL)
        k.ids.home = str_dup("/");
    *ret = k.ids;
    return 0;
}

void user_ids_release(struct user_ids *u)
{
    mem_free(u->home);
    *u = (struct user_ids){ .home = NULL };
}

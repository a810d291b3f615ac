#include "base/userns.h"

#include "base/digest.h"
#include "base/fs.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define INITIAL "user:[4026531837]" /* the kernel's PROC_USER_INIT_INO */
#define MAP_MAX (1u << 16)          /* 340 lines */

void userns_release(struct userns *u)
{
    mem_free(u->uids.v);
    mem_free(u->gids.v);
    *u = (struct userns){ .is_initial = false };
}

bool userns_is_initial(void)
{
    char name[64] = "";

    return readlink("/proc/self/ns/user", name, sizeof(name) - 1) < 0 || str_eq(name, INITIAL);
}

/* Lines "inside outside count", padded with blanks: added to text without the padding. */
static int read_map(const char *path, struct userns_map *ret, struct buf *text, struct err *err)
{
    AUTO(buf_release) struct buf all = BUF_INIT;
    unsigned inside, outside, n;
    int len;

    if (file_read(AT_FDCWD, path, MAP_MAX, &all, err) < 0) {
        err->code = ERR_IO;
        return err->code;
    }
    for (const char *p = buf_str(&all); sscanf(p, "%u %u %u%n", &inside, &outside, &n, &len) == 3;
         p += len) {
        MEM_ROOM(ret->v, ret->n, ret->cap);
        ret->v[ret->n++] = (struct userns_range){ .first = inside, .n = n };
        buf_addf(text, "%u %u %u\n", inside, outside, n);
    }
    buf_addc(text, '\n');
    return 0;
}

int userns_read(struct userns *ret, struct err *err)
{
    AUTO(userns_release) struct userns u = { .is_initial = userns_is_initial() };
    AUTO(buf_release) struct buf text = BUF_INIT;
    char hex[DIGEST_HEX_LEN + 1];
    struct digest d;

    if (!u.is_initial) {
        if (read_map("/proc/self/uid_map", &u.uids, &text, err) < 0 ||
            read_map("/proc/self/gid_map", &u.gids, &text, err) < 0)
            return err->code;
        digest_of(buf_str(&text), text.len, &d);
        snprintf(u.form, sizeof(u.form), "%.*s", USERNS_FORM_LEN, digest_hex(&d, hex));
    }
    *ret = u;
    u = (struct userns){ .is_initial = false };
    return 0;
}

static bool has(const struct userns *u, const struct userns_map *m, uint32_t id)
{
    for (size_t i = 0; i < m->n; i++)
        if (id >= m->v[i].first && id - m->v[i].first < m->v[i].n)
            return true;
    return u->is_initial;
}

bool userns_has_uid(const struct userns *u, uint32_t uid)
{
    return has(u, &u->uids, uid);
}

bool userns_has_gid(const struct userns *u, uint32_t gid)
{
    return has(u, &u->gids, gid);
}

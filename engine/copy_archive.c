/* ADD of a local archive: told by its content, unpacked as `tar -x` would, on the plan. */
#include "engine/copy_internal.h"

#include "base/fs.h"
#include "base/log.h"
#include "dockerfile/glob.h"
#include "image/layer_tar.h"
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TAR_BLOCK 512
#define LINKS_MAX 255
#define ARCHIVE_MAX (64ull << 30) /* bytes that one archive may unpack to */

void copy_archive_release(struct copy_archive *a)
{
    mem_free(a->path);
    mem_free(a->dest);
}

static struct source *open_bytes(struct copy *c, const char *path, const struct layer *l,
                                 struct content **ret_content, struct err *err)
{
    *ret_content = NULL;
    if (l == NULL) {
        int fd = context_open_file(c->from.context, path, err);
        return fd < 0 ? NULL : source_fd(fd, true);
    }
    struct entry e;
    if (!listing_find(l->listing, path, &e)) {
        err_set(err, ERR_CORRUPT, "'%s' is not in its layer", path);
        return NULL;
    }
    *ret_content = content_new(c->st->b->store);
    content_want(*ret_content, l, &e);
    return content_open(*ret_content, l, &e, err);
}

int copy_is_archive(struct copy *c, const struct entry *e, size_t layer, struct err *err)
{
    if (e->size < 16)
        return 0;
    AUTO(content_free) struct content *content = NULL;
    const struct layer *l = c->from.n_layers > 0 ? c->from.layers[layer] : NULL;
    struct source *raw = open_bytes(c, e->path, l, &content, err);
    if (raw == NULL)
        return err->code;
    struct err not_one = ERR_INIT; /* what does not decompress is an ordinary file */
    AUTO(source_free) struct source *plain = source_decompress(raw, NULL, &not_one);
    unsigned char block[TAR_BLOCK];
    ssize_t n = plain ? source_read_full(plain, block, sizeof(block), &not_one) : -1;
    if (not_one.code == ERR_UNSUPPORTED) /* it may be one: this machine cannot tell */
        return err_copy(err, &not_one);
    return n == TAR_BLOCK && tar_is_header(block);
}

/* What an archive becomes depends on the directories that it finds: all of what is below counts. */
void copy_archives_key(const struct copy *c, struct key *k)
{
    for (size_t i = 0; i < c->n_archives; i++) {
        key_digest(k, "archive", &c->archives[i].entry.content);
        key_str(k, "archive.dest", c->archives[i].dest);
    }
    if (c->n_archives == 0)
        return;
    if (c->has_owner) {
        key_u64(k, "archive.uid", c->owner.uid);
        key_u64(k, "archive.gid", c->owner.gid);
    }
    if (!c->is_link)
        state_key(k, &c->st->state);
}

struct unpack {
    struct copy *c;
    const struct copy_archive *a;
    struct tar_reader *r;
    int spool;
    uint64_t used; /* bytes in the spool */
};

static int spool_file(struct unpack *u, struct entry *e, struct origin *o, struct err *err)
{
    AUTO(hasher_free) struct hasher *h = hasher_new();
    AUTO(mem_free) char *chunk = mem_alloc(65536);
    o->kind = ORIGIN_SPOOL;
    o->offset = u->used;
    ssize_t n;
    while ((n = tar_reader_read(u->r, chunk, 65536, err)) > 0) {
        if (u->used + (uint64_t)n > ARCHIVE_MAX)
            return err_set(err, ERR_USAGE, "'%s' unpacks to more than %llu bytes", u->a->path,
                           ARCHIVE_MAX);
        hasher_add(h, chunk, (size_t)n);
        if (lseek(u->spool, (off_t)u->used, SEEK_SET) < 0)
            return err_sys(err, errno, "cannot write scratch");
        if (fd_write_full(u->spool, chunk, (size_t)n, err) < 0)
            return err->code;
        u->used += (uint64_t)n;
    }
    if (n < 0)
        return err->code;
    o->size = e->size = u->used - o->offset;
    hasher_end(h, &e->content);
    return 0;
}

/* One name further from at, a place below dest; *rest gets a link's target in front. */
static int step_into(const struct unpack *u, char **at, char **rest, const char *name, int *links,
                     struct err *err)
{
    if (str_eq(name, "..")) {
        AUTO(mem_free) char *up = path_dir(*at);
        mem_free(*at);
        *at = str_dup(str_eq(up, ".") ? "" : up);
        return 0;
    }
    AUTO(mem_free) char *next = copy_below(*at, name);
    AUTO(mem_free) char *full = copy_below(u->a->dest, next);
    struct entry e;
    if (!plan_find(u->c->plan, full, &e) || e.type != ENTRY_LINK) {
        mem_free(*at);
        *at = TAKE(next);
        return 0;
    }
    if (++*links > LINKS_MAX)
        return err_set(err, ERR_USAGE, "'/%s': too many levels of symbolic links", full);
    AUTO(mem_free) char *left = TAKE(*rest);
    *rest = str_printf("%s/%s", e.target, left);
    if (e.target[0] == '/')
        (*at)[0] = '\0';
    return 0;
}

/*
 * The member's place in the image. Links of directories on the way, whether the archive brought
 * them or they were there, are followed as if dest were the root, with nothing above it.
 */
static char *place(const struct unpack *u, const char *member, struct err *err)
{
    AUTO(mem_free) char *at = str_dup("");
    const char *base = path_base(member);
    AUTO(mem_free) char *rest = str_ndup(member, (size_t)(base - member));
    int links = 0;
    while (rest[strspn(rest, "/")] != '\0') {
        const char *start = rest + strspn(rest, "/");
        size_t n = strcspn(start, "/");
        AUTO(mem_free) char *name = str_ndup(start, n);
        AUTO(mem_free) char *left = str_dup(start + n);
        mem_free(rest);
        rest = TAKE(left);
        if (!str_eq(name, ".") && step_into(u, &at, &rest, name, &links, err) < 0)
            return NULL;
    }
    AUTO(mem_free) char *rel = copy_below(at, base);
    return copy_below(u->a->dest, rel);
}

static void own(const struct unpack *u, struct entry *e)
{
    copy_drop_xattrs(e);
    if (u->c->has_owner) {
        e->uid = u->c->owner.uid;
        e->gid = u->c->owner.gid;
    }
}

/* A file of the image becomes one that the plan has, so that it can be linked to. */
static int take_target(struct unpack *u, const char *path, const char *to, const char *target,
                       struct err *err)
{
    struct state *s = &u->c->st->state;
    struct entry e;
    size_t layer;
    if (!plan_find(u->c->plan, target, &e) || !view_find(u->c->below, target, &e, &layer) ||
        e.type == ENTRY_DIR)
        return err_set(err, ERR_USAGE, "'%s': hard link to '%s', which is no file there", path, to);
    struct origin o = { .kind = ORIGIN_LAYER, .path = target, .layer = s->layers[layer] };
    e.path = target;
    return plan_put(u->c->plan, &e, &o, err);
}

/*
 * Another name for what the archive brought before, or for a file of the image. The link's header
 * counts for the file.
 */
static int unpack_hardlink(struct unpack *u, const char *path, const struct entry *member,
                           struct err *err)
{
    AUTO(mem_free) char *target = place(u, member->hardlink, err);
    struct entry e = *member;
    if (target == NULL)
        return err->code;
    int rc = plan_link(u->c->plan, path, target, true, err);
    if (rc == ERR_NOT_FOUND) {
        err_clear(err);
        if (take_target(u, path, member->hardlink, target, err) < 0)
            return err->code;
        rc = plan_link(u->c->plan, path, target, true, err);
    }
    own(u, &e);
    if (rc == 0)
        plan_touch(u->c->plan, path, &e);
    return rc;
}

/* Names that a layer cannot hold: they mean something else there. */
static bool is_whiteout_name(const char *path)
{
    return str_starts(path, ".wh.") || strstr(path, "/.wh.") != NULL;
}

static int check_name(const struct unpack *u, const char *path, struct err *err)
{
    for (size_t n; *path != '\0'; path += n + (path[n] == '/')) {
        n = strcspn(path, "/");
        if (n > NAME_MAX)
            return err_set(err, ERR_USAGE, "'%s': '%.32s...': file name too long", u->a->path,
                           path);
    }
    return 0;
}

static int unpack_member(struct unpack *u, const struct entry *member, struct err *err)
{
    if (*member->path == '\0')
        return 0;
    if (is_whiteout_name(member->path)) {
        log_warn("engine", "'%s': '%s' is left out, a layer cannot hold a file of that name",
                 u->a->path, member->path);
        return 0;
    }
    if (check_name(u, member->path, err) < 0)
        return err->code;
    struct entry e = *member;
    struct origin o = { 0 };
    AUTO(mem_free) char *path = place(u, member->path, err);
    if (path == NULL)
        return err->code;
    if (member->hardlink != NULL)
        return unpack_hardlink(u, path, member, err);
    e.path = path;
    own(u, &e);
    if (e.type == ENTRY_FILE && spool_file(u, &e, &o, err) < 0)
        return err->code;
    return plan_replace(u->c->plan, &e, &o, err);
}

/* Since it was scanned, or it was never what was remembered of it. */
static int has_changed(struct copy *c, const struct copy_archive *a, struct err *err)
{
    err_set(err, ERR_CORRUPT, "'%s' changed while it was unpacked", a->path);
    if (c->from.context != NULL)
        context_forget(c->from.context);
    build_note_change(c->st->b, c->from.context, err);
    return err->code;
}

static int unpack_members(struct copy *c, const struct copy_archive *a, struct err *err)
{
    AUTO(content_free) struct content *content = NULL;
    struct source *raw = open_bytes(c, a->path, a->layer, &content, err);
    if (raw == NULL)
        return err->code;
    struct digest got;
    AUTO(source_free) struct source *plain = source_decompress(source_hash(raw, &got), NULL, err);
    AUTO(tar_reader_free) struct tar_reader *r = plain ? tar_reader_new_plain(plain, err) : NULL;
    struct work *w = r ? engine_work(c->st->b->e, err) : NULL;
    struct unpack u = { .c = c, .a = a, .r = r, .used = c->spooled };
    if (w == NULL || (u.spool = plan_spool(c->plan, work_dirfd(w), err)) < 0)
        return err->code;
    int rc;
    struct entry e;
    while ((rc = tar_reader_next(r, &e, err)) > 0)
        if (unpack_member(&u, &e, err) < 0)
            return err->code;
    c->spooled = u.used;
    return rc < 0 || digest_eq(&got, &a->entry.content) ? rc : has_changed(c, a, err);
}

static int unpack_one(struct copy *c, const struct copy_archive *a, struct err *err)
{
    plan_new_dirs(c->plan, 0755, true);
    plan_new_owner(c->plan, 0, 0); /* directories that the archive only implies are root's */
    int rc = unpack_members(c, a, err);
    plan_new_owner(c->plan, c->owner.uid, c->owner.gid);
    return rc < 0 ? err_wrap(err, "cannot unpack '%s'", a->path) : 0;
}

/* The instruction has one source, which is no pattern. */
static bool is_alone(const struct copy *c)
{
    const struct instr_copy *x = &c->i->copy;
    return x->sources.n == 1 && x->files.n == 0 && !glob_has_magic(x->sources.v[0]);
}

int copy_add_archive(struct copy *c, const struct entry *e, size_t layer, const char *dest,
                     struct err *err)
{
    plan_new_dirs(c->plan, 0755, c->has_owner); /* --chmod is not for archives */
    if (plan_dir(c->plan, dest, err) < 0)
        return err->code;
    AUTO(copy_archive_release)
    struct copy_archive a = {
        .path = str_dup(e->path),
        .dest = str_dup(dest),
        .layer = c->from.n_layers > 0 ? c->from.layers[layer] : NULL,
        .entry = *e,
    };
    a.entry.path = a.path;
    if (!is_alone(c))
        return unpack_one(c, &a, err);
    c->archives = mem_grow(c->archives, c->n_archives + 1, sizeof(*c->archives));
    c->archives[c->n_archives++] = a;
    memset(&a, 0, sizeof(a));
    return 0;
}

int copy_unpack_archives(struct copy *c, struct err *err)
{
    for (size_t i = 0; i < c->n_archives; i++)
        if (unpack_one(c, &c->archives[i], err) < 0)
            return err->code;
    return 0;
}

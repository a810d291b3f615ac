#include "store/tag.h"
#include "store/store_internal.h"

#include "base/clock.h"
#include "image/name.h"
#include "store/blob.h"
#include "store/layer.h"

#include <string.h>

#define ID_PREFIX_MIN 4

void stored_image_release(struct stored_image *i)
{
    mem_free(TAKE(i->name));
}

/* Columns: name, config, manifest, seconds, size. */
static int take_image(sqlite3_stmt *q, struct stored_image *ret, struct err *err)
{
    struct stored_image i = { .name = NULL };

    if (!col_digest(q, 1, &i.config.d))
        return err_set(err, ERR_NOT_FOUND, "no such image");
    i.has_manifest = col_digest(q, 2, &i.manifest.d);
    i.tagged_s = col_int(q, 3);
    i.size = (uint64_t)col_int(q, 4);
    if (sqlite3_column_type(q, 0) == SQLITE_TEXT)
        i.name = str_dup(col_text(q, 0));
    *ret = i;
    return 0;
}

/* Rows of images. */

struct find {
    enum query_id which;
    const char *a, *b;               /* texts to look for; b may be NULL */
    const struct digest *low, *high; /* or digests; high may be NULL */
    struct stored_image *ret;
    int n; /* how many there were, at most 2 */
};

static int find_images(struct db *ix, void *arg, struct err *err)
{
    struct find *f = arg;
    int r;
    AUTO(query_end) sqlite3_stmt *q = query(ix, f->which, err);

    if (q == NULL)
        return err->code;
    stored_image_release(f->ret); /* of a first run, when this is the second */
    if (f->a != NULL) {
        bind_text(q, 1, f->a);
        bind_text(q, 2, f->b);
    } else {
        bind_digest(q, 1, f->low);
        bind_digest(q, 2, f->high);
    }
    for (f->n = 0; f->n < 2 && (r = query_step(ix, q, err)) != 0; f->n++) {
        if (r < 0)
            return r;
        if (f->n == 0 && take_image(q, f->ret, err) < 0)
            return err->code;
    }
    return 0;
}

/* Setting. */

struct set {
    const char *name; /* may be NULL */
    const struct blob_id *config, *manifest;
    uint64_t size;
};

static int put_image(struct db *ix, const struct set *t, struct err *err)
{
    int64_t tick;
    AUTO(query_end) sqlite3_stmt *q = query(ix, Q_IMAGE_PUT, err);

    if (q == NULL || db_tick(ix, &tick, err) < 0)
        return err->code;
    bind_digest(q, 1, &t->config->d);
    bind_digest(q, 2, t->manifest ? &t->manifest->d : NULL);
    bind_int(q, 3, (int64_t)t->size);
    bind_int(q, 4, clock_wall_s());
    bind_int(q, 5, tick);
    return query_run(ix, q, err);
}

static int put_platform(struct db *ix, const struct set *t, const struct tag_platform *p,
                        struct err *err)
{
    char platform[64];
    AUTO(query_end) sqlite3_stmt *q = query(ix, Q_TAG_PLATFORM_PUT, err);

    if (q == NULL)
        return err->code;
    bind_text(q, 1, t->name);
    bind_text(q, 2, platform_format(&p->platform, platform));
    bind_digest(q, 3, &p->config.d);
    return query_run(ix, q, err);
}

static int put_tag(struct db *ix, void *arg, struct err *err)
{
    const struct set *t = arg;

    if (put_image(ix, t, err) < 0)
        return err->code;
    if (t->name == NULL)
        return 0;
    AUTO(query_end) sqlite3_stmt *q = query(ix, Q_TAG_PUT, err);
    if (q == NULL)
        return err->code;
    bind_text(q, 1, t->name);
    bind_digest(q, 2, &t->config->d);
    bind_int(q, 3, clock_wall_s());
    return query_run(ix, q, err);
}

static int sum_layers(struct store *s, const struct blob_id *config, uint64_t *ret, struct err *err)
{
    AUTO(image_config_release) struct image_config c = { .created = NULL };
    uint64_t size = 0;

    if (tag_config(s, config, &c, err) < 0)
        return err->code;
    for (size_t i = 0; i < c.n_layers; i++) {
        const struct layer *l = layer_get(s, &c.layers[i], err);
        if (l == NULL)
            return err_wrap(err, "image '%s'", DIGEST_S(&config->d));
        size += l->tar_size;
    }
    *ret = size;
    return 0;
}

struct set_platforms {
    struct set *images; /* one each */
    const struct tag_platform *v;
    size_t n;
};

/* The first is what the name means; a name that is put anew has lost its platforms. */
static int put_platforms(struct db *ix, void *arg, struct err *err)
{
    const struct set_platforms *t = arg;

    if (put_tag(ix, &t->images[0], err) < 0)
        return err->code;
    for (size_t i = 0; i < t->n; i++)
        if (put_image(ix, &t->images[i], err) < 0 ||
            put_platform(ix, &t->images[i], &t->v[i], err) < 0)
            return err->code;
    return 0;
}

/* The name means this image already, and that is on the disk. */
static bool is_set(struct store *s, const struct set *t)
{
    AUTO(stored_image_release) struct stored_image i = { .name = NULL };
    struct find f = { .which = t->name ? Q_TAG_GET : Q_IMAGE_GET, .a = t->name, .ret = &i };
    struct err ignored = ERR_INIT;

    f.low = &t->config->d;
    if (db_read(s->db, find_images, &f, &ignored) < 0 || f.n != 1)
        return false;
    return digest_eq(&i.config.d, &t->config->d) &&
           (t->manifest == NULL || (i.has_manifest && digest_eq(&i.manifest.d, &t->manifest->d))) &&
           !store_has_unsynced(s);
}

int tag_set(struct store *s, const char *name, const struct blob_id *config,
            const struct blob_id *manifest, struct err *err)
{
    struct set t = { .name = name, .config = config, .manifest = manifest };

    if (manifest != NULL && !blob_has(s, manifest, NULL))
        return err_set(err, ERR_NOT_FOUND, "manifest '%s' is not in the store",
                       DIGEST_S(&manifest->d));
    if (sum_layers(s, config, &t.size, err) < 0 || store_settle(s, err) < 0)
        return err->code;
    return db_write(s->db, store_is_durable(s) && !is_set(s, &t), put_tag, &t, err);
}

int tag_set_platforms(struct store *s, const char *name, const struct tag_platform *v, size_t n,
                      struct err *err)
{
    AUTO(mem_free) struct set *images = mem_calloc(n, sizeof(*images));
    struct set_platforms t = { .images = images, .v = v, .n = n };

    for (size_t i = 0; i < n; i++) {
        images[i] = (struct set){ .name = name, .config = &v[i].config };
        if (sum_layers(s, &v[i].config, &images[i].size, err) < 0)
            return err->code;
    }
    if (store_settle(s, err) < 0)
        return err->code;
    return db_write(s->db, store_is_durable(s), put_platforms, &t, err);
}

/* Finding. */

static int no_such(const char *what, struct err *err)
{
    return err_set(err, ERR_NOT_FOUND, "no such image: %s", what);
}

/* ret is only written when there is one. */
static int find_one(struct store *s, struct find *f, const char *what, struct stored_image *ret,
                    struct err *err)
{
    struct stored_image found = { .name = NULL };

    f->ret = &found;
    if (db_read(s->db, find_images, f, err) < 0) {
        stored_image_release(&found);
        return err->code == ERR_NOT_FOUND ? no_such(what, err) : err->code;
    }
    if (f->n == 0)
        return no_such(what, err);
    if (f->n > 1) {
        stored_image_release(&found);
        return err_set(err, ERR_USAGE, "more than one image's id begins with '%s'", what);
    }
    *ret = found;
    return 0;
}

int tag_get(struct store *s, const char *name, struct stored_image *ret, struct err *err)
{
    struct find f = { .which = Q_TAG_GET, .a = name };

    return find_one(s, &f, name, ret, err);
}

/* What a name stands for beside its image, and that among it. */
struct platforms {
    const char *name;
    struct tag_platform *v;
    size_t n, cap;
};

static void platforms_release(struct platforms *x)
{
    mem_free(x->v);
}
DEFINE_AUTO_VALUE(struct platforms, platforms_release);

static int collect_platforms(struct db *ix, void *arg, struct err *err)
{
    struct platforms *x = arg;
    struct err ignored = ERR_INIT;
    int r;
    AUTO(query_end) sqlite3_stmt *q = query(ix, Q_TAG_PLATFORMS, err);

    if (q == NULL)
        return err->code;
    bind_text(q, 1, x->name);
    x->n = 0;
    while ((r = query_step(ix, q, err)) > 0) {
        MEM_ROOM(x->v, x->n, x->cap);
        struct tag_platform *p = &x->v[x->n];
        if (col_digest(q, 1, &p->config.d) &&
            platform_parse(col_text(q, 0), &p->platform, &ignored) == 0)
            x->n++;
    }
    return r;
}

/* NULL: none suits. */
static const struct tag_platform *best_of(const struct platforms *x, const struct platform *want)
{
    const struct tag_platform *best = NULL;
    int least = 0;

    for (size_t i = 0; i < x->n; i++) {
        int match = platform_match(want, &x->v[i].platform);
        if (match >= 0 && (best == NULL || match < least)) {
            best = &x->v[i];
            least = match;
        }
    }
    return best;
}

int tag_get_platforms(struct store *s, const char *name, struct tag_platform **ret, size_t *ret_n,
                      struct err *err)
{
    AUTO(platforms_release) struct platforms x = { .name = name };

    if (db_read(s->db, collect_platforms, &x, err) < 0)
        return err->code;
    *ret = TAKE(x.v);
    *ret_n = x.n;
    return 0;
}

int tag_get_for(struct store *s, const char *name, const struct platform *want,
                struct stored_image *ret, struct err *err)
{
    AUTO(platforms_release) struct platforms x = { .name = name };

    if (db_read(s->db, collect_platforms, &x, err) < 0)
        return err->code;
    const struct tag_platform *best = best_of(&x, want);
    if (best == NULL)
        return tag_get(s, name, ret, err);
    struct find f = { .which = Q_IMAGE_GET, .low = &best->config.d };
    if (find_one(s, &f, name, ret, err) < 0)
        return err->code;
    ret->is_chosen = true;
    return 0;
}

int tag_copy(struct store *s, const char *name, const char *as, struct err *err)
{
    AUTO(platforms_release) struct platforms x = { .name = name };
    AUTO(stored_image_release) struct stored_image i = { .name = NULL };

    if (tag_get(s, name, &i, err) < 0 || db_read(s->db, collect_platforms, &x, err) < 0)
        return err->code;
    for (size_t k = 1; k < x.n; k++) /* the name's own one goes first */
        if (digest_eq(&x.v[k].config.d, &i.config.d)) {
            struct tag_platform own = x.v[k];
            x.v[k] = x.v[0];
            x.v[0] = own;
        }
    if (x.n > 0)
        return tag_set_platforms(s, as, x.v, x.n, err);
    return tag_set(s, as, &i.config, i.has_manifest ? &i.manifest : NULL, err);
}

static bool is_hex(const char *p)
{
    size_t n = strspn(p, "0123456789abcdef");

    return p[n] == '\0' && n >= ID_PREFIX_MIN && n <= DIGEST_HEX_LEN;
}

/* The lowest and the highest digest that begin with these digits. */
static int find_prefix(struct store *s, const char *hex, struct stored_image *ret, struct err *err)
{
    char low[DIGEST_HEX_LEN + 1], high[DIGEST_HEX_LEN + 1];
    struct digest from, to;
    struct find f = { .which = Q_IMAGES_LIKE, .low = &from, .high = &to };

    memset(low, '0', DIGEST_HEX_LEN);
    memset(high, 'f', DIGEST_HEX_LEN);
    memcpy(low, hex, strlen(hex));
    memcpy(high, hex, strlen(hex));
    low[DIGEST_HEX_LEN] = high[DIGEST_HEX_LEN] = '\0';
    if (digest_parse_hex(low, &from, err) < 0 || digest_parse_hex(high, &to, err) < 0)
        return err->code;
    return find_one(s, &f, hex, ret, err);
}

static int find_name(struct store *s, const char *what, struct stored_image *ret, struct err *err)
{
    AUTO(image_name_release) struct image_name name = { .domain = NULL };

    if (image_name_parse(what, &name, err) < 0)
        return err->code;
    AUTO(mem_free) char *canonical = image_name_canonical(&name);
    int r = tag_get(s, canonical, ret, err);
    return r == ERR_NOT_FOUND ? no_such(what, err) : r;
}

/* As Docker looks: a whole id is an id, else a name goes before the beginning of an id. */
int tag_find(struct store *s, const char *what, struct stored_image *ret, struct err *err)
{
    bool has_algorithm = str_starts(what, "sha256:");
    const char *hex = has_algorithm ? what + strlen("sha256:") : what;

    if (is_hex(hex) && (has_algorithm || strlen(hex) == DIGEST_HEX_LEN))
        return find_prefix(s, hex, ret, err);
    int r = find_name(s, what, ret, err);
    if (r != ERR_NOT_FOUND || !is_hex(hex))
        return r;
    err_clear(err);
    return find_prefix(s, hex, ret, err);
}

/* Deleting. */

static int drop_tag(struct db *ix, void *arg, struct err *err)
{
    const char *name = arg;
    AUTO(query_end) sqlite3_stmt *q = query(ix, Q_TAG_DROP, err);

    if (q == NULL)
        return err->code;
    bind_text(q, 1, name);
    int r = query_step(ix, q, err);
    if (r < 0 || (r > 0 && query_run(ix, q, err) < 0))
        return err->code;
    return r > 0 ? 0 : no_such(name, err);
}

int tag_delete(struct store *s, const char *name, struct err *err)
{
    AUTO(mem_free) char *copy = str_dup(name);

    return db_write(s->db, store_is_durable(s), drop_tag, copy, err);
}

/* Listing. */

struct images {
    struct stored_image *v;
    size_t n, cap;
};

static void images_release(struct images *x)
{
    for (size_t i = 0; i < x->n; i++)
        stored_image_release(&x->v[i]);
    mem_free(x->v);
}
DEFINE_AUTO_VALUE(struct images, images_release);

static int collect(struct db *ix, enum query_id which, struct images *x, struct err *err)
{
    int r;
    AUTO(query_end) sqlite3_stmt *q = query(ix, which, err);

    if (q == NULL)
        return err->code;
    while ((r = query_step(ix, q, err)) > 0) {
        MEM_ROOM(x->v, x->n, x->cap);
        if (take_image(q, &x->v[x->n], err) == 0)
            x->n++;
        else
            err_clear(err); /* a row that names nothing */
    }
    return r;
}

static int collect_all(struct db *ix, void *arg, struct err *err)
{
    struct images *x = arg;

    while (x->n > 0)
        stored_image_release(&x->v[--x->n]);
    if (collect(ix, Q_TAG_LIST, x, err) < 0)
        return err->code;
    return collect(ix, Q_IMAGES_UNNAMED, x, err);
}

int tag_list(struct store *s, tag_fn fn, void *arg, struct err *err)
{
    AUTO(images_release) struct images x = { .v = NULL };

    if (db_read(s->db, collect_all, &x, err) < 0)
        return err->code;
    for (size_t i = 0; i < x.n; i++)
        if (fn(arg, &x.v[i], err) < 0)
            return err->code;
    return 0;
}

int tag_config(struct store *s, const struct blob_id *config, struct image_config *ret,
               struct err *err)
{
    AUTO(buf_release) struct buf b = BUF_INIT;

    if (blob_read(s, config, MANIFEST_MAX, &b, err) < 0 ||
        image_config_parse(buf_str(&b), b.len, ret, err) < 0)
        return err_wrap(err, "image '%s'", DIGEST_S(&config->d));
    return 0;
}

/* Names of registries. */

struct remote_put {
    const char *name, *platform;
    const struct blob_id *manifest, *config;
};

static int put_remote(struct db *ix, void *arg, struct err *err)
{
    const struct remote_put *p = arg;
    AUTO(query_end) sqlite3_stmt *q = query(ix, Q_REMOTE_PUT, err);

    if (q == NULL)
        return err->code;
    bind_text(q, 1, p->name);
    bind_text(q, 2, p->platform);
    bind_digest(q, 3, &p->manifest->d);
    bind_digest(q, 4, &p->config->d);
    bind_int(q, 5, clock_wall_s());
    return query_run(ix, q, err);
}

int remote_name_set(struct store *s, const char *name, const char *platform,
                    const struct blob_id *manifest, const struct blob_id *config, struct err *err)
{
    struct remote_put p = {
        .name = name, .platform = platform, .manifest = manifest, .config = config
    };

    return db_write(s->db, store_is_durable(s), put_remote, &p, err);
}

int remote_name_get(struct store *s, const char *name, const char *platform,
                    struct stored_image *ret, struct err *err)
{
    struct find f = { .which = Q_REMOTE_GET, .a = name, .b = platform };

    return find_one(s, &f, name, ret, err);
}

#include "store/engine_memo.h"
#include "store/store_internal.h"

#include "base/fs.h"
#include "base/log.h"

#include <stdio.h>
#include <string.h>

#define DIR_NAME "engines"
#define PATH_LEN (sizeof(DIR_NAME) + DIGEST_HEX_LEN)
#define FILE_MAX (4u << 20)

static const char head_graph[] = "shale engine 1 graph";
static const char head_containerd[] = "shale engine 1 containerd";

static void memo_path(const char *address, char ret[PATH_LEN + 1])
{
    struct digest d;
    char hex[DIGEST_HEX_LEN + 1];

    digest_of(address, strlen(address), &d);
    snprintf(ret, PATH_LEN + 1, "%s/%s", DIR_NAME, digest_hex(&d, hex));
}

void engine_memo_release(struct engine_memo *m)
{
    for (size_t i = 0; i < m->n; i++)
        mem_free(m->images[i].layers);
    *m = (struct engine_memo){ .n = 0 };
}

/* Reading. */

static int parse_layer(const char *word, struct engine_layer *ret, struct err *err)
{
    char hex[DIGEST_HEX_LEN + 1];

    snprintf(hex, sizeof(hex), "%s", word);
    *ret = (struct engine_layer){ .diff = { { { 0 } } } };
    if (digest_parse_hex(hex, &ret->diff.d, err) < 0)
        return err->code;
    const char *rest = word + DIGEST_HEX_LEN;
    if (*rest == '\0')
        return 0;
    return *rest == ':' ? digest_parse_hex(rest + 1, &ret->blob.d, err)
                        : err_set(err, ERR_CORRUPT, "no layer: '%s'", word);
}

/* "<id> <layer>..." in front of what is there. */
static int parse_image(const char *line, struct engine_memo *m, struct err *err)
{
    AUTO(strv_release) struct strv words = STRV_INIT;
    struct digest id;

    strv_split(&words, line, ' ');
    if (words.n == 0 || words.n > ENGINE_MEMO_LAYERS + 1)
        return err_set(err, ERR_CORRUPT, "a line of %zu words", words.n);
    AUTO(mem_free) struct engine_layer *layers = mem_calloc(words.n, sizeof(*layers));
    if (digest_parse_hex(words.v[0], &id, err) < 0)
        return err->code;
    for (size_t i = 1; i < words.n; i++)
        if (parse_layer(words.v[i], &layers[i - 1], err) < 0)
            return err->code;
    engine_memo_add(m, &id, layers, words.n - 1);
    return 0;
}

int engine_memo_parse(const char *text, struct engine_memo *ret, struct err *err)
{
    AUTO(engine_memo_release) struct engine_memo m = { .is_known = true };
    AUTO(strv_release) struct strv lines = STRV_INIT;

    strv_split(&lines, text, '\n');
    m.is_containerd = lines.n > 0 && str_eq(lines.v[0], head_containerd);
    if (lines.n == 0 || (!m.is_containerd && !str_eq(lines.v[0], head_graph)))
        return err_set(err, ERR_CORRUPT, "the first line is another one");
    for (size_t i = lines.n; i-- > 1;)
        if (*lines.v[i] != '\0' && parse_image(lines.v[i], &m, err) < 0)
            return err->code;
    *ret = m;
    m = (struct engine_memo){ .n = 0 };
    return 0;
}

void engine_memo_read(struct store *s, const char *address, struct engine_memo *ret)
{
    AUTO(buf_release) struct buf text = BUF_INIT;
    struct err err = ERR_INIT;
    char path[PATH_LEN + 1];

    *ret = (struct engine_memo){ .n = 0 };
    memo_path(address, path);
    if (file_read(s->dirfd, path, FILE_MAX, &text, &err) == 0 &&
        engine_memo_parse(buf_str(&text), ret, &err) == 0)
        return;
    if (err.code != ERR_NOT_FOUND)
        log_debug("store", "%s is not believed: %s", path, err.msg);
}

/* Writing. */

static void write_image(const struct engine_image *image, struct buf *b)
{
    buf_adds(b, DIGEST_HEX(&image->id));
    for (size_t i = 0; i < image->n_layers; i++) {
        const struct engine_layer *l = &image->layers[i];
        buf_addf(b, " %s", DIGEST_HEX(&l->diff.d));
        if (!digest_is_zero(&l->blob.d))
            buf_addf(b, ":%s", DIGEST_HEX(&l->blob.d));
    }
    buf_adds(b, "\n");
}

void engine_memo_format(const struct engine_memo *m, struct buf *ret)
{
    buf_addf(ret, "%s\n", m->is_containerd ? head_containerd : head_graph);
    for (size_t i = 0; i < m->n; i++)
        write_image(&m->images[i], ret);
}

void engine_memo_write(struct store *s, const char *address, const struct engine_memo *m)
{
    AUTO(buf_release) struct buf text = BUF_INIT;
    struct err err = ERR_INIT;
    char path[PATH_LEN + 1];

    memo_path(address, path);
    engine_memo_format(m, &text);
    if (store_make_dir(s->dirfd, DIR_NAME, 0700, &err) < 0 ||
        file_replace(s->dirfd, path, text.data, text.len, 0600, false, &err) < 0)
        log_debug("store", "%s is not written: %s", path, err.msg);
}

/* What is in it. */

static size_t index_of(const struct engine_memo *m, const struct digest *id)
{
    size_t i = 0;

    while (i < m->n && !digest_eq(&m->images[i].id, id))
        i++;
    return i;
}

const struct engine_image *engine_memo_find(const struct engine_memo *m, const struct digest *id)
{
    size_t i = index_of(m, id);

    return i < m->n ? &m->images[i] : NULL;
}

static void remove_at(struct engine_memo *m, size_t i)
{
    mem_free(m->images[i].layers);
    m->n--;
    memmove(&m->images[i], &m->images[i + 1], (m->n - i) * sizeof(m->images[0]));
}

void engine_memo_drop(struct engine_memo *m, const struct digest *id)
{
    size_t i = index_of(m, id);

    if (i < m->n)
        remove_at(m, i);
}

void engine_memo_add(struct engine_memo *m, const struct digest *id,
                     const struct engine_layer *layers, size_t n)
{
    struct digest copy = *id; /* it may be of the one that goes */

    if (n > ENGINE_MEMO_LAYERS)
        return;
    struct engine_layer *own = mem_calloc(n + 1, sizeof(*own));
    if (n > 0)
        memcpy(own, layers, n * sizeof(*own));
    engine_memo_drop(m, &copy);
    if (m->n == ENGINE_MEMO_IMAGES)
        remove_at(m, m->n - 1);
    memmove(&m->images[1], &m->images[0], m->n * sizeof(m->images[0]));
    m->images[0] = (struct engine_image){ .id = copy, .layers = own, .n_layers = n };
    m->n++;
}

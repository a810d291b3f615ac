#include "cmd/looked_at.h"

#include "base/fs.h"
#include "base/log.h"
#include "base/map.h"
#include "store/blob.h"
#include <string.h>

#define QUESTIONS_BYTES_MAX (1u << 30)
#define LAYERS_BYTES_MAX (1u << 20)
#define PATHS_SHOWN 20 /* of a kind */

void looked_at_release(struct looked_at *x)
{
    questions_free(x->questions);
    for (size_t i = 0; i < x->n_layers; i++)
        listing_free(x->layers[i]);
    mem_free(x->layers);
}

/* Loading. */

static struct questions *load_questions(struct store *s, const struct blob_id *id, struct err *err)
{
    AUTO(buf_release) struct buf bytes = BUF_INIT;
    if (blob_read(s, id, QUESTIONS_BYTES_MAX, &bytes, err) < 0)
        return NULL;
    return questions_open(bytes.data, bytes.len, err);
}

int looked_at_load(struct store *s, const struct step_report *r, struct looked_at *ret,
                   struct err *err)
{
    AUTO(buf_release) struct buf place = BUF_INIT;
    step_report_place(r, &place);
    if (r->kind == NULL || !str_eq(r->kind, "run"))
        return err_set(err, ERR_NOT_FOUND, "%s is no RUN: only commands look at files",
                       buf_str(&place));
    struct err miss = ERR_INIT;
    int rc = r->has_key ? trace_of_key(s, &r->key, &ret->trace, &miss) : ERR_NOT_FOUND;
    if (rc == 0) {
        ret->questions = load_questions(s, &ret->trace.questions, &miss);
        rc = ret->questions != NULL ? 0 : miss.code;
    }
    if (rc == ERR_NOT_FOUND)
        return err_set(err, rc, "nothing is known of what %s looked at", buf_str(&place));
    if (rc < 0)
        return err_copy(err, &miss);
    return 0;
}

static int add_layer(struct store *s, struct looked_at *x, const char *id, struct err *err)
{
    struct blob_id blob;
    memcpy(&blob, id, sizeof(blob));
    AUTO(fd_close) int fd = blob_open(s, &blob, NULL, err);
    struct listing *l = fd < 0 ? NULL : listing_open_fd(fd, err);
    if (l == NULL)
        return err->code;
    x->layers[x->n_layers++] = l;
    return 0;
}

int looked_at_layers(struct store *s, struct looked_at *x, struct err *err)
{
    struct err gone = ERR_INIT;
    AUTO(buf_release) struct buf ids = BUF_INIT;
    size_t n = questions_segments(x->questions);
    bool good = !digest_is_zero(&x->trace.layers.d) &&
                blob_read(s, &x->trace.layers, LAYERS_BYTES_MAX, &ids, &gone) == 0 &&
                ids.len == n * sizeof(struct blob_id);
    x->layers = mem_calloc(n + 1, sizeof(*x->layers));
    for (size_t i = 0; good && i < n; i++)
        good = add_layer(s, x, ids.data + i * sizeof(struct blob_id), &gone) == 0;
    return good ? 0 : err_set(err, ERR_NOT_FOUND, "the layers that it looked at are gone");
}

/* Words. */

static const struct {
    unsigned kind;
    const char *word;
} kind_words[] = {
    { QUESTION_EXIST, "exist" }, { QUESTION_STAT, "stat" },   { QUESTION_READ, "read" },
    { QUESTION_LIST, "list" },   { QUESTION_LINK, "link" },   { QUESTION_XLIST, "xlist" },
    { QUESTION_NEG, "absent" },  { QUESTION_XATTR, "xattr" }, { QUESTION_WHOLE, "whole" },
};

#define SAYS_MORE (QUESTION_READ | QUESTION_LIST | QUESTION_LINK | QUESTION_NEG | QUESTION_WHOLE)

void looked_at_words(const struct question *q, struct buf *b)
{
    unsigned shown = q->kinds & SAYS_MORE;
    if (shown == 0) /* who reads a file looks at it as well */
        shown = q->kinds & QUESTION_STAT ? QUESTION_STAT : q->kinds & QUESTION_EXIST;
    shown |= q->kinds & (QUESTION_XATTR | QUESTION_XLIST);
    const char *comma = "";
    for (size_t i = 0; i < ARRAY_LEN(kind_words); i++) {
        if ((shown & kind_words[i].kind) == 0)
            continue;
        buf_addf(b, "%s%s", comma, kind_words[i].word);
        comma = ",";
    }
}

void looked_at_path(const char *path, struct buf *b)
{
    buf_addc(b, '/');
    log_escape(b, path, strlen(path));
}

/* The first that fits counts; the last fits all. */
static const struct {
    unsigned kinds;
    const char *title;
} groups[] = {
    { QUESTION_WHOLE, "all of" }, { QUESTION_READ, "read" },     { QUESTION_LIST, "listed" },
    { QUESTION_LINK, "links" },   { QUESTION_NEG, "not found" }, { ~0u, "looked at" },
};
/* As they are shown: what says most, first. */
static const size_t group_order[] = { 0, 1, 5, 2, 3, 4 };

static size_t group_of(unsigned kinds)
{
    size_t i = 0;
    while ((groups[i].kinds & kinds) == 0 && i < ARRAY_LEN(groups) - 1)
        i++;
    return i;
}

static bool is_found(const struct looked_at *x, const char *path)
{
    struct question q;
    for (size_t s = 0; s < questions_segments(x->questions); s++)
        if (questions_find(x->questions, s, path, &q) && q.kinds != QUESTION_NEG)
            return true;
    return false;
}

/* What is asked of several layers is one path to the step, and found when it is in one of them. */
static void find_group(const struct looked_at *x, size_t group, struct strv *paths)
{
    AUTO(map_free) struct map *told = map_new(NULL);
    for (size_t s = 0; s < questions_segments(x->questions); s++)
        for (size_t i = 0; i < questions_len(x->questions, s); i++) {
            struct question q;
            questions_at(x->questions, s, i, &q);
            if (group_of(q.kinds) != group || map_has(told, q.path) ||
                (q.kinds == QUESTION_NEG && is_found(x, q.path)))
                continue;
            map_set(told, q.path, told);
            strv_add(paths, q.path);
        }
    strv_sort(paths);
}

static void step_word(const struct step_report *r, struct buf *b)
{
    if (*r->stage != '\0')
        buf_addf(b, "%s:", r->stage);
    buf_addf(b, "%d", r->number);
}

static void add_group_text(const struct looked_at *x, size_t group, const struct step_report *r,
                           struct buf *b)
{
    AUTO(strv_release) struct strv paths = STRV_INIT;
    find_group(x, group, &paths);
    for (size_t i = 0; i < paths.n && i < PATHS_SHOWN; i++) {
        buf_addf(b, "  %-10s  ", i == 0 ? groups[group].title : "");
        looked_at_path(paths.v[i], b);
        buf_addc(b, '\n');
    }
    if (paths.n > PATHS_SHOWN) {
        buf_addf(b, "  %-10s  and %zu more; shale trace ", "", paths.n - PATHS_SHOWN);
        step_word(r, b);
        buf_adds(b, " shows all\n");
    }
}

void looked_at_summary(const struct looked_at *x, const struct step_report *r, struct buf *b)
{
    buf_addf(b, "\nlooked at the copied files: read %llu of %llu\n",
             (unsigned long long)x->trace.n_read, (unsigned long long)x->trace.n_files);
    for (size_t i = 0; i < ARRAY_LEN(group_order); i++)
        add_group_text(x, group_order[i], r, b);
}

/* Files. */

static bool is_listed(const struct looked_at *x, size_t segment, const char *path)
{
    struct question q;
    const char *slash = strrchr(path, '/');
    AUTO(mem_free) char *dir = str_ndup(path, slash != NULL ? (size_t)(slash - path) : 0);
    return questions_find(x->questions, segment, dir, &q) && (q.kinds & QUESTION_LIST) != 0;
}

enum look looked_at_file(const struct looked_at *x, size_t segment, const char *path)
{
    struct question q;
    if (questions_find(x->questions, segment, "", &q) && (q.kinds & QUESTION_WHOLE) != 0)
        return LOOK_READ;
    bool asked = questions_find(x->questions, segment, path, &q);
    if (asked && (q.kinds & (QUESTION_READ | QUESTION_LINK)) != 0)
        return LOOK_READ;
    return asked || is_listed(x, segment, path) ? LOOK_SEEN : LOOK_NEVER;
}

const char *look_name(enum look l)
{
    static const char *const names[] = {
        [LOOK_NEVER] = "never", [LOOK_SEEN] = "seen", [LOOK_READ] = "read"
    };
    return names[l];
}

/* JSON. */

json_t *looked_at_json(const struct looked_at *x)
{
    return json_pack("{s:I, s:I, s:I}", "files", (json_int_t)x->trace.n_files, "read",
                     (json_int_t)x->trace.n_read, "requests", (json_int_t)x->trace.requests);
}

static json_t *xattrs_json(const struct looked_at *x, uint32_t bits)
{
    json_t *a = json_array();
    for (size_t i = 0; i < QUESTION_XATTRS_MAX; i++) {
        const char *name = bits & (1u << i) ? questions_xattr(x->questions, i) : NULL;
        if (name != NULL)
            json_array_append_new(a, json_from_str(name));
    }
    return a;
}

json_t *question_json(const struct looked_at *x, const struct question *q)
{
    json_t *o = json_object(), *kinds = json_array();
    AUTO(mem_free) char *path = str_printf("/%s", q->path);
    for (size_t i = 0; i < ARRAY_LEN(kind_words); i++)
        if ((q->kinds & kind_words[i].kind) != 0)
            json_array_append_new(kinds, json_string(kind_words[i].word));
    json_object_set_new(o, "path", json_from_str(path));
    json_object_set_new(o, "kinds", kinds);
    if (q->xattrs != 0)
        json_object_set_new(o, "xattrs", xattrs_json(x, q->xattrs));
    return o;
}

#include "cmd/looked_at.h"

#include "base/fs.h"
#include "base/log.h"
#include "base/map.h"
#include "cache/question_blobs.h"
#include "engine/trace_pays.h"
#include "store/blob.h"
#include <string.h>

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

static bool counts_whole(const struct questions *q, size_t segment)
{
    struct question x;
    return questions_find(q, segment, "", &x) && (x.kinds & QUESTION_WHOLE) != 0;
}

/* What the questions alone do not say. What is missing of it is left out. */
static void load_more(struct store *s, const struct step_report *r, struct looked_at *x)
{
    struct err none = ERR_INIT;
    bool any_whole = false;
    x->is_earlier = !digest_eq(&x->trace.key.d, &r->key.d);
    trace_run_get(s, &x->trace.run, &x->run, &none);
    for (size_t i = 0; i < questions_segments(x->questions); i++)
        any_whole = any_whole || counts_whole(x->questions, i);
    if (any_whole)
        looked_at_layers(s, x, &none);
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
        ret->questions = questions_load(s, &ret->trace.questions, &miss);
        rc = ret->questions != NULL ? 0 : miss.code;
    }
    if (rc == ERR_NOT_FOUND)
        return err_set(err, rc, "nothing is known of what %s looked at", buf_str(&place));
    if (rc < 0)
        return err_copy(err, &miss);
    load_more(s, r, ret);
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

static void add_layers(struct store *s, struct looked_at *x)
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
}

int looked_at_layers(struct store *s, struct looked_at *x, struct err *err)
{
    if (x->layers == NULL)
        add_layers(s, x);
    bool good = x->n_layers == questions_segments(x->questions);
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

static const char *only_file(const struct listing *l)
{
    const char *path = NULL;
    for (size_t i = 0; i < listing_len(l); i++) {
        struct entry e;
        listing_at(l, i, &e);
        if (e.type == ENTRY_DIR)
            continue;
        if (path != NULL)
            return "";
        path = e.path;
    }
    return path != NULL ? path : "";
}

const char *looked_at_about(const struct looked_at *x, size_t segment, const struct question *q)
{
    bool is_known = (q->kinds & QUESTION_WHOLE) != 0 && segment < x->n_layers;
    return is_known ? only_file(x->layers[segment]) : q->path;
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
    { QUESTION_WHOLE, "whole" }, { QUESTION_READ, "read" },     { QUESTION_LIST, "listed" },
    { QUESTION_LINK, "links" },  { QUESTION_NEG, "not found" }, { ~0u, "looked at" },
};
/* As they are shown: what says most, first. */
static const size_t group_order[] = { 1, 5, 2, 3, 4, 0 };

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
            const char *path = looked_at_about(x, s, &q);
            if (group_of(q.kinds) != group || map_has(told, path) ||
                (q.kinds == QUESTION_NEG && is_found(x, path)))
                continue;
            map_set(told, path, told);
            strv_add(paths, path);
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
    looked_at_notes_text(x, b);
}

/* Notes. */

void looked_at_notes(const struct looked_at *x, struct strv *ret)
{
    enum trace_pays pays = trace_pays(&x->run);
    if (x->is_earlier)
        strv_add(ret, "the copied files are shown as they were when it ran; its result was reused");
    if (x->run.not_reproducible)
        strv_add(ret, "two runs of it differed: it is not reproducible");
    if (pays == TRACE_READS_ALL)
        strv_add(ret, "it reads nearly everything, and is not observed for now");
    if (pays == TRACE_ASKS_MUCH)
        strv_add(ret, "it asks very much and was never reused, and is not observed for now");
}

void looked_at_notes_text(const struct looked_at *x, struct buf *b)
{
    AUTO(strv_release) struct strv notes = STRV_INIT;
    looked_at_notes(x, &notes);
    for (size_t i = 0; i < notes.n; i++)
        buf_addf(b, "%s%s\n", i == 0 ? "\n" : "", notes.v[i]);
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
    if (counts_whole(x->questions, segment))
        return LOOK_WHOLE;
    bool asked = questions_find(x->questions, segment, path, &q);
    if (asked && (q.kinds & (QUESTION_READ | QUESTION_LINK)) != 0)
        return LOOK_READ;
    return asked || is_listed(x, segment, path) ? LOOK_SEEN : LOOK_NEVER;
}

const char *look_name(enum look l)
{
    static const char *const names[] = {
        [LOOK_NEVER] = "never",
        [LOOK_SEEN] = "seen",
        [LOOK_WHOLE] = "whole",
        [LOOK_READ] = "read",
    };
    return names[l];
}

/* JSON. */

json_t *looked_at_json(const struct looked_at *x)
{
    AUTO(strv_release) struct strv notes = STRV_INIT;
    looked_at_notes(x, &notes);
    return json_pack("{s:I, s:I, s:I, s:o}", "files", (json_int_t)x->trace.n_files, "read",
                     (json_int_t)x->trace.n_read, "requests", (json_int_t)x->trace.requests,
                     "notes", json_from_strv(&notes));
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

json_t *question_json(const struct looked_at *x, size_t segment, const struct question *q)
{
    json_t *o = json_object(), *kinds = json_array();
    AUTO(mem_free) char *path = str_printf("/%s", looked_at_about(x, segment, q));
    for (size_t i = 0; i < ARRAY_LEN(kind_words); i++)
        if ((q->kinds & kind_words[i].kind) != 0)
            json_array_append_new(kinds, json_string(kind_words[i].word));
    json_object_set_new(o, "path", json_from_str(path));
    json_object_set_new(o, "kinds", kinds);
    if (q->xattrs != 0)
        json_object_set_new(o, "xattrs", xattrs_json(x, q->xattrs));
    json_object_set_new(o, "layer", json_integer((json_int_t)segment + 1));
    return o;
}

#include "engine/unused.h"

#include "dockerfile/ignore.h"
#include "engine/context_places.h"
#include <string.h>

#define LINES_MAX 5000 /* of an ignore file 10,000 are read */

void unused_release(struct unused *u)
{
    strv_release(&u->lines);
    strv_release(&u->unobserved);
    strv_release(&u->others);
    mem_free(u->refused);
}

/* Both walks: what the first one gave, and what the second has to come to. */
struct walks {
    struct context_places *places;
    struct unused *ret;
    struct strv paths;
    struct diff_id *image; /* the layers of the targets' images */
    size_t n_image, cap_image;
};

static void walks_release(struct walks *w)
{
    context_places_free(w->places);
    strv_release(&w->paths);
    mem_free(w->image);
}
DEFINE_AUTO_VALUE(struct walks, walks_release);

/* plan_extra.end, of the first */
static int end_first(void *arg, struct build *b, struct err *err)
{
    struct walks *w = arg;
    if (context_places_end(w->places, b, w->ret, &w->paths, err) < 0)
        return err->code;
    for (size_t t = 0; t < b->n_targets; t++) {
        const struct state *s = &build_target_stage(b, t)->state;
        for (size_t i = 0; i < s->n_layers; i++) {
            MEM_ROOM(w->image, w->n_image, w->cap_image);
            w->image[w->n_image++] = s->layers[i]->diff_id;
        }
    }
    return 0;
}

static bool same_images(const struct walks *w, const struct build *b)
{
    bool same = true;
    size_t n = 0;
    for (size_t t = 0; same && t < b->n_targets; t++) {
        const struct state *s = &build_target_stage(b, t)->state;
        same = s->undecided == NULL && n + s->n_layers <= w->n_image;
        for (size_t i = 0; same && i < s->n_layers; i++)
            same = digest_eq(&s->layers[i]->diff_id.d, &w->image[n++].d);
    }
    return same && n == w->n_image;
}

/* A command that would run; NULL: none would. */
static const struct step_report *find_running(const struct build *b)
{
    for (size_t i = 0; i < b->n_stages; i++)
        for (size_t k = 0; k < b->stages[i].report.n; k++) {
            const struct step_report *r = b->stages[i].report.v[k];
            bool is_run = r->kind != NULL && str_eq(r->kind, "run");
            if ((is_run && r->answer == STEP_TO_MAKE) || r->answer == STEP_UNDECIDED)
                return r;
        }
    return NULL;
}

/* plan_extra.end, of the second */
static int end_second(void *arg, struct build *b, struct err *err UNUSED)
{
    struct walks *w = arg;
    const struct step_report *r = find_running(b);
    AUTO(buf_release) struct buf place = BUF_INIT;
    if (r != NULL) {
        step_report_place(r, &place);
        w->ret->refused = str_printf("%s %s would run again", buf_str(&place), r->text);
    } else if (!same_images(w, b)) {
        w->ret->refused = str_dup("the image would be another one");
    }
    return 0;
}

/* What no line can say stays. */
static void make_lines(struct walks *w)
{
    struct strv *lines = &w->ret->lines;
    for (size_t i = 0; i < w->paths.n && lines->n < LINES_MAX; i++) {
        AUTO(buf_release) struct buf line = BUF_INIT;
        const char *path = w->paths.v[i];
        size_t n = strlen(path);
        bool is_dir = path[n - 1] == '/';
        AUTO(mem_free) char *bare = str_ndup(path, n - is_dir);
        if (!ignore_line(bare, &line))
            continue;
        buf_adds(&line, is_dir ? "/" : "");
        strv_add(lines, buf_str(&line));
    }
    strv_sort(lines);
}

static int try_lines(struct engine *e, const struct build_options *o, struct walks *w,
                     struct err *err)
{
    AUTO(build_result_release) struct build_result ignored = { .has_image = false };
    struct plan_extra second = { .more_rules = &w->ret->lines, .end = end_second, .arg = w };
    struct err why = ERR_INIT;
    int rc = build_plan(e, o, &second, &ignored, &why);
    if (rc == ERR_CANCELLED)
        return err_copy(err, &why);
    if (rc < 0)
        w->ret->refused = str_printf("the build would fail: %s", why.msg);
    if (w->ret->refused != NULL) {
        strv_clear(&w->ret->lines);
        w->ret->files = w->ret->bytes = 0;
    }
    return 0;
}

/* What would have a step made again whatever the files are says nothing of the lines. */
static struct build_options without_switches(const struct build_options *o)
{
    struct build_options plain = *o; /* borrows what o has */
    plain.no_cache = plain.skip_docs = false;
    plain.no_cache_filter = (struct strv){ .v = NULL };
    plain.trace = TRACE_ON;
    plain.trace_sample = 0;
    plain.trace_max_age_s = INT64_MAX / 2;
    return plain;
}

int engine_unused(struct engine *e, const struct build_options *o, struct build_result *build,
                  struct unused *ret, struct err *err)
{
    AUTO(walks_release) struct walks w = { .places = context_places_new(), .ret = ret };
    struct build_options plain = without_switches(o);
    struct plan_extra first = { .places = w.places, .end = end_first, .arg = &w };
    if (build_plan(e, &plain, &first, build, err) < 0)
        return err->code;
    make_lines(&w);
    return ret->lines.n > 0 ? try_lines(e, &plain, &w, err) : 0;
}

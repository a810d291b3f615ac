#include "engine/deliver_results.h"

#include "base/base64.h"
#include "base/fs.h"
#include "dockerfile/lint.h"
#include <fcntl.h>
#include <string.h>

void delivered_release(struct delivered *d)
{
    descriptor_release(&d->top);
    strv_release(&d->names);
}

void delivered_note(struct delivered *d, const struct image_docs *docs, const struct strv *names)
{
    descriptor_release(&d->top);
    descriptor_copy(&d->top, &docs->top);
    d->has_top = true;
    d->is_index = docs->has_index;
    if (names->n > 0)
        strv_copy(&d->names, names);
}

/* Warnings, as buildx writes what BuildKit says of them. */

static json_t *base64(const char *p, size_t n)
{
    AUTO(buf_release) struct buf b = BUF_INIT;
    base64_add(&b, p, n);
    return json_string(buf_str(&b));
}

static void set_short(json_t *o, const char *rule, const char *text, int line)
{
    AUTO(buf_release) struct buf b = BUF_INIT;
    buf_addf(&b, "%s: %s", rule, text);
    if (line > 0)
        buf_addf(&b, " (line %d)", line);
    json_object_set_new(o, "short", base64(buf_str(&b), b.len));
}

static void set_source(json_t *o, const struct build *b)
{
    const char *name = b->result->dockerfile_name;
    const struct buf *text = &b->result->dockerfile;
    json_object_set_new(o, "sourceInfo",
                        json_pack("{s:o, s:o, s:s}", "filename", json_from_str(name ? name : ""),
                                  "data", base64(buf_str(text), text->len), "language",
                                  "Dockerfile"));
}

static json_t *ranges(int first, int last)
{
    json_t *list = json_array();
    for (int i = first; i == first || i <= last; i++)
        json_array_append_new(list,
                              json_pack("{s:{s:i},s:{s:i}}", "start", "line", i, "end", "line", i));
    return list;
}

void deliver_warning(struct build *b, const char *rule, const char *text, int line, int line_end)
{
    const struct lint_about *about = lint_about(rule);
    json_t *o = json_pack("{s:i}", "level", 1);
    set_short(o, rule, text, line);
    if (about != NULL) {
        const char *detail = about->description;
        json_object_set_new(o, "detail", json_pack("[o]", base64(detail, strlen(detail))));
        json_object_set_new(o, "url", json_string(about->url));
    }
    set_source(o, b);
    if (line > 0)
        json_object_set_new(o, "range", ranges(line, line_end));
    if (b->warnings == NULL)
        b->warnings = json_array();
    json_array_append_new(b->warnings, o);
}

/* The files. */

static const struct blob_id *image_id(const struct delivered *d)
{
    bool by_manifest = d->has_top && (d->is_index || d->is_in_containerd);
    return by_manifest ? &d->top.id : d->config_id;
}

static int write_iidfile(const struct build *b, const struct delivered *d, struct err *err)
{
    const char *path = b->o->iidfile;
    char text[DIGEST_STR_LEN + 1];
    digest_str(&image_id(d)->d, text);
    return path ? file_replace(AT_FDCWD, path, text, strlen(text), 0644, false, err) : 0;
}

/* In the order of their names, as Go writes a map. */
static void set_all(json_t *j, struct build *b, const struct delivered *d)
{
    if (d->provenance != NULL)
        json_object_set(j, "buildx.build.provenance", (json_t *)(uintptr_t)d->provenance);
    AUTO(mem_free) char *ref = str_printf("shale/shale/%s", build_id(b));
    json_object_set_new(j, "buildx.build.ref", json_string(ref));
    if (b->warnings != NULL)
        json_object_set(j, "buildx.build.warnings", b->warnings);
    if (!d->is_index)
        json_object_set_new(j, "containerimage.config.digest",
                            json_string(DIGEST_S(&d->config_id->d)));
    if (d->has_top)
        json_object_set_new(j, "containerimage.descriptor", descriptor_to_json(&d->top));
    /* without a manifest the image's digest is its configuration's, as with Docker's graph drivers
     */
    const struct blob_id *id = d->has_top ? &d->top.id : d->config_id;
    json_object_set_new(j, "containerimage.digest", json_string(DIGEST_S(&id->d)));
    AUTO(mem_free) char *names = strv_join(&d->names, ",");
    if (d->names.n > 0)
        json_object_set_new(j, "image.name", json_string(names));
}

static int write_metadata(struct build *b, const struct delivered *d, struct err *err)
{
    if (b->o->metadata_file == NULL)
        return 0;
    json_auto_t *j = json_object();
    set_all(j, b, d);
    AUTO(buf_release) struct buf text = BUF_INIT;
    json_write_pretty(j, &text, 2);
    return file_replace(AT_FDCWD, b->o->metadata_file, text.data, text.len, 0644, false, err);
}

int deliver_results(struct build *b, const struct delivered *d, struct err *err)
{
    b->result->id = *image_id(d);
    return write_iidfile(b, d, err) < 0 ? err->code : write_metadata(b, d, err);
}

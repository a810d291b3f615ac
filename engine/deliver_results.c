#include "engine/deliver_results.h"

#include "base/fs.h"
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

static int write_iidfile(const struct build *b, const struct delivered *d, struct err *err)
{
    const char *path = b->o->iidfile;
    bool by_manifest = d->has_top && (d->is_index || d->is_in_containerd);
    const struct blob_id *id = by_manifest ? &d->top.id : d->config_id;
    char text[DIGEST_STR_LEN + 1];
    digest_str(&id->d, text);
    return path ? file_replace(AT_FDCWD, path, text, strlen(text), 0644, false, err) : 0;
}

/* In the order of their names, as Go writes a map. */
static void set_all(json_t *j, struct build *b, const struct delivered *d)
{
    if (d->provenance != NULL)
        json_object_set(j, "buildx.build.provenance", (json_t *)(uintptr_t)d->provenance);
    AUTO(mem_free) char *ref = str_printf("shale/shale/%s", build_id(b));
    json_object_set_new(j, "buildx.build.ref", json_string(ref));
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
    return write_iidfile(b, d, err) < 0 ? err->code : write_metadata(b, d, err);
}

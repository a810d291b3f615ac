/*
 * What is said about an image, beside it: one manifest a platform, whose layers are in-toto
 * statements, in the index under a platform that nobody asks for. BuildKit's form.
 */
#include "engine/engine_internal.h"
#include "engine/image_docs_internal.h"
#include "image/name.h"

#define STATEMENT "https://in-toto.io/Statement/v0.1"
#define ARTIFACT "application/vnd.docker.attestation.manifest.v1+json"

static void add_extra(struct image_docs *d, const char *media_type, struct buf *text,
                      bool is_manifest)
{
    d->extra = mem_grow(d->extra, d->n_extra + 1, sizeof(*d->extra));
    struct extra_doc *x = &d->extra[d->n_extra++];
    *x = (struct extra_doc){ .what = { .media_type = str_dup(media_type), .size = text->len },
                             .text = *text,
                             .is_manifest = is_manifest };
    *text = (struct buf)BUF_INIT;
    digest_of(x->text.data, x->text.len, &x->what.id.d);
}

/* Statements. */

static json_t *subject(const struct image_doc *image, const char *name)
{
    AUTO(image_name_release) struct image_name n = { 0 };
    struct err ignored = ERR_INIT;
    char platform[64];
    if (image_name_parse(name, &n, &ignored) < 0)
        return NULL;
    AUTO(mem_free)
    char *url = image_name_package_url(&n, platform_format(&image->platform, platform));
    return json_pack("{s:s, s:{s:s}}", "name", url, "digest", "sha256",
                     DIGEST_HEX(&image->manifest_id.d));
}

static json_t *subjects(const struct image_doc *image, const struct strv *names)
{
    json_t *ret = json_array();
    for (size_t i = 0; names != NULL && i < names->n; i++)
        json_array_append_new(ret, subject(image, names->v[i]));
    return ret;
}

static void write_statement(const struct image_doc *image, const struct attestation *a,
                            const struct strv *names, struct buf *ret)
{
    json_auto_t *doc =
        json_pack("{s:s, s:s, s:o, s:O}", "_type", STATEMENT, "predicateType", a->predicate_type,
                  "subject", subjects(image, names), "predicate", a->predicate);
    json_write(doc, ret);
}

/* The manifest. */

static void write_config(const struct manifest *m, struct buf *ret)
{
    json_t *diffs = json_array();
    for (size_t i = 0; i < m->n_layers; i++)
        json_array_append_new(diffs, json_string(DIGEST_S(&m->layers[i].id.d)));
    json_auto_t *doc =
        json_pack("{s:s, s:s, s:{}, s:{s:s, s:o}}", "architecture", "unknown", "os", "unknown",
                  "config", "rootfs", "type", "layers", "diff_ids", diffs);
    json_write(doc, ret);
}

static void add_config(struct image_docs *d, struct manifest *m, bool artifact)
{
    AUTO(buf_release) struct buf text = BUF_INIT;
    if (artifact)
        buf_adds(&text, "{}");
    else
        write_config(m, &text);
    add_extra(d, artifact ? MEDIA_OCI_EMPTY : MEDIA_OCI_CONFIG, &text, false);
    descriptor_copy(&m->config, &d->extra[d->n_extra - 1].what);
}

static void add_statements(struct image_docs *d, const struct image_doc *image,
                           const struct built_image *of, const struct strv *names,
                           struct manifest *m)
{
    for (size_t i = 0; i < of->n_attestations; i++) {
        const struct attestation *a = &of->attestations[i];
        AUTO(buf_release) struct buf text = BUF_INIT;
        write_statement(image, a, names, &text);
        add_extra(d, MEDIA_IN_TOTO, &text, false);
        const struct descriptor *x = &d->extra[d->n_extra - 1].what;
        manifest_add_layer(m, x->media_type, &x->id, x->size);
        annotation_set(&m->layers[m->n_layers - 1].annotations, "in-toto.io/predicate-type",
                       a->predicate_type);
    }
}

static void make_artifact(struct manifest *m, const struct image_doc *image)
{
    m->artifact_type = str_dup(ARTIFACT);
    m->subject = (struct descriptor){ .media_type = str_dup(doc_media_type(image->manifest.kind)),
                                      .id = image->manifest_id,
                                      .size = image->manifest_text.len };
}

static void add_entry(struct image_docs *d, const struct image_doc *image)
{
    struct descriptor *entry = index_add(&d->index);
    descriptor_copy(entry, &d->extra[d->n_extra - 1].what);
    entry->has_platform = true;
    entry->platform = (struct platform){ .os = "unknown", .arch = "unknown" };
    annotation_set(&entry->annotations, "vnd.docker.reference.digest",
                   DIGEST_S(&image->manifest_id.d));
    annotation_set(&entry->annotations, "vnd.docker.reference.type", "attestation-manifest");
}

void image_docs_attest(struct image_docs *ret, const struct image_doc *image,
                       const struct built_image *of, const struct doc_options *o)
{
    AUTO(manifest_release) struct manifest m = { .kind = DOC_OCI_MANIFEST };
    AUTO(buf_release) struct buf text = BUF_INIT;
    add_statements(ret, image, of, o->names, &m);
    add_config(ret, &m, o->artifact_attestations);
    if (o->artifact_attestations)
        make_artifact(&m, image);
    manifest_write(&m, &text);
    add_extra(ret, doc_media_type(m.kind), &text, true);
    add_entry(ret, image);
}

#include "cmd/attest_spec.h"

#include "base/log.h"
#include "cmd/csv.h"
#include "engine/output_options.h"
#include <ctype.h>
#include <string.h>

void attest_spec_release(struct attest_spec *x)
{
    for (size_t i = 0; i < x->n_annotations; i++)
        annotation_release(&x->annotations[i]);
    mem_free(x->annotations);
    mem_free(x->builder);
    strv_release(&x->types);
}

/* Annotations. */

static void add_annotation(struct attest_spec *x, const struct annotation *like, const char *key,
                           const char *value)
{
    MEM_ROOM(x->annotations, x->n_annotations, x->cap_annotations);
    struct annotation *a = &x->annotations[x->n_annotations++];
    *a = *like;
    a->key = str_dup(key);
    a->value = str_dup(value);
}

/* "index", "manifest[linux/amd64]" */
static int parse_place(const char *text, struct annotation *ret, struct err *err)
{
    size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyz-"), len = strlen(text);
    AUTO(mem_free) char *place = str_ndup(text, n);
    bool has_platform = text[n] == '[' && text[len - 1] == ']' && len > n + 2;
    if (n == 0 || (text[n] != '\0' && !has_platform))
        return err_set(err, ERR_USAGE,
                       "invalid annotation type \"%s\", expected type and optional platform in "
                       "square brackets",
                       text);
    if (!annotation_place_parse(place, &ret->place))
        return err_set(err, ERR_USAGE, "unknown annotation type \"%s\"", place);
    if (!has_platform)
        return 0;
    AUTO(mem_free) char *platform = str_ndup(text + n + 1, len - n - 2);
    ret->has_platform = true;
    if (platform_parse(platform, &ret->platform, err) < 0)
        return err_wrap(err, "invalid platform \"%s\"", platform);
    return 0;
}

static int add_places(struct attest_spec *x, const char *places, const char *key, const char *value,
                      struct err *err)
{
    AUTO(strv_release) struct strv list = STRV_INIT;
    strv_split(&list, places, ',');
    if (list.n == 0)
        strv_add(&list, "");
    for (size_t i = 0; i < list.n; i++) {
        struct annotation a = { .place = ANNOTATION_MANIFEST };
        if (parse_place(list.v[i], &a, err) < 0)
            return err->code;
        add_annotation(x, &a, key, value);
    }
    return 0;
}

int attest_spec_annotation(struct attest_spec *x, const char *text, struct err *err)
{
    static const struct annotation plain = { .place = ANNOTATION_MANIFEST };
    const char *eq = strchr(text, '=');
    if (eq == NULL)
        return err_set(err, ERR_USAGE, "invalid annotation \"%s\", expected key=value", text);
    AUTO(mem_free) char *left = str_ndup(text, (size_t)(eq - text));
    char *colon = strchr(left, ':');
    if (colon == NULL) {
        add_annotation(x, &plain, left, eq + 1);
        return 0;
    }
    *colon = '\0';
    return add_places(x, left, colon + 1, eq + 1, err);
}

/* Attestations. */

static int take_bool(const char *key, const char *value, bool *ret, struct err *err)
{
    return str_to_bool(value, ret) ? 0
                                   : err_set(err, ERR_USAGE,
                                             "invalid value %s=%s: strconv.ParseBool: parsing "
                                             "\"%s\": invalid syntax",
                                             key, value, value);
}

static int take_word(const char *value, const char *off, const char *on, const char *wrong,
                     bool *ret, struct err *err)
{
    *ret = str_eq(value, on);
    return *ret || str_eq(value, off) ? 0 : err_set(err, ERR_USAGE, "failed to solve: %s", wrong);
}

static int take_mode(struct build_provenance *p, const char *value, struct err *err)
{
    AUTO(mem_free) char *wrong = str_printf("invalid mode \"%s\"", value);
    return take_word(value, "min", "max", wrong, &p->is_max, err);
}

static int take_version(struct build_provenance *p, const char *value, struct err *err)
{
    AUTO(mem_free) char *wrong = str_printf("invalid provenance SLSA version: %s", value);
    return take_word(value, "v1", "v0.2", wrong, &p->is_v02, err);
}

static int take_field(struct attest_spec *x, const char *key, const char *value, struct err *err)
{
    struct build_provenance *p = &x->provenance;
    if (str_eq(key, "mode"))
        return take_mode(p, value, err);
    if (str_eq(key, "version"))
        return take_version(p, value, err);
    if (str_eq(key, "inline-only"))
        return take_bool(key, value, &p->is_inline_only, err);
    if (str_eq(key, "reproducible"))
        return take_bool(key, value, &p->is_reproducible, err);
    if (str_eq(key, "builder-id")) {
        mem_free(x->builder);
        x->builder = str_dup(value);
    }
    return 0; /* others are left alone, as in BuildKit */
}

static int check_type(const char *type, struct err *err)
{
    if (type == NULL)
        return err_set(err, ERR_USAGE, "attestation type not specified");
    if (!str_eq(type, "provenance") && !str_eq(type, "sbom"))
        return err_set(err, ERR_USAGE, "failed to solve: unknown attestation type \"%s\"", type);
    return 0;
}

static int split_fields(const char *text, struct strv *ret, struct err *err)
{
    if (csv_parse(text, ret, err) < 0)
        return err->code;
    for (size_t i = 0; i < ret->n; i++) {
        char *eq = strchr(ret->v[i], '=');
        if (eq == NULL)
            return err_set(err, ERR_USAGE, "invalid value %s", ret->v[i]);
        for (char *s = ret->v[i]; s < eq; s++)
            *s = (char)tolower((unsigned char)*s);
    }
    return 0;
}

static int take_fields(struct attest_spec *x, const struct strv *fields, struct err *err)
{
    const char *type = env_get(fields, "type"), *disabled = env_get(fields, "disabled");
    bool is_off = false;
    if (check_type(type, err) < 0 ||
        (disabled != NULL && take_bool("disabled", disabled, &is_off, err) < 0))
        return err->code;
    if (strv_has(&x->types, type)) /* the first one counts, as with buildx */
        return 0;
    strv_add(&x->types, type);
    if (str_eq(type, "sbom")) {
        x->sbom = !is_off;
        return 0;
    }
    for (size_t i = 0; i < fields->n; i++) {
        const char *eq = strchr(fields->v[i], '=');
        AUTO(mem_free) char *key = str_ndup(fields->v[i], (size_t)(eq - fields->v[i]));
        if (!str_eq(key, "type") && !str_eq(key, "disabled") && take_field(x, key, eq + 1, err) < 0)
            return err->code;
    }
    x->provenance.is_wanted = !is_off;
    return 0;
}

int attest_spec_attest(struct attest_spec *x, const char *text, struct err *err)
{
    AUTO(strv_release) struct strv fields = STRV_INIT;
    if (*text == '\0')
        return 0;
    return split_fields(text, &fields, err) < 0 ? err->code : take_fields(x, &fields, err);
}

int attest_spec_short(struct attest_spec *x, const char *type, const char *text, struct err *err)
{
    bool on;
    if (*text == '\0')
        return 0;
    AUTO(mem_free)
    char *whole = str_to_bool(text, &on)
                      ? str_printf("type=%s,disabled=%s", type, on ? "false" : "true")
                      : str_printf("type=%s,%s", type, text);
    return attest_spec_attest(x, whole, err);
}

/* The options. */

static int take_annotations(struct attest_spec *x, const struct strv *given, struct err *err)
{
    for (size_t i = 0; i < given->n; i++)
        if (attest_spec_annotation(x, given->v[i], err) < 0)
            return err_wrap(err, "parse annotations");
    return 0;
}

static int take_attests(struct attest_spec *x, const struct options *o, struct err *err)
{
    static const char *const shorts[] = { "provenance", "sbom" };
    const struct strv *given = option_list(o, "attest");
    for (size_t i = 0; i < given->n; i++)
        if (attest_spec_attest(x, given->v[i], err) < 0)
            return err->code;
    for (size_t i = 0; i < ARRAY_LEN(shorts); i++)
        if (option_given(o, shorts[i]) &&
            attest_spec_short(x, shorts[i], option_str(o, shorts[i]), err) < 0)
            return err->code;
    return 0;
}

int attest_spec_take(struct attest_spec *x, const struct options *o, struct build_options *b,
                     struct err *err)
{
    if (take_annotations(x, option_list(o, "annotation"), err) < 0 || take_attests(x, o, err) < 0)
        return err->code;
    if (x->sbom)
        log_warn("cmd", "no SBOM is made: this version of shale runs no scanner");
    b->annotations = x->annotations;
    b->n_annotations = x->n_annotations;
    b->provenance = x->provenance;
    b->provenance.builder = x->builder;
    return 0;
}

/*
 * What is said about an image: --annotation, --attest, --provenance and --sbom, from text to
 * values, as buildx reads them. One thread.
 */
#ifndef SHALE_CMD_ATTEST_SPEC_H
#define SHALE_CMD_ATTEST_SPEC_H

#include "cmd/option.h"
#include "engine/build.h"

struct attest_spec {
    struct annotation *annotations;
    size_t n_annotations, cap_annotations;
    struct build_provenance provenance;
    char *builder;
    struct strv types; /* those that were given */
    bool sbom;         /* asked for */
};
void attest_spec_release(struct attest_spec *x);
DEFINE_AUTO_VALUE(struct attest_spec, attest_spec_release);

/* "[TYPE[,TYPE...][PLATFORM]:]KEY=VALUE" */
int attest_spec_annotation(struct attest_spec *x, const char *text, struct err *err);
/* "type=provenance,mode=max", "type=sbom,disabled=true": of each type the first counts. */
int attest_spec_attest(struct attest_spec *x, const char *text, struct err *err);
/* The shorthands' values: a boolean, or what --attest takes behind its type. */
int attest_spec_short(struct attest_spec *x, const char *type, const char *text, struct err *err);

/* All of them from o into b, which borrows from x. An SBOM that is asked for is warned about. */
int attest_spec_take(struct attest_spec *x, const struct options *o, struct build_options *b,
                     struct err *err);

#endif

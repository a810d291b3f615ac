/*
 * The user's configuration file: "KEY = VALUE" lines, "#" begins a comment
 * line. The first one that is there of
 *
 *     $SHALE_CONFIG                                    (named and not there: an error)
 *     ${XDG_CONFIG_HOME:-~/.config}/shale/shale.conf
 *     /etc/shale/shale.conf
 *
 * A key that this version does not know is warned about. docs/configuration.md.
 */
#ifndef SHALE_CMD_CONFIG_H
#define SHALE_CMD_CONFIG_H

#include "base/buf.h"
#include "base/err.h"
#include "remote/registry_config.h"

struct config {
    bool is_quiet;    /* set before reading: no warnings, somebody else gives them */
    bool has_docs;    /* "docs = ..." is there: */
    struct strv docs; /* its patterns; none switch skipping off */
    char *trace, *trace_max_age, *trace_sample; /* as written; NULL: not there */
    struct registry_settings registries;        /* as written */
    char *certs_dir;
};
void config_release(struct config *c);
DEFINE_AUTO_VALUE(struct config, config_release);

/* No file: all is unset. ERR_USAGE names file and line. Start ret zeroed. */
int config_read(struct config *ret, struct err *err);
/* The text of such a file; name: for messages. */
int config_parse(const char *text, size_t n, const char *name, struct config *ret, struct err *err);

#endif

/*
 * Options of a command: one row each, and parsing, usage and help read the
 * same row. The language is that of pflag (Docker's): --name value,
 * --name=value, -n value, -nvalue, -n=value, --flag, --flag=false, bundles
 * (-it), repeated lists, "--", a lone "-" as an argument.
 *
 *     options_parse -> option_on / option_str / option_list -> options_release
 *
 * Asking for a name that no row has is a bug (assert). One thread.
 */
#ifndef SHALE_CMD_OPTION_H
#define SHALE_CMD_OPTION_H

#include "base/buf.h"
#include "base/err.h"
#include "base/own.h"
#include <stdbool.h>

enum option_kind {
    OPTION_FLAG, /* a bool */
    OPTION_TEXT, /* the last one given counts */
    OPTION_LIST, /* every one given counts, in order */
};

/* What is done with an option that is known but does nothing (yet). */
enum option_standing {
    STANDING_OBEYED,
    STANDING_VOID,    /* nobody obeys it any more: a debug line */
    STANDING_WARNED,  /* not built yet, the image is the same without: one warning */
    STANDING_REFUSED, /* not built yet, the image would be another: an error */
};

struct option_spec {
    const char *name;
    char letter; /* 0: none */
    enum option_kind kind;
    enum option_standing standing;
    const char *value;    /* word for the value in help: "string" */
    const char *initial;  /* value when not given; NULL: "" or false */
    const char *harmless; /* space separated values that need no warning or refusal */
    const char *help;     /* NULL: not listed */
};

struct option_value {
    bool given, on;
    struct strv texts;
};

struct options {
    const struct option_spec *specs;
    size_t n_specs;
    struct option_value *values; /* as many as specs */
    struct strv args;            /* what is left */
    bool help;                   /* --help or -h: the rest was not looked at */
};
void options_release(struct options *o);
DEFINE_AUTO_VALUE(struct options, options_release);

/*
 * specs ends with a row without a name (NULL: no options). argv without the
 * command's own name. interspersed: options may follow arguments. ERR_USAGE with pflag's wording
 * ("unknown flag: --x", ...).
 */
int options_parse(const struct option_spec *specs, bool interspersed, int argc, char *const *argv,
                  struct options *ret, struct err *err);
bool option_given(const struct options *o, const char *name);
bool option_on(const struct options *o, const char *name);
const char *option_str(const struct options *o, const char *name); /* NULL: not given, no initial */
const struct strv *option_list(const struct options *o, const char *name);
/*
 * Walks what was given and does not do what its name says: debug lines and warnings (on stderr,
 * "WARNING: ..."); ERR_UNSUPPORTED "flag --x is not supported yet by this version" for the first
 * that is refused.
 */
int options_check_standing(const struct options *o, struct err *err);
/* Rows of help, "  -q, --quiet   text". */
void options_help(const struct option_spec *specs, struct buf *b);

#endif

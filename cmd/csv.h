/* Comma separated values of one option, as Go's encoding/csv reads one record. Pure. */
#ifndef SHALE_CMD_CSV_H
#define SHALE_CMD_CSV_H

#include "base/buf.h"
#include "base/err.h"

/*
 * "a,b" gives two fields; "\"a,b\",c" too: a field that starts with a quote ends at the next one,
 * "" is a quote. A quote inside a bare field, text after a closing quote and a missing closing
 * quote are ERR_USAGE. "" gives no field.
 */
int csv_parse(const char *s, struct strv *ret, struct err *err);

#endif

#include "cmd/csv.h"
#include <string.h>

/* From behind the opening quote to behind the closing one; NULL when there is none. */
static const char *quoted(const char *s, struct buf *field)
{
    for (; *s != '\0'; s++) {
        if (*s == '"' && s[1] != '"')
            return s + 1;
        if (*s == '"')
            s++;
        buf_addc(field, *s);
    }
    return NULL;
}

int csv_parse(const char *s, struct strv *ret, struct err *err)
{
    strv_clear(ret);
    if (*s == '\0')
        return 0;
    const char *all = s;
    for (;; s++) {
        AUTO(buf_release) struct buf field = BUF_INIT;
        if (*s == '"') {
            s = quoted(s + 1, &field);
            if (s == NULL || (*s != ',' && *s != '\0'))
                return err_set(err, ERR_USAGE,
                               "invalid value %s: extraneous or missing \" in quoted-field", all);
        } else {
            size_t n = strcspn(s, ",");
            if (memchr(s, '"', n) != NULL)
                return err_set(err, ERR_USAGE, "invalid value %s: bare \" in non-quoted-field",
                               all);
            buf_add(&field, s, n);
            s += n;
        }
        strv_take(ret, buf_take(&field));
        if (*s == '\0')
            return 0;
    }
}

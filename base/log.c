#include "base/log.h"
#include "base/utf8_internal.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct {
    const char *name;  /* in SHALE_LOG */
    const char *label; /* in a line */
} levels[] = {
    [LOG_ERROR] = { "error", "error" },
    [LOG_WARN] = { "warn", "warning" },
    [LOG_INFO] = { "info", "info" },
    [LOG_DEBUG] = { "debug", "debug" },
};

static atomic_int current = -1; /* -1: SHALE_LOG was not looked at yet */

void log_set_level(enum log_level level)
{
    atomic_store(&current, (int)level);
}

static enum log_level level_from_env(void)
{
    const char *s = getenv("SHALE_LOG");

    for (size_t i = 0; s != NULL && i < ARRAY_LEN(levels); i++)
        if (strcmp(s, levels[i].name) == 0)
            return (enum log_level)i;
    return LOG_WARN;
}

enum log_level log_level(void)
{
    int level = atomic_load_explicit(&current, memory_order_relaxed);
    int unset = -1;

    if (level >= 0)
        return (enum log_level)level;
    level = (int)level_from_env();
    return atomic_compare_exchange_strong(&current, &unset, level) ? (enum log_level)level
                                                                   : (enum log_level)unset;
}

/* Bytes of the character at s that a terminal may be given, 0 if it must not see it. */
static size_t printable(const char *s, size_t n)
{
    unsigned char c = (unsigned char)s[0];

    if (c < 0x80)
        return c == '\t' || (c >= 0x20 && c != 0x7f);
    size_t len = utf8_len(s, n);
    if (len == 2 && c == 0xc2 && (unsigned char)s[1] < 0xa0)
        return 0; /* U+0080 to U+009F: U+009B begins a control sequence */
    return len;
}

void log_escape(struct buf *b, const char *s, size_t n)
{
    for (size_t i = 0; i < n;) {
        size_t len = printable(s + i, n - i);
        if (len > 0)
            buf_add(b, s + i, len);
        else
            buf_addf(b, "\\x%02x", (unsigned char)s[i]);
        i += len ? len : 1;
    }
}

/* One write for the whole line, so that lines of several processes do not mix. */
static void write_line(const struct buf *line)
{
    for (size_t at = 0; at < line->len;) {
        ssize_t n = write(STDERR_FILENO, line->data + at, line->len - at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        at += (size_t)n;
    }
}

void log_msg(enum log_level level, const char *component, const char *fmt, ...)
{
    int saved = errno;
    va_list ap;

    if (level > log_level())
        return;
    AUTO(buf_release) struct buf line = BUF_INIT;
    va_start(ap, fmt);
    AUTO(mem_free) char *text = str_vprintf(fmt, ap);
    va_end(ap);
    buf_addf(&line, "shale: %s: [%s] ", levels[level].label, component);
    log_escape(&line, text, strlen(text));
    buf_addc(&line, '\n');
    write_line(&line);
    errno = saved;
}

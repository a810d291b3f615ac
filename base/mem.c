#include "base/mem.h"
#include "base/mem_internal.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Only write(2): what went wrong may be the heap. */
_Noreturn void die(const char *what)
{
    static const char prefix[] = "shale: fatal: ";

    if (write(STDERR_FILENO, prefix, sizeof(prefix) - 1) >= 0 &&
        write(STDERR_FILENO, what, strlen(what)) >= 0 && write(STDERR_FILENO, "\n", 1) >= 0)
        abort();
    abort();
}

static void *or_die(void *p)
{
    if (p == NULL)
        die("out of memory");
    return p;
}

void mem_free(void *p)
{
    free(p);
}

void *mem_alloc(size_t n)
{
    return or_die(malloc(n ? n : 1));
}

void *mem_zalloc(size_t n)
{
    return or_die(calloc(1, n ? n : 1));
}

void *mem_calloc(size_t n, size_t size)
{
    return or_die(calloc(n ? n : 1, size ? size : 1));
}

void *mem_grow(void *p, size_t n, size_t size)
{
    size_t bytes;

    if (__builtin_mul_overflow(n, size, &bytes))
        die("out of memory");
    return or_die(realloc(p, bytes ? bytes : 1));
}

void *mem_dup(const void *p, size_t n)
{
    void *copy = mem_alloc(n);

    if (n > 0)
        memcpy(copy, p, n);
    return copy;
}

char *str_dup(const char *s)
{
    return s ? or_die(strdup(s)) : NULL;
}

char *str_ndup(const char *s, size_t n)
{
    return or_die(strndup(s, n));
}

char *str_vprintf(const char *fmt, va_list ap)
{
    char *s = NULL;

    if (vasprintf(&s, fmt, ap) < 0)
        die("out of memory");
    return s;
}

char *str_printf(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    char *s = str_vprintf(fmt, ap);
    va_end(ap);
    return s;
}

bool str_eq(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

bool str_starts(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool str_to_bool(const char *s, bool *ret)
{
    static const char *const words[2][6] = { { "0", "f", "F", "false", "False", "FALSE" },
                                             { "1", "t", "T", "true", "True", "TRUE" } };
    for (int on = 0; on < 2; on++)
        for (int i = 0; i < 6; i++)
            if (str_eq(s, words[on][i])) {
                *ret = on;
                return true;
            }
    return false;
}

bool str_ends(const char *s, const char *suffix)
{
    size_t len = strlen(s), n = strlen(suffix);

    return len >= n && memcmp(s + len - n, suffix, n) == 0;
}

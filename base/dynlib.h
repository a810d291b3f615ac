/*
 * A library of the system that is loaded when it is first needed and not when
 * the program starts: with all that it brings along, libcurl alone costs more
 * than a build in which nothing has changed. The functions are one table of
 * pointers whose types come from the library's own header:
 *
 *     #define FOO_FUNCTIONS(X) X(init) X(run)
 *     #define FOO_MEMBER(name) __typeof__(&foo_##name) name;
 *     struct foo_api {
 *         FOO_FUNCTIONS(FOO_MEMBER)
 *     };
 *     #define FOO_NAME(name) "foo_" #name,
 *     static const char *const names[] = { FOO_FUNCTIONS(FOO_NAME) };
 *
 *     dynlib_load("libfoo", "libfoo.so.1", names, ARRAY_LEN(names), &api, err)
 *
 * A library stays until the process ends. Callers see to it that a table is filled once.
 */
#ifndef SHALE_BASE_DYNLIB_H
#define SHALE_BASE_DYNLIB_H

#include "base/err.h"
#include <stddef.h>

/*
 * Fills table, n pointers to functions in the order of names. ERR_UNSUPPORTED "this needs libfoo
 * (libfoo.so.1): ..." when the library or a function of it is not there.
 */
int dynlib_load(const char *what, const char *soname, const char *const *names, size_t n,
                void *table, struct err *err);

#endif

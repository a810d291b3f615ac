/*
 * Ownership in types, checked by the compiler.
 *
 *     struct foo *foo_new(void) OWNED(foo_free);      the caller owns the result
 *     AUTO(foo_free) struct foo *f = foo_new();       freed when f leaves its scope
 *     return TAKE(f);                                 hands it on; f is NULL afterwards
 *
 * A type gets its AUTO by one line below its free function's declaration:
 * DEFINE_AUTO for objects behind a pointer, DEFINE_AUTO_VALUE for structs that
 * live on the stack and are released in place. Pointers start NULL, fds -1.
 */
#ifndef SHALE_BASE_OWN_H
#define SHALE_BASE_OWN_H

#include <stddef.h>

#if defined(__clang__)
#define OWNED(fn) __attribute__((warn_unused_result))
#else
#define OWNED(fn) __attribute__((malloc(fn, 1), warn_unused_result))
#endif

/* Never NULL: out of memory ends the process. */
#define NONNULL __attribute__((returns_nonnull))

#define AUTO(fn) __attribute__((cleanup(fn##_at)))

#define TAKE(p)                  \
    __extension__({              \
        __auto_type take_ = (p); \
        (p) = NULL;              \
        take_;                   \
    })

#define TAKE_FD(fd)       \
    __extension__({       \
        int take_ = (fd); \
        (fd) = -1;        \
        take_;            \
    })

#define DEFINE_AUTO(type, fn)            \
    static inline void fn##_at(type **p) \
    {                                    \
        fn(*p);                          \
    }                                    \
    struct own_needs_semicolon

#define DEFINE_AUTO_VALUE(type, fn)     \
    static inline void fn##_at(type *p) \
    {                                   \
        fn(p);                          \
    }                                   \
    struct own_needs_semicolon

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define UNUSED __attribute__((unused))

#endif

/*
 * What every unit test begins with: cmocka with its own includes, the filter
 * of `make unit K=...`, and a scratch directory.
 *
 *     int main(void)
 *     {
 *         const struct CMUnitTest tests[] = { cmocka_unit_test(a_case_is_a_sentence) };
 *         return UNIT_RUN("folder_module", tests);
 *     }
 */
#ifndef SHALE_TESTS_UNIT_H
#define SHALE_TESTS_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/err.h"
#include "base/fs.h"
#include "base/mem.h"
#include <fcntl.h>
#include <unistd.h>

#define UNIT_RUN(name, tests)                                     \
    (getenv("SHALE_TEST_FILTER") && *getenv("SHALE_TEST_FILTER")  \
         ? (cmocka_set_test_filter(getenv("SHALE_TEST_FILTER")),  \
            cmocka_run_group_tests_name(name, tests, NULL, NULL)) \
         : cmocka_run_group_tests_name(name, tests, NULL, NULL))

/* Fails the case with the error's message. */
#define assert_ok(expr, err)                       \
    do {                                           \
        if ((expr) < 0)                            \
            fail_msg("%s: %s", #expr, (err)->msg); \
    } while (0)

/* A fresh directory; scratch_remove takes it away. */
static inline int scratch_make(char ret_path[64])
{
    strcpy(ret_path, "/tmp/shale-unit-XXXXXX");
    assert_non_null(mkdtemp(ret_path));
    int fd = open(ret_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static inline void scratch_remove(int fd, const char *path)
{
    struct err err = ERR_INIT;
    fd_close(fd);
    assert_ok(tree_remove(AT_FDCWD, path, &err), &err);
}

#endif

#include "tests/unit/unit.h"

#include "base/own.h"
#include "cmd/patient_writer.h"
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MUCH (1u << 20) /* more than a pipe holds */

struct reader {
    int fd;
    size_t n;
};

static void *read_all(void *arg)
{
    struct reader *r = arg;
    char p[4096];
    ssize_t n;
    usleep(50000); /* the pipe is full by then */
    while ((n = read(r->fd, p, sizeof(p))) > 0)
        r->n += (size_t)n;
    return NULL;
}

static void a_slow_reader_of_an_fd_that_does_not_block_gets_everything(void **state UNUSED)
{
    char *text = calloc(1, MUCH);
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_int_equal(fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
    struct reader r = { .fd = ends[0] };
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, read_all, &r), 0);
    struct patient_writer w = { .fd = ends[1] };
    patient_write(&w, text, MUCH);
    close(ends[1]);
    pthread_join(thread, NULL);
    assert_int_equal(r.n, MUCH);
    assert_false(w.is_gone);
    close(ends[0]);
    free(text);
}

static void *interrupt_soon(void *arg)
{
    usleep(50000);
    cancel_set(arg, SIGTERM);
    return NULL;
}

static void after_a_signal_one_who_reads_nothing_is_given_up(void **state UNUSED)
{
    char *text = calloc(1, MUCH);
    int ends[2];
    AUTO(cancel_free) struct cancel *cancel = cancel_new();
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, interrupt_soon, cancel), 0);
    struct patient_writer w = { .fd = ends[1], .cancel = cancel };
    alarm(30);
    patient_write(&w, text, MUCH); /* would wait for ever */
    patient_write(&w, text, MUCH);
    alarm(0);
    assert_true(w.is_gone);
    pthread_join(thread, NULL);
    close(ends[0]);
    close(ends[1]);
    free(text);
}

static void after_a_signal_one_who_reads_still_gets_everything(void **state UNUSED)
{
    int ends[2];
    char got[8] = "";
    AUTO(cancel_free) struct cancel *cancel = cancel_new();
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    cancel_set(cancel, SIGTERM);
    struct patient_writer w = { .fd = ends[1], .cancel = cancel };
    patient_write(&w, "stop", 4);
    assert_int_equal(read(ends[0], got, sizeof(got)), 4);
    assert_string_equal(got, "stop");
    close(ends[0]);
    close(ends[1]);
}

static void a_reader_that_is_gone_is_not_waited_for(void **state UNUSED)
{
    int ends[2];
    signal(SIGPIPE, SIG_IGN);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    close(ends[0]);
    struct patient_writer w = { .fd = ends[1] };
    patient_write(&w, "x", 1);
    assert_true(w.is_gone);
    patient_write(&w, "x", 1);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_slow_reader_of_an_fd_that_does_not_block_gets_everything),
        cmocka_unit_test(after_a_signal_one_who_reads_nothing_is_given_up),
        cmocka_unit_test(after_a_signal_one_who_reads_still_gets_everything),
        cmocka_unit_test(a_reader_that_is_gone_is_not_waited_for),
    };
    return UNIT_RUN("cmd_patient_writer", tests);
}

#include "cmd/interrupt.h"
#include <errno.h>
#include <signal.h>
#include <unistd.h>

/* A signal handler gets no argument of ours: it has to find the cancel here. */
static struct cancel *interrupted;
static volatile sig_atomic_t n_signals;

static void on_signal(int signo)
{
    int saved = errno;
    if (n_signals++ > 0)
        _exit(128 + signo);
    cancel_set(interrupted, signo);
    errno = saved;
}

static const int signals[] = { SIGINT, SIGTERM, SIGHUP };

/* nohup and a shell's background jobs: what is ignored when we start stays ignored. */
static void set_handler(void (*handler)(int))
{
    struct sigaction sa = { .sa_handler = handler, .sa_flags = SA_RESTART };
    sigemptyset(&sa.sa_mask);
    for (size_t i = 0; i < ARRAY_LEN(signals); i++) {
        struct sigaction old;
        if (sigaction(signals[i], NULL, &old) < 0 || old.sa_handler == SIG_IGN)
            continue;
        sigaction(signals[i], &sa, NULL);
    }
}

void interrupt_catch(struct cancel *c)
{
    interrupted = c;
    set_handler(on_signal);
    signal(SIGPIPE, SIG_IGN);
}

void interrupt_release(void)
{
    set_handler(SIG_DFL);
    interrupted = NULL;
}

#include "cmd/exit_status.h"
#include <signal.h>
#include <string.h>

static const struct {
    enum err_code code;
    int status;
} statuses[] = {
    { ERR_NONE, EXIT_OK },        { ERR_NOT_FOUND, EXIT_FAILED },
    { ERR_CORRUPT, EXIT_FAILED }, { ERR_IO, EXIT_FAILED },
    { ERR_NET, EXIT_FAILED },     { ERR_AUTH, EXIT_FAILED },
    { ERR_USAGE, EXIT_FAILED },   { ERR_CANCELLED, 128 + SIGINT },
    { ERR_STEP, EXIT_FAILED },    { ERR_UNSUPPORTED, EXIT_FAILED },
};

int exit_status(const struct err *err, const struct cancel *cancel)
{
    if (err->code != ERR_NONE && cancel_is_set(cancel) && cancel_signal(cancel) != 0)
        return 128 + cancel_signal(cancel);
    for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
        if (statuses[i].code == err->code)
            return statuses[i].status;
    }
    return EXIT_FAILED;
}

/* What runtimes say when they cannot start a command (ERR_STEP). */
static const struct {
    const char *text;
    int status;
} start_errors[] = {
    { "executable file not found", EXIT_NO_COMMAND },
    { "no such file or directory", EXIT_NO_COMMAND },
    { "permission denied", EXIT_CANNOT_START },
    { "is a directory", EXIT_CANNOT_START },
};

int exit_status_of_run(const struct err *err, const struct cancel *cancel)
{
    if (err->code == ERR_CANCELLED)
        return exit_status(err, cancel);
    for (size_t i = 0; err->code == ERR_STEP && i < ARRAY_LEN(start_errors); i++) {
        if (strcasestr(err->msg, start_errors[i].text) != NULL)
            return start_errors[i].status;
    }
    return EXIT_BAD_OPTION;
}

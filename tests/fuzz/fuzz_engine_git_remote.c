/*
 * A reference to a git repository, a NUL, what `git ls-remote` printed. What is handed to git must
 * be no option and hold no control characters; the subdirectory must not lead up.
 */
#include "engine/git_remote.h"

#include "engine/fetch.h"
#include "remote/url.h"
#include "tests/fuzz/fuzz.h"
#include <stdlib.h>
#include <string.h>

static void demand(bool holds)
{
    if (!holds)
        abort();
}

static void check_text(const char *s)
{
    demand(*s == '\0' || git_is_safe_ref(s));
}

static void check_file_name(const char *url)
{
    struct err err = ERR_INIT;
    AUTO(mem_free) char *name = fetch_file_name(url);
    demand(*name != '\0' && strchr(name, '/') == NULL && !str_eq(name, ".") && !str_eq(name, ".."));
    (void)fetch_checksum_check(url, &err);
    AUTO(mem_free) char *redacted = url_redact(url);
    AUTO(mem_free) char *again = url_redact(redacted);
    demand(str_eq(redacted, again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(git_remote_release) struct git_remote r = { 0 };
    AUTO(git_found_release) struct git_found found = { .name = NULL };
    struct err err = ERR_INIT;
    AUTO(mem_free) char *text = str_ndup((const char *)data, size);
    size_t n = strlen(text);
    AUTO(mem_free)
    char *lines = n < size ? str_ndup((const char *)data + n + 1, size - n - 1) : str_dup("");
    check_file_name(text);
    int is_git = git_remote_parse(text, &r, &err);
    demand(is_git >= 0 || err.code == ERR_USAGE);
    if (is_git <= 0)
        return 0;
    check_text(r.ref);
    check_text(r.url);
    demand(*r.url != '\0' && r.subdir[0] != '/' && !str_starts(r.subdir, "../"));
    demand(!str_eq(r.subdir, ".."));
    if (git_find_ref(lines, r.ref, &found, &err) == 0)
        demand(git_is_commit(found.id) && git_is_safe_ref(found.name));
    return 0;
}

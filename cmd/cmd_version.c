#include "base/archive_api.h"
#include "cmd/command.h"
#include "cmd/exit_status.h"
#include "remote/http.h"
#include <jansson.h>
#include <openssl/opensslv.h>
#include <sqlite3.h>
#include <stdio.h>
#include <xxhash.h>
#include <zlib.h>
#include <zstd.h>

/* These are loaded when they are needed: here they are. */
static const char *archive_version(void)
{
    struct err err = ERR_INIT;
    if (archive_load(&err) < 0)
        return "missing";
    return archive_api()->version_string() + sizeof("libarchive ") - 1;
}

static const char *curl_version_text(void)
{
    struct err err = ERR_INIT;
    const char *version = http_library(&err);
    return version ? version : "missing";
}

static void print_libraries(void)
{
    unsigned xxh = XXH_versionNumber();
    printf("  jansson     %s\n", jansson_version_str());
    printf("  libarchive  %s\n", archive_version());
    printf("  libcrypto   %s\n", OPENSSL_VERSION_STR);
    printf("  libcurl     %s\n", curl_version_text());
    printf("  sqlite      %s\n", sqlite3_libversion());
    printf("  xxhash      %u.%u.%u\n", xxh / 10000, xxh / 100 % 100, xxh % 100);
    printf("  zlib        %s\n", zlibVersion());
    printf("  zstd        %s\n", ZSTD_versionString());
#ifdef HAVE_ISAL
    printf("  isa-l       yes\n");
#else
    printf("  isa-l       no\n");
#endif
}

static int run(struct session *s UNUSED, const struct options *o)
{
    printf("shale " SHALE_VERSION "\n");
    if (option_on(o, "verbose"))
        print_libraries();
    return EXIT_OK;
}

static const struct option_spec specs[] = {
    { "verbose", 0, OPTION_FLAG, .help = "Also the libraries in use" },
    { .name = NULL },
};

const struct command command_version = {
    .name = "version",
    .also = "buildx version",
    .args = "[OPTIONS]",
    .about = "Show the version",
    .specs = specs,
    .error_prefix = "shale: ",
    .run = run,
};

/* Gives a fuzz target files, and the files of directories, without a fuzzer: what crashed once. */
#include "tests/fuzz/fuzz.h"
#include "base/fs.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define INPUT_MAX (16u << 20)

static int replay(const char *path);

static int replay_dir(const char *path)
{
    struct dirent **names;
    int failed = 0, n = scandir(path, &names, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        AUTO(mem_free) char *inside = str_printf("%s/%s", path, names[i]->d_name);
        if (names[i]->d_name[0] != '.')
            failed |= replay(inside);
        free(names[i]);
    }
    if (n >= 0)
        free(names);
    return n < 0 ? 1 : failed;
}

static int replay(const char *path)
{
    struct stat st;
    struct err err = ERR_INIT;
    AUTO(buf_release) struct buf text = BUF_INIT;
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return replay_dir(path);
    if (file_read(AT_FDCWD, path, INPUT_MAX, &text, &err) < 0) {
        fprintf(stderr, "%s\n", err.msg);
        return 1;
    }
    fprintf(stderr, "%s\n", path);
    LLVMFuzzerTestOneInput((const uint8_t *)buf_str(&text), text.len);
    return 0;
}

int main(int argc, char **argv)
{
    int failed = 0;
    for (int i = 1; i < argc; i++)
        failed |= replay(argv[i]);
    return failed;
}

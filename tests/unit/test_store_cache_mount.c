#include "tests/unit/store_scratch.h"

#include "store/cache_mount.h"
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct cache_mount_spec spec_of(const char *name, enum cache_sharing sharing)
{
    struct cache_mount_spec s = {
        .sharing = sharing, .uid = geteuid(), .gid = getegid(), .mode = 0755
    };

    digest_of(name, strlen(name), &s.name);
    return s;
}

static struct cache_mount *must_open(struct scratch *x, const struct cache_mount_spec *spec)
{
    struct cache_mount *m = cache_mount_open(x->store, spec, NULL, &x->err);

    if (m == NULL)
        fail_msg("cache_mount_open: %s", x->err.msg);
    return m;
}

/* Opens with a cancel that is set: what cannot be had at once is not had. */
static struct cache_mount *try_open(struct scratch *x, const struct cache_mount_spec *spec)
{
    struct cancel *cancel = cancel_new();

    cancel_set(cancel, 0);
    struct cache_mount *m = cache_mount_open(x->store, spec, cancel, &x->err);
    if (m == NULL)
        assert_int_equal(x->err.code, ERR_CANCELLED);
    cancel_free(cancel);
    err_clear(&x->err);
    return m;
}

static void put(const struct cache_mount *m, const char *name)
{
    AUTO(mem_free) char *path = str_printf("%s/%s", cache_mount_path(m), name);
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    close(fd);
}

static bool has(const struct cache_mount *m, const char *name)
{
    AUTO(mem_free) char *path = str_printf("%s/%s", cache_mount_path(m), name);

    return access(path, F_OK) == 0;
}

static void what_is_put_into_a_cache_outlives_the_store(void **state)
{
    struct scratch *x = *state;
    struct cache_mount_spec a = spec_of("a", CACHE_SHARED), b = spec_of("b", CACHE_SHARED);
    struct cache_mount *m = must_open(x, &a);

    assert_true(str_starts(cache_mount_path(m), x->root));
    put(m, "kept");
    cache_mount_close(m);
    store_again(x);
    m = must_open(x, &a);
    assert_true(has(m, "kept"));
    cache_mount_close(m);
    m = must_open(x, &b);
    assert_false(has(m, "kept"));
    cache_mount_close(m);
}

static void a_new_directory_has_the_mode_it_was_asked_for_with_whatever_the_umask(void **state)
{
    struct scratch *x = *state;
    struct cache_mount_spec spec = spec_of("a", CACHE_SHARED);
    struct stat st;
    mode_t before = umask(077);

    spec.mode = 02771;
    struct cache_mount *m = must_open(x, &spec);
    umask(before);
    assert_int_equal(stat(cache_mount_path(m), &st), 0);
    assert_int_equal(st.st_mode, S_IFDIR | 02771);
    cache_mount_close(m);
}

static void a_shared_cache_is_had_by_several(void **state)
{
    struct scratch *x = *state;
    struct cache_mount_spec spec = spec_of("a", CACHE_SHARED);
    struct cache_mount *first = must_open(x, &spec), *second = try_open(x, &spec);

    assert_non_null(second);
    assert_string_equal(cache_mount_path(first), cache_mount_path(second));
    cache_mount_close(first);
    cache_mount_close(second);
}

static void a_locked_cache_is_had_by_one(void **state)
{
    struct scratch *x = *state;
    struct cache_mount_spec locked = spec_of("a", CACHE_LOCKED),
                            shared = spec_of("a", CACHE_SHARED), other = spec_of("b", CACHE_LOCKED);
    struct cache_mount *m = must_open(x, &locked);

    assert_null(try_open(x, &locked));
    assert_null(try_open(x, &shared));
    cache_mount_close(must_open(x, &other));
    cache_mount_close(m);
    m = must_open(x, &shared);
    assert_null(try_open(x, &locked));
    cache_mount_close(m);
    cache_mount_close(must_open(x, &locked));
}

static void a_private_cache_in_use_gives_the_next_one_another(void **state)
{
    struct scratch *x = *state;
    struct cache_mount_spec spec = spec_of("a", CACHE_PRIVATE);
    struct cache_mount *first = must_open(x, &spec), *second = must_open(x, &spec);
    AUTO(mem_free) char *path = str_dup(cache_mount_path(first));

    assert_string_not_equal(path, cache_mount_path(second));
    put(first, "one");
    put(second, "two");
    cache_mount_close(first);
    first = must_open(x, &spec);
    assert_string_equal(path, cache_mount_path(first));
    assert_true(has(first, "one") && !has(first, "two"));
    cache_mount_close(second);
    second = must_open(x, &spec);
    assert_true(has(second, "two"));
    cache_mount_close(first);
    cache_mount_close(second);
}

/* The child takes the lock in a process of its own and is killed with it. */
static void who_dies_leaves_a_cache_usable_and_unlocked(void **state)
{
    struct scratch *x = *state;
    struct cache_mount_spec spec = spec_of("a", CACHE_LOCKED);
    int ready[2];
    char byte;

    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    store_close(TAKE(x->store));
    pid_t pid = fork();
    if (pid == 0) {
        struct err err = ERR_INIT;
        struct store *s = store_open(x->root, &err);
        struct cache_mount *m = s ? cache_mount_open(s, &spec, NULL, &err) : NULL;
        if (m != NULL) {
            put(m, "half");
            (void)!write(ready[1], "x", 1);
        }
        close(ready[1]);
        pause();
        _exit(1);
    }
    close(ready[1]);
    store_again(x);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_null(try_open(x, &spec));
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    struct cache_mount *m = try_open(x, &spec);
    assert_non_null(m);
    assert_true(has(m, "half"));
    cache_mount_close(m);
    close(ready[0]);
}

struct filled {
    int calls;
    int fails;
};

static int fill(void *arg, int dirfd, int scratchfd, struct err *err)
{
    struct filled *f = arg;

    f->calls++;
    if (mkdirat(dirfd, "seed", 0700) < 0 || mkdirat(scratchfd, "seed", 0700) < 0)
        return err_set(err, ERR_IO, "not two empty directories");
    return f->calls <= f->fails ? err_set(err, ERR_IO, "as told") : 0;
}

static void a_new_cache_is_filled_once_and_whole(void **state)
{
    struct scratch *x = *state;
    struct filled f = { .fails = 1 };
    struct cache_mount_spec spec = spec_of("a", CACHE_SHARED);
    struct cache_mount_spec plain = spec;

    spec.fill = fill;
    spec.arg = &f;
    assert_null(cache_mount_open(x->store, &spec, NULL, &x->err));
    assert_string_equal(x->err.msg, "as told");
    err_clear(&x->err);
    struct cache_mount *m = must_open(x, &spec);
    assert_true(has(m, "seed"));
    cache_mount_close(m);
    m = must_open(x, &spec);
    cache_mount_close(m);
    assert_int_equal(f.calls, 2);
    m = must_open(x, &plain);
    assert_true(has(m, "seed"));
    cache_mount_close(m);
}

static void one_that_is_made_anew_is_empty_and_waits_for_who_uses_the_old_one(void **state)
{
    struct scratch *x = *state;
    struct cache_mount_spec spec = spec_of("a", CACHE_SHARED), anew = spec;
    struct cache_mount *m = must_open(x, &spec);

    anew.anew = true;
    put(m, "old");
    assert_null(try_open(x, &anew));
    assert_true(has(m, "old"));
    cache_mount_close(m);
    m = must_open(x, &anew);
    assert_false(has(m, "old"));
    put(m, "new");
    struct cache_mount *second = try_open(x, &spec); /* shared again */
    assert_non_null(second);
    assert_true(has(second, "new"));
    cache_mount_close(second);
    cache_mount_close(m);
}

struct opener {
    struct scratch *x;
    struct cache_mount_spec spec;
    int inside, most, failures;
    pthread_mutex_t lock;
};

static void *open_often(void *arg)
{
    struct opener *o = arg;

    for (int i = 0; i < 20; i++) {
        struct err err = ERR_INIT;
        struct cache_mount *m = cache_mount_open(o->x->store, &o->spec, NULL, &err);
        pthread_mutex_lock(&o->lock);
        o->failures += m == NULL;
        o->inside++;
        if (o->inside > o->most)
            o->most = o->inside;
        pthread_mutex_unlock(&o->lock);
        pthread_mutex_lock(&o->lock);
        o->inside--;
        pthread_mutex_unlock(&o->lock);
        cache_mount_close(m);
    }
    return NULL;
}

static void threads_take_turns_with_a_locked_cache(void **state)
{
    struct opener o = { .x = *state, .spec = spec_of("a", CACHE_LOCKED) };
    pthread_t t[3];

    pthread_mutex_init(&o.lock, NULL);
    for (size_t i = 0; i < ARRAY_LEN(t); i++)
        assert_int_equal(pthread_create(&t[i], NULL, open_often, &o), 0);
    for (size_t i = 0; i < ARRAY_LEN(t); i++)
        pthread_join(t[i], NULL);
    pthread_mutex_destroy(&o.lock);
    assert_int_equal(o.failures, 0);
    assert_int_equal(o.most, 1);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        CASE(what_is_put_into_a_cache_outlives_the_store),
        CASE(a_new_directory_has_the_mode_it_was_asked_for_with_whatever_the_umask),
        CASE(a_shared_cache_is_had_by_several),
        CASE(a_locked_cache_is_had_by_one),
        CASE(a_private_cache_in_use_gives_the_next_one_another),
        CASE(who_dies_leaves_a_cache_usable_and_unlocked),
        CASE(a_new_cache_is_filled_once_and_whole),
        CASE(one_that_is_made_anew_is_empty_and_waits_for_who_uses_the_old_one),
        CASE(threads_take_turns_with_a_locked_cache),
    };

    return UNIT_RUN("store_cache_mount", tests);
}

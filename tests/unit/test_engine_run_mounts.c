#include "tests/unit/unit.h"

#include "engine/run_mounts.h"
#include <string.h>

/* A stage whose working directory is /w, and the mounts of one RUN in it. */
struct stage_of_one {
    struct build_options o;
    struct build b;
    struct build_stage st;
    struct instr_run run;
    struct run_mounts mounts;
    struct err err;
};

static int setup(void **state)
{
    struct stage_of_one *x = mem_zalloc(sizeof(*x));

    x->b.o = &x->o;
    x->st.b = &x->b;
    state_init(&x->st.state);
    x->st.state.config.workdir = str_dup("/w");
    *state = x;
    return 0;
}

static void forget(struct stage_of_one *x)
{
    run_mounts_release(&x->mounts);
    for (size_t i = 0; i < x->run.n_mounts; i++)
        run_mount_release(&x->run.mounts[i]);
    mem_free(x->run.mounts);
    x->run = (struct instr_run){ .n_mounts = 0 };
}

static int teardown(void **state)
{
    struct stage_of_one *x = *state;

    forget(x);
    state_release(&x->st.state);
    strv_release(&x->o.build_args);
    mem_free(x);
    return 0;
}

static int targets(struct stage_of_one *x, const char *const *specs, size_t n)
{
    struct env_lookup none = env_lookup_none();

    forget(x);
    x->run.mounts = mem_calloc(n, sizeof(*x->run.mounts));
    for (; x->run.n_mounts < n; x->run.n_mounts++)
        assert_ok(run_mount_parse(specs[x->run.n_mounts], &none, '\\', NULL,
                                  &x->run.mounts[x->run.n_mounts], &x->err),
                  &x->err);
    return run_mounts_targets(&x->st, &x->run, &x->mounts, &x->err);
}
#define TARGETS(x, ...)                              \
    targets(x, (const char *const[]){ __VA_ARGS__ }, \
            ARRAY_LEN(((const char *const[]){ __VA_ARGS__ })))

static void targets_are_absolute_and_have_their_types_defaults(void **state)
{
    static const struct {
        const char *spec, *target, *id;
    } rows[] = {
        { "target=/a/./b/", "/a/b", NULL },
        { "target=x/../y", "/w/y", NULL },
        { "type=tmpfs,target=../t", "/t", NULL },
        { "source=f", "/w", NULL },
        { "type=cache,target=/x/../c/", "/c", "/c" },
        { "type=cache,target=rel", "/w/rel", "rel" },
        { "type=cache,target=/c,id=mine", "/c", "mine" },
        { "type=secret,id=a/b", "/run/secrets/b", "a/b" },
        { "type=secret,target=/opt/key", "/opt/key", "key" },
        { "type=secret,source=s,target=k", "/w/k", "s" },
        { "type=ssh", "/run/buildkit/ssh_agent.0", "default" },
        { "type=ssh,id=x,target=sock", "/w/sock", "x" },
    };
    struct stage_of_one *x = *state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_ok(TARGETS(x, rows[i].spec), &x->err);
        assert_string_equal(x->mounts.v[0].target, rows[i].target);
        if (rows[i].id != NULL)
            assert_string_equal(x->mounts.v[0].id, rows[i].id);
    }
}

static void the_root_directory_is_no_target(void **state)
{
    static const char *const specs[] = { "target=/", "target=..", "type=tmpfs,target=/a/..",
                                         "type=cache,target=/../" };
    struct stage_of_one *x = *state;

    for (size_t i = 0; i < ARRAY_LEN(specs); i++) {
        assert_int_equal(TARGETS(x, specs[i]), ERR_USAGE);
        assert_string_equal(x->err.msg, "invalid mount target \"/\"");
        err_clear(&x->err);
    }
}

static void agents_are_numbered_and_the_first_is_in_the_environment(void **state)
{
    struct stage_of_one *x = *state;
    AUTO(strv_release) struct strv env = STRV_INIT;

    assert_ok(TARGETS(x, "type=tmpfs,target=/t", "type=ssh", "type=ssh,id=b"), &x->err);
    assert_string_equal(x->mounts.v[2].target, "/run/buildkit/ssh_agent.1");
    run_mounts_env(&x->mounts, &env);
    assert_string_equal(env_get(&env, "SSH_AUTH_SOCK"), "/run/buildkit/ssh_agent.0");
    env_set(&env, "SSH_AUTH_SOCK", "/own");
    run_mounts_env(&x->mounts, &env);
    assert_string_equal(env_get(&env, "SSH_AUTH_SOCK"), "/own");
}

/* Only types without files: their keys need no store. */
static struct cache_key key_of(struct stage_of_one *x, const char *spec)
{
    struct cache_key ret;

    assert_ok(TARGETS(x, spec), &x->err);
    assert_ok(run_mounts_open(&x->mounts, &x->err), &x->err);
    AUTO(key_free) struct key *k = key_new("test");
    run_mounts_key(&x->mounts, false, k);
    key_end(k, &ret, NULL);
    return ret;
}

static bool same_key(struct stage_of_one *x, const char *a, const char *b)
{
    struct cache_key one = key_of(x, a), two = key_of(x, b);

    return digest_eq(&one.d, &two.d);
}

static void the_key_has_what_a_step_sees_of_a_mount(void **state)
{
    static const char *const differ[][2] = {
        { "type=tmpfs,target=/a", "type=tmpfs,target=/b" },
        { "type=tmpfs,target=/a", "type=tmpfs,target=/a,size=1k" },
        { "type=tmpfs,target=/a", "type=tmpfs,target=/a,ro" },
        { "type=tmpfs,target=/a", "type=cache,target=/a" },
        { "type=cache,target=/a", "type=cache,target=/a,ro" },
        { "type=cache,target=/a", "type=cache,target=/a,mode=0700" },
        { "type=cache,target=/a", "type=cache,target=/a,uid=1" },
        { "type=cache,target=/a", "type=cache,target=/a,source=x" },
        { "type=secret,id=a,target=/s", "type=secret,id=b,target=/s" },
        { "type=secret,id=a", "type=secret,id=a,env=A" },
        { "type=secret,id=a,env=B", "type=secret,id=a,env=A" },
        { "type=secret,id=a,env=A,target=/run/secrets/a", "type=secret,id=a,env=A" },
        { "type=secret,id=a", "type=secret,id=a,required" },
        { "type=secret,id=a", "type=secret,id=a,mode=0444" },
        { "type=ssh", "type=ssh,id=x" },
        { "type=ssh", "type=ssh,gid=1" },
    };
    static const char *const equal[][2] = {
        { "type=cache,target=/a", "type=cache,target=/a,id=x,sharing=locked" },
        { "type=cache,target=/a", "type=cache,target=/a,mode=0755,uid=0" },
        { "type=secret,id=a", "type=secret,id=a,target=/run/secrets/a,mode=0400" },
        { "type=tmpfs,target=t", "type=tmpfs,target=/w/t" },
    };
    struct stage_of_one *x = *state;

    for (size_t i = 0; i < ARRAY_LEN(differ); i++)
        if (same_key(x, differ[i][0], differ[i][1]))
            fail_msg("'%s' and '%s' have one key", differ[i][0], differ[i][1]);
    for (size_t i = 0; i < ARRAY_LEN(equal); i++)
        if (!same_key(x, equal[i][0], equal[i][1]))
            fail_msg("'%s' and '%s' have two keys", equal[i][0], equal[i][1]);
}

static struct digest name_of(struct stage_of_one *x, const char *spec)
{
    assert_ok(TARGETS(x, spec), &x->err);
    assert_ok(run_mounts_open(&x->mounts, &x->err), &x->err);
    return x->mounts.v[0].cache_name;
}

static void a_caches_name_is_of_id_owner_mode_and_namespace(void **state)
{
    static const char *const others[] = {
        "type=cache,target=/b",       "type=cache,target=/a,id=b",     "type=cache,target=/a,uid=1",
        "type=cache,target=/a,gid=1", "type=cache,target=/a,mode=700",
    };
    struct stage_of_one *x = *state;
    struct digest a = name_of(x, "type=cache,target=/a"),
                  same = name_of(x, "type=cache,target=/b,id=/a,sharing=private,source=x,ro");

    assert_true(digest_eq(&a, &same));
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        struct digest other = name_of(x, others[i]);
        assert_false(digest_eq(&a, &other));
    }
    strv_add(&x->o.build_args, "BUILDKIT_CACHE_MOUNT_NS=n");
    struct digest spaced = name_of(x, "type=cache,target=/a");
    assert_false(digest_eq(&a, &spaced));
}

static void values_of_secrets_are_overwritten_in_the_environment(void **state)
{
    struct stage_of_one *x = *state;
    AUTO(strv_release) struct strv env = STRV_INIT;

    assert_ok(TARGETS(x, "type=secret,id=a,env=TOKEN"), &x->err);
    strv_add(&env, "TOKENS=kept");
    strv_add(&env, "TOKEN=hidden");
    run_mounts_wipe_env(&x->mounts, &env);
    assert_string_equal(env.v[0], "TOKENS=kept");
    assert_string_equal(env.v[1], "TOKEN=");
    assert_memory_equal(env.v[1] + 6, "\0\0\0\0\0\0", 6);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(targets_are_absolute_and_have_their_types_defaults),
        CASE(the_root_directory_is_no_target),
        CASE(agents_are_numbered_and_the_first_is_in_the_environment),
        CASE(the_key_has_what_a_step_sees_of_a_mount),
        CASE(a_caches_name_is_of_id_owner_mode_and_namespace),
        CASE(values_of_secrets_are_overwritten_in_the_environment),
    };

    return UNIT_RUN("engine_run_mounts", tests);
}

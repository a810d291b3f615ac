#include "tests/unit/unit.h"

#include "engine/build_internal.h"

/* The history text of a line, carried out on an empty image. */
static void says(const char *line, const char *want)
{
    struct err err = ERR_INIT;
    struct state s;
    state_init(&s);
    AUTO(mem_free) char *text = str_printf("FROM scratch\n%s\n", line);
    AUTO(dockerfile_free) struct dockerfile *df = dockerfile_parse(text, strlen(text), &err);
    if (df == NULL)
        fail_msg("%s", err.msg);
    struct env_lookup env = env_lookup_strv(&s.env);
    AUTO(instr_free)
    struct instr *i = instr_expand(df->stages[0].instrs[0], &env, df->escape, NULL, &err);
    if (i == NULL)
        fail_msg("%s", err.msg);
    AUTO(buf_release) struct buf got = BUF_INIT;
    if (i->kind == INSTR_COPY || i->kind == INSTR_ADD) {
        created_by_copy(&got, i);
    } else {
        assert_ok(do_meta(&s, i, true, &err), &err);
        buf_adds(&got, s.config.history[s.config.n_history - 1].created_by);
    }
    assert_string_equal(buf_str(&got), want);
    state_release(&s);
}

static void refuses(const char *line, const char *want)
{
    struct err err = ERR_INIT;
    struct state s;
    state_init(&s);
    AUTO(mem_free) char *text = str_printf("FROM scratch\n%s\n", line);
    AUTO(dockerfile_free) struct dockerfile *df = dockerfile_parse(text, strlen(text), &err);
    if (df == NULL)
        fail_msg("%s", err.msg);
    assert_int_equal(do_meta(&s, df->stages[0].instrs[0], true, &err), ERR_USAGE);
    assert_string_equal(err.msg, want);
    state_release(&s);
}

static void lists_are_quoted_as_go_does(void **state UNUSED)
{
    says("CMD [\"a b\", \"\", \"q\\\"\\\\\\t\\u0001\\u00e9\\u2028\\ud83d\\ude00\\u00ad\"]",
         "CMD [\"a b\" \"\" \"q\\\"\\\\\\t\\x01\u00e9\\u2028\U0001F600\\u00ad\"]");
    says("ENTRYPOINT echo  $A", "ENTRYPOINT [\"/bin/sh\" \"-c\" \"echo  $A\"]");
}

static void ports_stand_in_the_order_of_their_words(void **state UNUSED)
{
    says("EXPOSE 80 443/tcp 53/UDP 9-11", "EXPOSE [443/tcp 53/udp 80/tcp 9/tcp 10/tcp 11/tcp]");
    says("EXPOSE 80/tcp 127.0.0.1:90:91", "EXPOSE [91/tcp 80/tcp]");
}

static void a_health_check_shows_its_retries_as_a_character(void **state UNUSED)
{
    says("HEALTHCHECK --retries=3 CMD x",
         "HEALTHCHECK &{[\"CMD-SHELL\" \"x\"] \"0s\" \"0s\" \"0s\" \"0s\" '\\x03'}");
    says("HEALTHCHECK --retries=10 --interval=1m30s --timeout=1.5ms CMD x",
         "HEALTHCHECK &{[\"CMD-SHELL\" \"x\"] \"1m30s\" \"1.5ms\" \"0s\" \"0s\" '\\n'}");
    says("HEALTHCHECK --retries=34 CMD x",
         "HEALTHCHECK &{[\"CMD-SHELL\" \"x\"] \"0s\" \"0s\" \"0s\" \"0s\" '\"'}");
    says("HEALTHCHECK --retries=39 CMD x",
         "HEALTHCHECK &{[\"CMD-SHELL\" \"x\"] \"0s\" \"0s\" \"0s\" \"0s\" '\\''}");
    says("HEALTHCHECK --retries=92 CMD x",
         "HEALTHCHECK &{[\"CMD-SHELL\" \"x\"] \"0s\" \"0s\" \"0s\" \"0s\" '\\\\'}");
    says("HEALTHCHECK --retries=300 CMD x",
         "HEALTHCHECK &{[\"CMD-SHELL\" \"x\"] \"0s\" \"0s\" \"0s\" \"0s\" '\u012c'}");
}

static void a_copy_shows_only_the_flags_that_docker_shows(void **state UNUSED)
{
    says("COPY --link --exclude=x --chmod=600 --chown=5:6 a b /c/",
         "COPY --chown=5:6 --chmod=600 a b /c/ # buildkit");
    says("ADD [\"a b\", \"c\"]", "ADD a b c # buildkit");
}

static void other_instructions_are_their_words(void **state UNUSED)
{
    says("ENV a=1 b=\"x y\"", "ENV a=1 b=x y");
    says("VOLUME /v /w", "VOLUME [/v /w]");
    says("VOLUME [\"/a\", \"/b c\"]", "VOLUME [/a /b c]");
    says("SHELL [\"/bin/sh\", \"-c\"]", "SHELL [/bin/sh -c]");
    says("STOPSIGNAL sigrtmin+3", "STOPSIGNAL sigrtmin+3");
}

static void bad_ports_and_signals_are_refused(void **state UNUSED)
{
    refuses("EXPOSE 80/foo", "invalid port: \"80/foo\": invalid proto: foo");
    refuses("EXPOSE x:90", "invalid hostPort: x");
    refuses("EXPOSE 70000", "invalid containerPort: 70000");
    refuses("EXPOSE 80-82:90-91",
            "invalid ranges specified for container and host Ports: 90-91 and 80-82");
    refuses("STOPSIGNAL foo", "invalid signal: foo");
    refuses("STOPSIGNAL 0", "invalid signal: 0");
    refuses("STOPSIGNAL SIGRTMIN+16", "invalid signal: SIGRTMIN+16");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_are_quoted_as_go_does),
        cmocka_unit_test(ports_stand_in_the_order_of_their_words),
        cmocka_unit_test(a_health_check_shows_its_retries_as_a_character),
        cmocka_unit_test(a_copy_shows_only_the_flags_that_docker_shows),
        cmocka_unit_test(other_instructions_are_their_words),
        cmocka_unit_test(bad_ports_and_signals_are_refused),
    };
    return UNIT_RUN("engine_created_by", tests);
}

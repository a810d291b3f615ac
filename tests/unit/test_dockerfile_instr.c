#include "tests/unit/unit.h"
#include "dockerfile/instr.h"
#include "dockerfile/suggest.h"

/* The only instruction of the only stage, after "FROM x". */
static struct instr *one(const char *line, struct err *err)
{
    AUTO(mem_free) char *text = str_printf("FROM x\n%s", line);
    AUTO(dockerfile_free) struct dockerfile *df = dockerfile_parse(text, strlen(text), err);
    if (df == NULL)
        return NULL;
    assert_int_equal(df->stages[0].n_instrs, 1);
    return instr_copy_of(df->stages[0].instrs[0]);
}

static struct instr *good(const char *line)
{
    struct err err = ERR_INIT;
    struct instr *i = one(line, &err);
    if (i == NULL)
        fail_msg("%s: %s", line, err.msg);
    return i;
}

static struct instr *expanded(const char *line, const char *const *env, struct err *err)
{
    AUTO(instr_free) struct instr *i = good(line);
    AUTO(strv_release) struct strv list = STRV_INIT;
    for (; env != NULL && *env != NULL; env++)
        strv_add(&list, *env);
    struct env_lookup lookup = env_lookup_strv(&list);
    return instr_expand(i, &lookup, '\\', NULL, err);
}

static void wrong_instructions_are_refused_in_buildkits_words(void **state)
{
    static const struct {
        const char *line, *message;
    } rows[] = {
        { "ARG", "ARG requires at least one argument" },
        { "ARG =x", "ARG names can not be blank" },
        { "ENV", "ENV requires at least one argument" },
        { "LABEL =x", "LABEL names can not be blank" },
        { "MAINTAINER", "MAINTAINER requires exactly one argument" },
        { "USER --x a", "unknown flag: --x" },
        { "COPY a", "COPY requires at least two arguments, but only one was provided. Destination "
                    "could not be determined" },
        { "COPY --form=x a b", "unknown flag: --form (did you mean from?)" },
        { "COPY --link=maybe a b", "expecting boolean value for flag --link, not: maybe" },
        { "COPY --link= a b", "missing a value on flag: --link" },
        { "COPY --chown a b", "missing a value on flag: --chown" },
        { "COPY --from=a --from=b c d", "duplicate flag specified: --from" },
        { "COPY a <<E\nE", "COPY cannot accept a heredoc as a destination" },
        { "FROM a b", "FROM requires either one or three arguments" },
        { "FROM a AS 1x", "invalid name for build stage: \"1x\", name can't start with a number or "
                          "contain symbols" },
        { "ONBUILD ONBUILD RUN x", "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed" },
        { "ONBUILD from x", "FROM isn't allowed as an ONBUILD trigger" },
        { "RUN --network=lan x", "invalid network mode \"lan\"" },
        { "RUN --security=none x", "security \"none\" is not valid" },
        { "RUN --mount=from=$x x", "'from' doesn't support variable expansion, define alias stage "
                                   "instead" },
        { "SHELL sh -c", "SHELL requires the arguments to be in JSON form" },
        { "SHELL []", "SHELL requires at least one argument" },
        { "HEALTHCHECK NONE x", "HEALTHCHECK NONE takes no arguments" },
        { "HEALTHCHECK TCP x", "Unknown type \"TCP\" in HEALTHCHECK (try CMD)" },
        { "HEALTHCHECK CMD", "Missing command after HEALTHCHECK CMD" },
        { "HEALTHCHECK --timeout=50us CMD x", "Interval \"timeout\" cannot be less than 1ms" },
        { "HEALTHCHECK --timeout=5 CMD x", "time: missing unit in duration \"5\"" },
        { "HEALTHCHECK --timeout=5q CMD x", "time: unknown unit \"q\" in duration \"5q\"" },
        { "HEALTHCHECK --retries=-1 CMD x", "--retries cannot be negative (-1)" },
        { "HEALTHCHECK --retries=x CMD x", "strconv.ParseInt: parsing \"x\": invalid syntax" },
        { "VOLUME [\" \"]", "VOLUME specified can not be an empty string" },
        { "RNU x", "unknown instruction: RNU (did you mean RUN?)" },
        { "copi x", "unknown instruction: copi (did you mean copy?)" },
        { "CMD [\"a\\u0000\"]", "CMD has an argument with a NUL character" },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err err = ERR_INIT;
        AUTO(instr_free) struct instr *instr = one(rows[i].line, &err);
        AUTO(mem_free)
        char *want = str_printf("dockerfile parse error on line 2: %s", rows[i].message);
        assert_null(instr);
        assert_string_equal(err.msg, want);
        assert_int_equal(err.line, 2);
    }
}

static void whole_files_that_cannot_be_built_are_refused(void **state)
{
    static const struct {
        const char *text, *message;
    } rows[] = {
        { "", "the Dockerfile cannot be empty" },
        { "ARG a\n", "dockerfile contains no stages to build" },
        { "RUN x\nFROM a\n", "no build stage in current context" },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err err = ERR_INIT;
        assert_null(dockerfile_parse(rows[i].text, strlen(rows[i].text), &err));
        assert_string_equal(err.msg, rows[i].message);
    }
}

static void stages_have_names_bases_and_lines(void **state)
{
    static const char text[] = "# v says it\nARG v=1 w\n# build makes it\n"
                               "FROM --platform=$P base:$v as Build\nRUN a \\\n b\n"
                               "FROM Build\nFROM scratch AS build\nCOPY --from=0 a b\n";
    struct err err = ERR_INIT;
    AUTO(dockerfile_free) struct dockerfile *df = dockerfile_parse(text, sizeof(text) - 1, &err);
    (void)state;
    assert_non_null(df);
    assert_int_equal(df->n_args, 1);
    assert_string_equal(df->args[0]->pairs.v[0].comment, "says it");
    assert_null(df->args[0]->pairs.v[1].value);
    assert_int_equal(df->n_stages, 3);
    assert_string_equal(df->stages[0].name, "build");
    assert_string_equal(df->stages[0].from->from.name_as_written, "Build");
    assert_string_equal(df->stages[0].from->from.as_keyword, "as");
    assert_string_equal(df->stages[0].from->from.comment, "makes it");
    assert_string_equal(df->stages[0].platform, "$P");
    assert_int_equal(df->stages[0].line, 4);
    assert_int_equal(df->stages[0].line_end, 6);
    assert_null(df->stages[1].name);
    assert_int_equal(dockerfile_stage_named(df, "BUILD", 2), 0);
    assert_int_equal(dockerfile_stage_named(df, "build", df->n_stages), 2);
    assert_int_equal(dockerfile_stage_named(df, "other", df->n_stages), -1);
}

static void copy_and_add_know_all_their_flags(void **state)
{
    AUTO(instr_free)
    struct instr *c =
        good("COPY --from=b --chown=1:2 --chmod=u+x --link --parents --exclude=*.o --exclude=x "
             "a b/ /d/");
    AUTO(instr_free)
    struct instr *a =
        good("ADD --checksum=sha256:00 --unpack=false --keep-git-dir --chown= http://x /d");
    (void)state;
    assert_string_equal(c->copy.from, "b");
    assert_string_equal(c->copy.chmod, "u+x");
    assert_true(c->copy.link && c->copy.parents);
    assert_int_equal(c->copy.exclude.n, 2);
    assert_int_equal(c->copy.sources.n, 2);
    assert_string_equal(c->copy.dest, "/d/");
    assert_int_equal(a->copy.unpack, INSTR_FALSE);
    assert_int_equal(a->copy.keep_git_dir, INSTR_TRUE);
    assert_int_equal(c->copy.unpack, INSTR_UNSET);
    assert_string_equal(a->copy.checksum, "sha256:00");
    assert_null(a->copy.chown);
}

static void here_documents_become_files(void **state)
{
    static const char *const env[] = { "v=1", NULL };
    struct err err = ERR_INIT;
    AUTO(instr_free)
    struct instr *c = expanded("COPY <<-a x <<'b' /d\n\t\"$v\" \\$v\na\n$v\nb\n", env, &err);
    AUTO(instr_free) struct instr *r = good("RUN <<-X sh\n\techo $v\nX\n");
    (void)state;
    assert_non_null(c);
    assert_int_equal(c->copy.files.n, 2);
    assert_string_equal(c->copy.files.v[0].data, "\"1\" $v\n");
    assert_string_equal(c->copy.files.v[1].data, "$v\n");
    assert_int_equal(c->copy.sources.n, 1);
    assert_true(r->run.cmd.shell);
    assert_string_equal(r->run.cmd.args.v[0], "<<-X sh");
    assert_string_equal(r->run.files.v[0].data, "\techo $v\n");
    assert_true(r->run.files.v[0].chomp);
}

static void expansion_reaches_what_buildkit_expands_and_nothing_else(void **state)
{
    static const char *const env[] = { "a=1", "two=80 81/udp", "none=", NULL };
    struct err err = ERR_INIT;
    (void)state;
    AUTO(instr_free) struct instr *e = expanded("ENV a=2 b=$a \"c$a\"='$a'", env, &err);
    assert_string_equal(e->pairs.v[1].value, "1");
    assert_string_equal(e->pairs.v[2].key, "c1");
    assert_string_equal(e->pairs.v[2].value, "$a");
    AUTO(instr_free) struct instr *x = expanded("EXPOSE $two 79", env, &err);
    assert_int_equal(x->list.n, 3);
    assert_string_equal(x->list.v[0], "80");
    AUTO(instr_free)
    struct instr *c = expanded("COPY --chown=$a --chmod=$none --exclude=$a $a/x /$a", env, &err);
    assert_string_equal(c->copy.chown, "1");
    assert_null(c->copy.chmod);
    assert_string_equal(c->copy.exclude.v[0], "$a");
    assert_string_equal(c->copy.sources.v[0], "1/x");
    assert_string_equal(c->copy.dest, "/1");
    AUTO(instr_free) struct instr *r = expanded("RUN echo $a", env, &err);
    assert_string_equal(r->run.cmd.args.v[0], "echo $a");
    AUTO(instr_free) struct instr *o = expanded("ONBUILD  RUN echo $a", env, &err);
    assert_string_equal(o->value, "RUN echo $a");
    assert_null(expanded("COPY --from=$a x y", env, &err));
    assert_int_equal(err.line, 2);
    err_clear(&err);
    assert_null(expanded("WORKDIR ${q?}", env, &err));
    assert_string_equal(err.msg, "failed to process \"${q?}\": q: is not allowed to be unset");
}

static void a_from_needs_something_left_after_expansion(void **state)
{
    static const char text[] = "FROM --platform=$p x\nFROM ${y}\n";
    struct err err = ERR_INIT;
    struct env_lookup none = env_lookup_none();
    AUTO(strv_release) struct strv unmatched = STRV_INIT;
    AUTO(dockerfile_free) struct dockerfile *df = dockerfile_parse(text, sizeof(text) - 1, &err);
    (void)state;
    assert_null(instr_expand(df->stages[0].from, &none, '\\', &unmatched, &err));
    assert_string_equal(err.msg, "empty platform value from expression $p");
    err_clear(&err);
    assert_null(instr_expand(df->stages[1].from, &none, '\\', &unmatched, &err));
    assert_string_equal(err.msg, "base name (${y}) should not be blank");
    assert_int_equal(err.line, 2);
    assert_int_equal(unmatched.n, 2);
}

static void mounts_are_read_after_expansion(void **state)
{
    static const char *const env[] = { "t=/c", NULL };
    struct err err = ERR_INIT;
    AUTO(instr_free)
    struct instr *r = expanded(
        "RUN --mount=type=cache,target=$t,id=x,sharing=Locked,mode=0700,uid=5 "
        "--mount=dst=/b,rw --mount=type=tmpfs,target=/t,size=1.5m "
        "--mount='type=secret,\"id=a,b\",env=K,required' --network=none --security=insecure "
        "--device=v/d=x,required true",
        env, &err);
    (void)state;
    if (r == NULL)
        fail_msg("%s", err.msg);
    const struct run_mount *m = r->run.mounts;
    assert_int_equal(r->run.n_mounts, 4);
    assert_int_equal(m[0].type, MOUNT_CACHE);
    assert_string_equal(m[0].target, "/c");
    assert_int_equal(m[0].sharing, MOUNT_LOCKED);
    assert_true(m[0].has_mode && m[0].mode == 0700 && m[0].has_uid && !m[0].has_gid);
    assert_false(m[0].read_only);
    assert_int_equal(m[1].type, MOUNT_BIND);
    assert_false(m[1].read_only);
    assert_int_equal(m[2].size, 1572864);
    assert_string_equal(m[3].id, "a,b");
    assert_string_equal(m[3].env, "K");
    assert_true(m[3].required && m[3].read_only);
    assert_int_equal(r->run.network, RUN_NETWORK_NONE);
    assert_true(r->run.insecure);
    assert_string_equal(r->run.devices[0].name, "v/d=x");
    assert_true(r->run.devices[0].required);
    assert_int_equal(r->run.flags_used.n, 4);
    AUTO(instr_free) struct instr *copy = instr_copy_of(r);
    assert_string_equal(copy->run.mounts[0].target, "/c");
}

static void wrong_mounts_are_refused(void **state)
{
    static const struct row {
        const char *spec, *message;
    } rows[] = {
        { "type=tmp", "unsupported mount type \"tmp\" (did you mean tmpfs?)" },
        { "typ=cache", "unexpected key 'typ' in 'typ=cache' (did you mean type?)" },
        { "target", "invalid field 'target' must be a key=value pair" },
        { "type=bind,required", "unexpected key 'required' for mount type 'bind'" },
        { "type=bind,size=1", "unexpected key 'size' for mount type 'bind'" },
        { "type=bind,mode=0755", "mode not allowed for \"bind\" type mounts" },
        { "type=cache,mode=9", "invalid value 9 for mode" },
        { "type=cache,sharing=some", "unsupported sharing value \"some\"" },
        { "type=ssh,sharing=shared", "invalid cache sharing set for ssh mount" },
        { "type=secret", "invalid secret mount. one of source, target required" },
        { "type=secret,id=a,from=b", "secret mount should not have a from" },
        { "type=secret,id=a,src=b", "both source and id can't be set" },
        { "ro=perhaps", "invalid value for ro: perhaps" },
        { "type=tmpfs,size=1x", "invalid value for size: 1x" },
        { "a\"b", "failed to parse csv mounts: bare \" in non-quoted-field" },
    };
    struct env_lookup none = env_lookup_none();
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err err = ERR_INIT;
        AUTO(run_mount_release) struct run_mount m = { .from = NULL };
        assert_int_equal(run_mount_parse(rows[i].spec, &none, '\\', NULL, &m, &err), ERR_USAGE);
        assert_string_equal(err.msg, rows[i].message);
    }
}

static void healthchecks_are_in_nanoseconds(void **state)
{
    AUTO(instr_free)
    struct instr *h =
        good("HEALTHCHECK --interval=1m30.5s --timeout=3ms --start-period=0s --retries=4 "
             "CMD [\"a\", \"b\"]");
    AUTO(instr_free) struct instr *shell = good("HEALTHCHECK cmd a b");
    AUTO(instr_free) struct instr *none = good("HEALTHCHECK none");
    (void)state;
    assert_int_equal(h->health.interval, 90500000000);
    assert_int_equal(h->health.timeout, 3000000);
    assert_int_equal(h->health.retries, 4);
    assert_int_equal(h->health.test.n, 3);
    assert_string_equal(h->health.test.v[0], "CMD");
    assert_string_equal(shell->health.test.v[0], "CMD-SHELL");
    assert_string_equal(shell->health.test.v[1], "a b");
    assert_string_equal(none->health.test.v[0], "NONE");
}

static void triggers_are_kept_verbatim_and_parsed_later(void **state)
{
    struct err err = ERR_INIT;
    AUTO(instr_free) struct instr *o = good("onbuild\tCOPY --chown=$u <<E /x\n$u\nE\n");
    (void)state;
    assert_string_equal(o->value, "COPY --chown=$u <<E /x\n$u\nE");
    AUTO(instr_free) struct instr *c = instr_parse_onbuild(o->value, &err);
    assert_non_null(c);
    assert_int_equal(c->kind, INSTR_COPY);
    assert_string_equal(c->copy.files.v[0].data, "$u\n");
    assert_null(instr_parse_onbuild("RUN a\nRUN b", &err));
    assert_string_equal(err.msg, "onbuild trigger should be a single expression");
    assert_null(instr_parse_onbuild("FROM a", &err));
    assert_null(instr_parse_onbuild("NOPE", &err));
    assert_int_equal(err.line, 0);
}

static void a_comment_above_a_run_says_whether_it_is_watched(void **state UNUSED)
{
    static const struct {
        const char *text;
        bool off;
        const char *unknown; /* line by line */
    } rows[] = {
        { "RUN x", false, "" },
        { "# shale: trace=off\nRUN x", true, "" },
        { "#shale:trace=off\n# and why\nRUN x", true, "" },
        { "# shale: trace=on\nRUN x", false, "" },
        { "# shale: trace=off\n# shale:\t trace=on \nRUN x", false, "" },
        { "# shale: trace=on  trace=off\nRUN x", true, "" },
        { "# shale: trace=off\n\nRUN x", true, "" },
        { "# shale: trace=off\n#\nRUN x", false, "" }, /* an empty comment starts over */
        { "# Shale: trace=off\nRUN x", false, "" },
        { "# shale trace=off\nRUN x", false, "" },
        { "# for shale: trace=off\nRUN x", false, "" },
        { "# shale: Trace=off trace=offf trace = off\nRUN x", false,
          "Trace=off trace=offf trace = off" },
        { "# shale: trace =  off\n# shale: trace=off\n# shale: x trace=on y\nRUN x", false,
          "trace = off, x y" },
        { "# shale: trace=off\n\n\n# and why\n\nRUN x", true, "" },
        { "RUN x \\\n# shale: trace=off\n y", false, "" },
        { "RUN <<E\n# shale: trace=off\nE", false, "" },
    };
    for (size_t k = 0; k < ARRAY_LEN(rows); k++) {
        struct err err = ERR_INIT;
        AUTO(instr_free) struct instr *i = good(rows[k].text);
        AUTO(instr_free) struct instr *x = expanded(rows[k].text, NULL, &err);
        AUTO(strv_release) struct strv unknown = STRV_INIT;
        AUTO(buf_release) struct buf words = BUF_INIT;
        bool off = run_directive_trace_off(&i->comments, &unknown);
        for (size_t w = 0; w < unknown.n; w++)
            buf_addf(&words, "%s%s", w > 0 ? ", " : "", unknown.v[w]);
        if (off != rows[k].off || i->run.trace_off != off || x->run.trace_off != off)
            fail_msg("%s: %d", rows[k].text, off);
        assert_string_equal(buf_str(&words), rows[k].unknown);
    }
}

static void a_line_for_shale_is_known_whatever_it_says(void **state UNUSED)
{
    static const struct {
        const char *text;
        bool is_there;
    } rows[] = {
        { "# shale: trace=off\nCOPY a /", true },
        { "#shale:\n# more\nCOPY a /", true },
        { "# shale:x\nRUN x", true },
        { "# shale trace=off\nCOPY a /", false },
        { "# trace=off\nRUN x", false },
        { "COPY a /", false },
    };
    for (size_t k = 0; k < ARRAY_LEN(rows); k++) {
        AUTO(instr_free) struct instr *i = good(rows[k].text);
        if (run_directive_is_there(&i->comments) != rows[k].is_there)
            fail_msg("%s", rows[k].text);
    }
}

static void too_many_stages_are_refused(void **state)
{
    struct err err = ERR_INIT;
    AUTO(buf_release) struct buf b = BUF_INIT;
    (void)state;
    for (int i = 0; i <= DOCKERFILE_MAX_STAGES; i++)
        buf_adds(&b, "FROM a\n");
    assert_null(dockerfile_parse(b.data, b.len, &err));
    assert_string_equal(err.msg, "more than 1000 stages");
    assert_int_equal(err.line, 1001);
}

static void suggestions_are_within_two_edits(void **state)
{
    static const char *const words[] = { "platform", "from", "chown" };
    (void)state;
    assert_string_equal(suggest("plat<<form", words, 3, false), "platform");
    assert_string_equal(suggest("FORM", words, 3, true), "from");
    assert_null(suggest("FORM", words, 3, false));
    assert_null(suggest("from", words, 3, false));
    assert_null(suggest("nothing", words, 3, false));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_instructions_are_refused_in_buildkits_words),
        cmocka_unit_test(whole_files_that_cannot_be_built_are_refused),
        cmocka_unit_test(stages_have_names_bases_and_lines),
        cmocka_unit_test(copy_and_add_know_all_their_flags),
        cmocka_unit_test(here_documents_become_files),
        cmocka_unit_test(expansion_reaches_what_buildkit_expands_and_nothing_else),
        cmocka_unit_test(a_from_needs_something_left_after_expansion),
        cmocka_unit_test(mounts_are_read_after_expansion),
        cmocka_unit_test(wrong_mounts_are_refused),
        cmocka_unit_test(healthchecks_are_in_nanoseconds),
        cmocka_unit_test(triggers_are_kept_verbatim_and_parsed_later),
        cmocka_unit_test(a_comment_above_a_run_says_whether_it_is_watched),
        cmocka_unit_test(a_line_for_shale_is_known_whatever_it_says),
        cmocka_unit_test(too_many_stages_are_refused),
        cmocka_unit_test(suggestions_are_within_two_edits),
    };
    return UNIT_RUN("dockerfile_instr", tests);
}

# What docker build says and shows where one could well do otherwise: seen in BuildKit, case by case.
# shellcheck shell=bash disable=SC2016 # what is in single quotes is for the Dockerfile

# shown NAME...: each is a step of the log, number and all.
shown() {
    local name
    sed -n 's/^#[0-9]* \(\[.*\)$/\1/p' log >names
    for name in "$@"; do grep -qxF -- "$name" names || { sed 's/^/  | /' names >&2; fail "no step '$name'"; }; done
}

t_a_mistake_further_down_is_said_before_anything_runs() {
    for bad in 'STOPSIGNAL NOPE' 'EXPOSE port' 'ENV a=${unset:?is needed}' 'COPY ${unset:?is needed} /x' 'VOLUME [""]'; do
        printf 'FROM base:1\nENV set=1\nRUN echo this runs\n%s\n' "$bad" | dockerfile
        build_fails
        eq "" "$(how "echo this runs")" "what became of the step before it"
        has log ">>> $bad"
    done
    printf 'FROM base:1 AS first\nONBUILD STOPSIGNAL NOPE\nFROM first\nRUN echo this runs\n' | dockerfile
    build_fails
    eq "" "$(how "echo this runs")" "what became of the step"
    says "invalid signal: NOPE"
}

t_what_is_tried_first_leaves_no_trace_in_the_image() {
    dockerfile <<'END'
FROM base:1 AS first
ARG a=1
ONBUILD ENV triggered=$a
FROM first
ARG a=2
ENV b=$a
ENV b=${b}${b}
LABEL c=$b
RUN echo "$a $b $triggered" > /seen
END
    build -t t
    eq "2 22 1" "$(inside cat /seen)"
    oci
    eq '{"c":"22"}' "$(config .config.Labels)"
    eq 1 "$(config '[.history[].created_by | select(. == "LABEL c=22")] | length')" "LABELs in the history"
}

t_stages_that_nobody_needs_are_read_with_the_others() {
    printf 'FROM base:1 AS other\nCOPY --from=$which /a /b\nFROM base:1\n' | dockerfile
    build_fails --build-arg which=x
    says "variable expansion is not supported for --from, define a new stage with FROM using ARG from global scope as a workaround"
    hasnt log ">>>"
    printf 'FROM platform- AS other\nFROM base:1\n' | dockerfile
    build_fails
    says 'failed to parse stage name "platform-": invalid reference format'
    has log '>>> FROM platform- AS other'
    printf 'FROM base:1 AS self\nCOPY --from=self /a /b\nFROM base:1\n' | dockerfile
    build_fails
    says "circular dependency detected on stage: self"
}

t_a_name_in_capitals_is_said_to_be_that_whatever_else_is_wrong() {
    printf 'FROM @{Name}\n' | dockerfile
    build_fails
    says 'failed to parse stage name "@{Name}": invalid reference format: repository name (library/@{Name}) must be lowercase'
}

t_run_is_shown_with_its_quotes_and_the_others_without() {
    echo a >ctx/a.txt
    dockerfile <<'END'
FROM base:1
ENV set=value
RUN echo "$set" '$set' "$unset" > /dev/null
COPY --chown=${unset:-1:2} "a.txt" '/b'
COPY --chmod=$unset a.txt /c
WORKDIR "/w x/$set$unset"
END
    build
    shown '[2/5] RUN echo "value" '\''$set'\'' "$unset" > /dev/null' '[3/5] COPY --chown=1:2 a.txt /b' \
        '[4/5] COPY --chmod= a.txt /c' '[5/5] WORKDIR /w x/value'
}

t_the_first_line_of_a_script_is_shown_as_the_rest_of_the_name() {
    dockerfile <<'END_OF_FILE'
FROM base:1
ENV set=value
RUN <<END
true $set $unset
true
END
RUN <<"END"
true "$set"
END
END_OF_FILE
    build
    shown '[2/3] RUN <<END (true value $unset...)' '[3/3] RUN <<"END" (true "value")'
}

t_a_trigger_is_shown_in_capitals() {
    echo a >ctx/a.txt
    printf 'FROM base:1 AS first\nONBUILD copy a.txt /a\nFROM first\n' | dockerfile
    build
    shown '[stage-1 1/1] ONBUILD COPY a.txt /a'
}

t_a_user_number_beyond_all_is_root_for_files_and_refused_for_run() {
    echo a >ctx/a.txt
    dockerfile <<'END'
FROM base:1
COPY --chown=2147483648 a.txt /a
COPY --chown=99999999999:5 a.txt /b
COPY --chown=app:77777777777 a.txt /c
USER 99999999999
WORKDIR /d
END
    build -o type=tar,dest=rootfs.tar
    tar --numeric-owner -tvf rootfs.tar | awk '{ sub(/\/$/, "", $6); sub(/^(\.\/|\/)/, "", $6); print $6, $2 }' >owners
    for line in 'a 0/0' 'b 0/5' 'c 1000/1001' 'd 0/0'; do grep -qx "$line" owners || { cat owners >&2; fail "not $line"; }; done
    printf 'FROM base:1\nUSER 99999999999\nRUN true\n' | dockerfile
    build_fails
    says 'process "/bin/sh -c true" did not complete successfully: uids and gids must be in range 0-2147483647'
}

t_a_bad_escape_in_a_pattern_is_shown() {
    printf 'FROM base:1\nENV s=abc\nENV r=${s#\\a}\n' | dockerfile
    build_fails
    says "invalid pattern (\\a) in substitution: invalid escape '\\a'"
}

t_the_same_step_in_two_stages_runs_once_without_the_cache_too() {
    dockerfile <<'END'
FROM base:1 AS one
RUN cat /proc/sys/kernel/random/uuid > /once
FROM base:1 AS two
RUN cat /proc/sys/kernel/random/uuid > /once
FROM base:1
COPY --from=one /once /1
COPY --from=two /once /2
END
    build -t t
    inside cat /1 >before
    build -t t --no-cache
    inside cat /1 >first
    inside cat /2 >second
    cmp first second
    ! cmp -s before first || fail "nothing was made again"
}

# Steps that fail, builds that are interrupted, input that is wrong.
# shellcheck shell=bash disable=SC2016 # what is in single quotes is for the container

t_a_failing_run_shows_its_output_the_lines_and_the_code() {
    dockerfile <<'END'
FROM base:1
RUN echo fine
# what fails
RUN echo to stdout; echo to stderr >&2; exit 42
RUN echo never
END
    build_fails
    has log "to stdout"
    has log "to stderr"
    hasnt log "] RUN echo never"
    says 'process "/bin/sh -c echo to stdout; echo to stderr >&2; exit 42" did not complete successfully: exit code: 42'
    sed -n '/^Dockerfile:4$/,/^ERROR: /p' log | sed '$d' >frame
    diff -u - frame <<'END' || fail "the frame is not as BuildKit's"
Dockerfile:4
--------------------
   2 |     RUN echo fine
   3 |     # what fails
   4 | >>> RUN echo to stdout; echo to stderr >&2; exit 42
   5 |     RUN echo never
   6 |     
--------------------
END
    has log ' > [3/4] RUN echo to stdout; echo to stderr >&2; exit 42:'
}

t_a_failing_run_gives_no_image_and_leaves_nothing() {
    printf 'FROM base:1\nRUN touch /x; exit 3\n' | dockerfile
    build_fails -t never --iidfile id
    [ ! -s id ] || fail "an image id was written"
    shale images >images.txt
    hasnt images.txt never
    nothing_left 'exit 3'
}

t_a_command_that_is_not_there_or_dies_by_a_signal_is_named() {
    printf 'FROM base:1\nRUN no-such-command\n' | dockerfile
    build_fails
    says "exit code: 127"
    printf 'FROM base:1\nRUN sh -c "kill -9 \\$\\$"; exit $?\n' | dockerfile
    build_fails
    says "exit code: 137"
    printf 'FROM base:1\nRUN ["/no/such/program"]\n' | dockerfile
    build_fails
    says "/no/such/program"
}

t_a_failure_stops_the_other_stages() {
    dockerfile <<'END'
FROM base:1 AS slow
RUN sleep 4243.1
FROM base:1 AS bad
RUN exit 5
FROM base:1
COPY --from=slow / /slow
COPY --from=bad / /bad
END
    build_fails
    says "exit code: 5"
    nothing_left 4243.1
}

interrupted() { # interrupted SIGNAL STATUS MARK
    local pid status=0 begun
    printf 'FROM base:1\nRUN touch /before\nRUN echo started; sleep %s\n' "$3" | dockerfile
    env --default-signal=INT,TERM "$SHALE" build --progress=plain --load=false -t t ctx >out 2>log &
    pid=$!
    for _ in $(seq 200); do
        ! grep -q ' started$' log || break
        kill -0 $pid || { cat log; fail "the build ended by itself"; }
        sleep 0.1
    done
    begun=$SECONDS
    kill "-$1" $pid
    wait $pid || status=$?
    eq "$2" "$status" "exit status"
    # A container that does not answer is killed after 10 s; this one answers.
    [ $((SECONDS - begun)) -lt 8 ] || fail "it took $((SECONDS - begun)) s"
    nothing_left "sleep $3"
    hasnt log "Sanitizer"
    # What was finished is known, what was not is not.
    sed -i 's/; sleep.*//' ctx/Dockerfile
    build -t t
    cached 'RUN touch /before'
    ran 'RUN echo started'
}

t_ctrl_c_stops_the_step_and_leaves_nothing() {
    interrupted INT 130 4242.1
}

t_sigterm_stops_the_step_and_leaves_nothing() {
    interrupted TERM 143 4242.2
}

t_after_kill_9_nothing_runs_on_and_the_next_build_works() {
    local pid
    printf 'FROM base:1\nRUN echo started > /s; echo started; sleep 4242.3\n' | dockerfile
    "$SHALE" build --progress=plain --load=false -t t ctx >out 2>log &
    pid=$!
    for _ in $(seq 200); do
        ! grep -q ' started$' log || break
        kill -0 $pid || { cat log; fail "the build ended by itself"; }
        sleep 0.1
    done
    kill -9 $pid
    wait $pid || :
    sed -i 's/; sleep.*//' ctx/Dockerfile
    build -t t
    ran 'RUN echo started'
    eq started "$(inside cat /s)"
    nothing_left 'sleep 4242.3'
}

t_groups_of_dead_processes_go_and_those_of_another_pid_namespace_stay() {
    local place ours
    place=$(awk '$3 ~ /^cgroup2?$/ { print $2; exit }' /proc/self/mounts)
    ours=$(stat -Lc %i /proc/self/ns/pid)
    # No process has this number.
    dead=$place/shale-$ours-test-4194399-0.run-0 other=$place/shale-1-test-4194399-0.run-0
    mkdir "$other" 2>mkdir.err || not_here "no group can be made here: $(cat mkdir.err)"
    trap 'rmdir "$dead" "$other" 2>/dev/null || :' EXIT
    mkdir "$dead"
    printf 'FROM base:1\nRUN echo groups\n' | dockerfile
    build
    ran 'RUN echo groups'
    [ ! -e "$dead" ] || fail "the group of a dead process is there"
    [ -e "$other" ] || fail "a group that may be in use is gone"
}

t_no_dockerfile_is_said() {
    build_fails
    says Dockerfile
    says "no such file or directory"
}

t_an_empty_dockerfile_is_said() {
    : >ctx/Dockerfile
    build_fails
    says "empty"
    printf '# only a comment\n' | dockerfile
    build_fails
    printf 'ARG a=1\n' | dockerfile
    build_fails
    says "no stages to build"
}

t_an_unknown_instruction_is_said_with_its_line_and_a_guess() {
    printf 'FROM base:1\n\nCOPPY a b\n' | dockerfile
    build_fails
    says "unknown instruction: COPPY"
    says "did you mean COPY?"
    says "line 3"
    has log "Dockerfile:3"
}

t_a_missing_copy_source_is_said() {
    printf 'FROM base:1\nRUN touch /ran\nCOPY nothing /x\n' | dockerfile
    build_fails
    says '/nothing'
    says 'not found'
    has log "Dockerfile:3"
}

t_a_copy_from_an_unknown_stage_or_a_later_one_is_said() {
    printf 'FROM base:1 AS a\nCOPY --from=b / /x\nFROM base:1 AS b\n' | dockerfile
    build_fails --target a
    says '"b"'
}

t_an_unreachable_registry_is_said() {
    printf 'FROM localhost:1/no/image:1\n' | dockerfile
    build_fails
    says "localhost:1/no/image:1"
}

t_a_missing_base_image_is_said() {
    start_registry
    printf 'FROM %s/no/image:1\n' "$REGISTRY" | dockerfile
    build_fails
    says "$REGISTRY/no/image:1"
    says "not found"
}

t_a_missing_target_is_said() {
    printf 'FROM base:1 AS one\n' | dockerfile
    build_fails --target two
    says 'two'
}

t_a_missing_context_is_said() {
    rmdir ctx
    build_fails
    says "ctx"
}

t_a_store_that_cannot_be_written_is_said() {
    printf 'FROM base:1\nRUN true\n' | dockerfile
    SHALE_ROOT=/proc/shale build_fails
    says /proc/shale
    mkdir other
    chown 1234 other
    SHALE_ROOT=$W/other build_fails
    says "$W/other"
    : >file
    SHALE_ROOT=$W/file build_fails
    says "$W/file"
}

t_not_root_is_said_when_a_step_must_run() {
    local status=0
    # The tests' own directory may lie where only root can go.
    dir=$(mktemp -d /tmp/shale-e2e.XXXXXX)
    trap 'rm -rf "$dir"' EXIT
    cp "$SHALE" "$dir/shale"
    cp "$(command -v busybox)" "$dir/busybox"
    printf 'FROM scratch\nCOPY busybox /bin/sh\nRUN true\n' >"$dir/Dockerfile"
    chmod -R a+rX "$dir"
    mkdir -m 700 "$dir/store"
    chown 65534:65534 "$dir/store"
    (cd "$dir" && SHALE_ROOT=$dir/store HOME=$dir \
        setpriv --reuid=65534 --regid=65534 --clear-groups ./shale build --load=false --progress=plain .) >out 2>log || status=$?
    eq 1 $status "exit status"
    grep -q '^ERROR: .*root' log || { cat log; fail "no sentence about root"; }
    hasnt log "Sanitizer"
}

t_a_file_that_is_no_dockerfile_is_refused() {
    head -c 100000 /dev/urandom >ctx/Dockerfile
    build_fails
    { printf 'FROM base:1\nRUN echo '; head -c 70000 /dev/zero | tr '\0' x; echo; } >ctx/Dockerfile
    build_fails
    says "65535"
}

t_wrong_words_on_the_command_line_are_said() {
    local status=0
    shale build --no-such-flag ctx >out 2>log || status=$?
    [ $status -ne 0 ] || fail "an unknown flag was taken"
    has log "no-such-flag"
    status=0
    shale build ctx one-too-many >out 2>log || status=$?
    [ $status -ne 0 ] || fail "two contexts were taken"
    status=0
    shale no-such-command >out 2>log || status=$?
    [ $status -ne 0 ] || fail "an unknown command was taken"
    has log "no-such-command"
}

t_a_source_that_is_not_there_is_told_before_anything_runs() {
    dockerfile <<'END'
FROM base:1
RUN touch /ran
COPY nosuch /a
END
    build_fails
    says '"/nosuch": not found'
    has log '[3/3] COPY nosuch /a'
    hasnt log '] RUN touch'
    # one that a step makes is another stage's, and one behind a link is found where it leads
    ln -s real ctx/link
    mkdir ctx/real
    touch ctx/real/file
    sed -i 's,^COPY.*,COPY link/file /a\nCOPY --from=0 /ran /b,; s,^FROM.*,FROM base:1 AS one,' ctx/Dockerfile
    sed -i 's,^COPY --from=0.*,FROM one\nCOPY --from=0 /ran /b,' ctx/Dockerfile
    build
}

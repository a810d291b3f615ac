# Builds that need the same step at the same time: one runs it, the others wait and take the result. A step says that it
# began, and ends when the test puts a file into its cache mount, which is in no key: nothing depends on the clock.
# shellcheck shell=bash disable=SC2016,SC2086,SC2154 # what is in single quotes is for the container

# held [MORE]: a step that says that it began, waits for /c/go, and then does MORE.
held() {
    mark="of ${W##*/}"
    dockerfile <<END
FROM base:1
RUN --mount=type=cache,target=/c : $mark; echo began; echo x >>/c/here; until [ -e /c/go ]; do sleep 0.1; done; \\
    head -c 16 /dev/urandom | od -An -tx1 >/stamp; ${1:-true}
END
}

# begin NAME [FLAG...]: a build of a copy of ctx in the background; its pid is NAME_pid, what it says is in NAME.log.
begin() {
    local name=$1
    shift
    cp -r ctx "$name"
    env --default-signal=INT,TERM "$SHALE" build --progress=plain --load=false -t "$name" "$@" "$name" >"$name.out" 2>"$name.log" &
    declare -g "${name}_pid=$!"
    begun_pids="${begun_pids:-} $!"
    # shellcheck disable=SC2064,SC2086 # as they are now, each a word
    trap "kill -9 $begun_pids 2>/dev/null || :" EXIT
}

# until_so NAME COMMAND...: waits until the command succeeds, while that build is alive.
until_so() {
    local pid=${1}_pid name=$1
    shift
    for _ in $(seq 600); do
        ! "$@" 2>/dev/null || return 0
        kill -0 "${!pid}" 2>/dev/null || { cat "$name.log" >&2; fail "$name ended before '$*'"; }
        sleep 0.1
    done
    cat "$name.log" >&2
    fail "$name: not '$*' for a minute"
}

runs() { # how often the step has been begun
    cat ./*.log log 2>/dev/null | grep -c '^#[0-9]* .* began$'
}

begun() { [ "$(runs)" -ge "$1" ]; }

waits() { grep -q 'waiting for the same step' "$1.log"; }

go() { # --no-cache gives a step a new cache
    find "$SHALE_ROOT" -name here -path '*cache*' -execdir touch go \;
}

ended() { # ended STATUS NAME...
    local name pid status want=$1
    shift
    for name in "$@"; do
        pid=${name}_pid status=0
        wait "${!pid}" || status=$?
        [ $status = "$want" ] || { cat "$name.log" >&2; fail "$name ended with $status, not $want"; }
        hasnt "$name.log" Sanitizer
    done
}

stamp() { "$SHALE" run "$1" cat /stamp; }

t_four_builds_that_need_a_step_run_it_once_and_say_what_they_wait_for() {
    local name
    held
    begin one
    until_so one begun 1
    for name in two three four; do begin $name; done
    for name in two three four; do until_so $name waits $name; done
    eq 1 "$(grep -c 'waiting for the same step' two.log)" "lines about waiting"
    hasnt one.log 'waiting for'
    go
    ended 0 one two three four
    eq 1 "$(runs)" "runs"
    for name in two three four; do
        eq "$(stamp one)" "$(stamp $name)" "the stamp of $name"
        cp $name.log log
        cached 'RUN --mount'
    done
    cp one.log log
    ran 'RUN --mount'
    nothing_left "$mark"
}

t_a_killed_holder_does_not_block_the_others() {
    local name
    held
    begin one
    until_so one begun 1
    begin two
    begin three
    for name in two three; do until_so $name waits $name; done
    kill -9 "$one_pid"
    ended 137 one
    # One of the two runs it now, the other one takes its result.
    until_so two begun 2
    go
    ended 0 two three
    eq 2 "$(runs)" "runs"
    eq "$(stamp two)" "$(stamp three)" "the stamps"
    "$SHALE" images | grep -q '^one ' && fail "the killed build has an image"
    nothing_left "$mark"
}

t_an_interrupted_holder_does_not_block_the_others() {
    held
    begin one
    until_so one begun 1
    begin two
    until_so two waits two
    kill -INT "$one_pid"
    ended 130 one
    until_so two begun 2
    go
    ended 0 two
    cp two.log log
    ran 'RUN --mount'
    nothing_left "$mark"
}

t_what_waits_can_be_interrupted_and_disturbs_nobody() {
    local signal name
    held
    begin one
    until_so one begun 1
    for signal in INT TERM; do
        name=two_${signal,,}
        begin $name
        until_so $name waits $name
        # The one that runs the step does not end before the test says so: what ends ends by the signal.
        declare -n pid=${name}_pid
        kill -$signal "$pid"
        ended "$([ $signal = INT ] && echo 130 || echo 143)" $name
        has $name.log 'CANCELED'
    done
    kill -0 "$one_pid" || fail "the holder has ended"
    go
    ended 0 one
    eq 1 "$(runs)" "runs"
    nothing_left "$mark"
}

t_a_step_that_fails_for_one_is_run_by_the_next() {
    held '[ "$(wc -l </c/here)" != 1 ]'
    begin one
    until_so one begun 1
    begin two
    until_so two waits two
    go
    ended 1 one
    ended 0 two
    eq 2 "$(runs)" "runs"
    nothing_left "$mark"
}

t_without_the_cache_a_build_neither_waits_nor_takes_what_another_makes() {
    held
    begin one
    until_so one begun 1
    # --no-cache waits until it can make a cache anew: theirs are others, which is in no key.
    begin two --no-cache --build-arg BUILDKIT_CACHE_MOUNT_NS=two
    until_so two begun 2
    begin three --no-cache --build-arg BUILDKIT_CACHE_MOUNT_NS=three
    until_so three begun 3
    hasnt two.log 'waiting for'
    hasnt three.log 'waiting for'
    go
    ended 0 one two three
    cp two.log log
    ran 'RUN --mount'
    eq 3 "$({ stamp one; stamp two; stamp three; } | sort -u | wc -l)" "different stamps"
    nothing_left "$mark"
}

t_what_a_build_without_the_cache_makes_is_taken_by_one_that_waits() {
    held
    begin one --no-cache
    until_so one begun 1
    begin two
    until_so two waits two
    go
    ended 0 one two
    eq 1 "$(runs)" "runs"
    eq "$(stamp one)" "$(stamp two)" "the stamps"
}

# The same step in several stages, which begin at the same time.
common_steps() {
    dockerfile <<'END'
FROM base:1 AS a
RUN echo began; sleep 0.3; head -c 16 /dev/urandom | od -An -tx1 >/stamp
FROM base:1 AS b
RUN echo began; sleep 0.3; head -c 16 /dev/urandom | od -An -tx1 >/stamp
FROM base:1 AS c
RUN echo began; sleep 0.3; head -c 16 /dev/urandom | od -An -tx1 >/stamp
FROM base:1
COPY --from=a /stamp /a
COPY --from=b /stamp /b
COPY --from=c /stamp /c
END
}

t_a_step_that_several_stages_have_is_run_once() {
    common_steps
    build -t t
    eq 1 "$(runs)" "runs"
    inside sh -c 'cmp /a /b && cmp /a /c' || fail "different stamps"
}

t_without_the_cache_a_step_that_several_stages_have_is_run_once_more() {
    common_steps
    build -t t
    build -t t --no-cache
    eq 1 "$(runs)" "runs"
    inside sh -c 'cmp /a /b && cmp /a /c' || fail "different stamps"
    build -t t --no-cache-filter a,b,c
    eq 1 "$(runs)" "runs"
    inside sh -c 'cmp /a /b && cmp /a /c' || fail "different stamps"
}

t_builds_that_cross_each_other_do_not_lock_each_other_up() {
    # Each has the steps of the other in the other order, the stages side by side; mounts make layers under claims too.
    local i name names=
    mkdir -p ctx/d
    echo 1 >ctx/d/f
    for name in ab ba; do
        {
            for i in $(echo $name | grep -o .); do
                printf 'FROM base:1 AS s%s\nRUN --mount=target=/m,source=d cat /m/f; echo %s >/%s\n' "$i" "$i" "$i"
                printf 'RUN --mount=target=/m,from=base:1 ls /m >/names\n'
            done
            printf 'FROM base:1\nCOPY --from=sa /a /a\nCOPY --from=sb /b /b\nRUN cat /a /b\n'
        } >ctx/Dockerfile
        for i in 1 2; do
            begin $name$i
            names="$names $name$i"
        done
    done
    # shellcheck disable=SC2086 # words
    ended 0 $names
    nothing_left "$W"
}

t_a_known_step_waits_for_nobody() {
    # A hit needs no claim: with the step in the hands of a --no-cache build that does not end, it is given all the same.
    held
    begin one
    until_so one begun 1
    go
    ended 0 one
    find "$SHALE_ROOT" -name go -path '*cache*' -delete
    begin two --no-cache
    until_so two begun 2
    build -t t
    cached 'RUN --mount'
    eq "$(stamp one)" "$(stamp t)" "the stamp"
    kill -0 "$two_pid" || fail "the other build has ended"
    go
    ended 0 two
}

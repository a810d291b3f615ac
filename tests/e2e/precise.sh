# Precise RUN: a step is run again when something that it looked at has changed, and else takes an earlier run's result.
# shellcheck shell=bash disable=SC2016 # what is in single quotes is for the container

# A service whose install step reads one file, looks for another that is not there, and looks at a third.
service() {
    mkdir -p ctx/src ctx/docs
    echo 'dep 1' >ctx/deps.txt
    echo 'print 1' >ctx/src/a
    echo text >ctx/docs/x.md
    echo tool >ctx/tool
    chmod 644 ctx/tool
    echo Dockerfile >ctx/.dockerignore
    dockerfile <<'END'
FROM base:1
WORKDIR /app
COPY . .
RUN cat deps.txt > /installed; [ ! -e lock ] || cat lock >> /installed; stat -c %a tool >> /installed; \
    echo ran >> /runs; head -c 16 /dev/urandom | md5sum > /nonce
END
}

nonce() {
    "$SHALE" run t cat /nonce
}

t_a_source_file_that_is_not_read_changes_and_the_step_is_not_run() {
    service
    build -t t
    ran 'RUN cat'
    local before
    before=$(nonce)
    echo 'print 2' >ctx/src/a
    echo more >ctx/docs/y.md
    build -t t
    ran 'COPY'
    reused 'RUN cat'
    has log 'REUSED (read 1 of 6 copied files; 2 changed files not read: docs/y.md, src/a)'
    eq "$before" "$(nonce)" "what the step left"
    eq 'print 2' "$(inside cat /app/src/a)"
    eq more "$(inside cat /app/docs/y.md)"
}

t_the_image_of_a_reused_step_is_the_one_that_running_it_gives() {
    service
    sed -i 's/; head.*//; s/ran >> .runs/ran > src\/made/' ctx/Dockerfile
    build
    echo 'print 2' >ctx/src/a
    tree reused
    reused 'RUN cat'
    tree honest --no-cache
    ran 'RUN cat'
    same_tree reused honest
}

t_what_is_known_by_its_key_then_is_cached() {
    service
    build -t t
    echo 'print 2' >ctx/src/a
    build -t t
    reused 'RUN cat'
    build -t t
    cached 'RUN cat'
}

t_a_file_that_is_read_changes_and_the_step_runs_and_says_so() {
    service
    build -t t
    echo 'dep 2' >ctx/deps.txt
    build -t t
    ran 'RUN cat'
    eq 'read deps.txt, which changed' "$(why 'RUN cat')"
    has <(inside cat /installed) 'dep 2'
}

t_a_file_that_was_looked_for_comes_and_the_step_runs() {
    service
    build -t t
    echo locked >ctx/lock
    build -t t
    ran 'RUN cat'
    eq 'looked for lock, which is there now' "$(why 'RUN cat')"
    has <(inside cat /installed) locked
    rm ctx/lock
    build -t t
    cached 'RUN cat'
}

t_the_mode_of_a_file_that_was_looked_at_changes_and_the_step_runs() {
    service
    build -t t
    chmod 755 ctx/tool
    build -t t
    ran 'RUN cat'
    eq 'looked at tool, which changed' "$(why 'RUN cat')"
    has <(inside cat /installed) 755
}

t_an_earlier_state_is_known_as_well() {
    service
    build
    echo 'dep 2' >ctx/deps.txt
    build
    echo 'dep 1' >ctx/deps.txt
    echo 'print 3' >ctx/src/a
    build
    reused 'RUN cat'
}

t_a_directory_that_was_listed_gets_another_name_in_it() {
    mkdir -p ctx/src ctx/other
    touch ctx/src/a ctx/src/b ctx/other/a ctx/other/b
    dockerfile <<'END'
FROM base:1
COPY src /src
COPY other /other
RUN echo /src/* > /list
END
    build
    echo 2 >ctx/src/a # only its name was asked for
    echo c >ctx/other/c
    build
    reused 'RUN echo'
    touch ctx/src/n
    build
    ran 'RUN echo'
    eq 'listed /src, where names have come or gone' "$(why 'RUN echo')"
}

t_what_stands_on_a_reused_step_is_known_too() {
    service
    echo 'RUN cat /installed > /second' >>ctx/Dockerfile
    build
    echo 'print 2' >ctx/src/a
    build
    reused 'RUN cat deps' 'RUN cat /installed'
}

t_a_plan_says_that_a_step_will_be_reused() {
    service
    build
    echo 'print 2' >ctx/src/a
    "$SHALE" plan ctx >plan
    has plan 'read 1 of 5 copied files; 1 changed file not read: src/a'
    "$SHALE" plan --json ctx | jq -e '[.steps[] | select(.answer == "reused")] | length == 1' >/dev/null ||
        fail "no step of the plan is reused"
    build
    reused 'RUN cat'
}

t_a_plan_writes_nothing_that_a_build_would() {
    service
    build
    echo 'print 2' >ctx/src/a
    "$SHALE" plan ctx >plan
    "$SHALE" plan ctx >plan2
    cmp plan plan2
}

# ---- what is there to run a step again ----

t_a_single_file_that_the_next_step_does_not_look_at_runs_it_again() {
    echo 1 >ctx/bust
    dockerfile <<'END'
FROM base:1
COPY bust /tmp/bust
RUN echo ran > /ran
RUN echo second > /second
END
    build
    echo 2 >ctx/bust
    build
    ran 'RUN echo ran'
    reused 'RUN echo second' # the first gave the same again; and bust is no business of this one
}

t_an_argument_always_counts() {
    service
    sed -i 's/^RUN/ARG WHAT=1\nRUN/' ctx/Dockerfile
    build
    echo 'print 2' >ctx/src/a
    build --build-arg WHAT=2
    ran 'RUN cat'
}

t_another_base_is_another_step() {
    service
    build
    mkdir d
    echo x >d/new
    tar -C d -cf d.tar .
    "$SHALE" import d.tar layer:1 >/dev/null
    printf 'FROM base:1\nRUN echo two > /two\n' | "$SHALE" build --load=false -t base:2 - >/dev/null 2>&1
    sed -i 's/base:1/base:2/' ctx/Dockerfile
    echo 'print 2' >ctx/src/a
    build
    ran 'RUN cat'
}

t_links_on_the_way_to_the_working_directory_count() {
    mkdir -p ctx/one ctx/two
    ln -s one ctx/work
    dockerfile <<'END'
FROM base:1
COPY . /app
WORKDIR /app/work
RUN pwd -P > /where
END
    build
    ln -sfn two ctx/work
    build -t t
    eq /app/two "$(inside cat /where)"
}

t_the_user_that_a_copied_passwd_names_counts() {
    mkdir ctx/etc
    printf 'root:x:0:0::/root:/bin/sh\nme:x:1000:1000::/:/bin/sh\n' >ctx/etc/passwd
    dockerfile <<'END'
FROM base:1
COPY etc /etc
RUN chmod 777 /tmp
USER me
RUN id -u > /tmp/id
END
    build -t t
    eq 1000 "$(inside cat /tmp/id)"
    sed -i 's/me:x:1000/me:x:2000/' ctx/etc/passwd
    build -t t
    eq 2000 "$(inside cat /tmp/id)"
}

# What a run looks at may depend on what is in no key. The result of one run must not be had by another one's questions.
t_a_result_that_replaced_another_is_not_had_by_the_questions_of_that() {
    mkdir ctx/src
    echo X >ctx/src/x
    echo Y1 >ctx/src/y
    dockerfile <<'END'
FROM base:1
COPY . /w
WORKDIR /w
RUN --mount=type=secret,id=s cat src/$(cat /run/secrets/s) > /out
END
    printf x >"$W/secret"
    build --secret id=s,src="$W/secret"
    printf y >"$W/secret"
    build --secret id=s,src="$W/secret" --no-cache "$@"
    echo Y2 >ctx/src/y
    build -t t --secret id=s,src="$W/secret"
    eq Y2 "$(inside cat /out)"
}

t_neither_when_the_other_run_was_not_observed() {
    t_a_result_that_replaced_another_is_not_had_by_the_questions_of_that --trace=off
}

t_comparing_keeps_no_questions_of_a_run_whose_result_is_not_taken() {
    mkdir ctx/src
    for f in x y z; do echo ${f}1 >ctx/src/$f; done
    dockerfile <<'END'
FROM base:1
COPY . /w
WORKDIR /w
RUN --mount=type=cache,target=/c echo n >> /c/runs; \
    if [ $(( $(wc -l < /c/runs) % 2 )) = 1 ]; then cat src/x > /out; else cat src/y > /out; fi
END
    build -t t
    eq x1 "$(inside cat /out)"
    echo z2 >ctx/src/z
    build --trace=verify
    echo x2 >ctx/src/x
    build -t t
    [ x1 != "$(inside cat /out)" ] || fail "what an earlier x gave"
}

t_a_file_that_has_come_to_be_copied_alone_counts_whole() {
    mkdir ctx/v
    echo 1 >ctx/v/a
    echo 1 >ctx/v/b
    dockerfile <<'END'
FROM base:1
COPY v /v
RUN echo ran > /ran
END
    build
    echo 2 >ctx/v/b
    build
    reused 'RUN echo'
    rm ctx/v/b
    build
    ran 'RUN echo'
    echo 2 >ctx/v/a
    build
    ran 'RUN echo'
    eq '/v/a changed, a file that is copied alone so that this step runs again' "$(why 'RUN echo')"
}

t_the_reason_is_what_the_last_build_looked_at() {
    mkdir ctx/src
    echo 1 >ctx/src/looked
    dockerfile <<'END'
FROM base:1
COPY . /w
WORKDIR /w
RUN [ ! -e conf ] || cat conf; stat -c %a src/looked > /out
END
    build
    echo c >ctx/conf
    build
    rm ctx/conf
    build
    cached 'RUN'
    chmod 600 ctx/src/looked
    build
    eq 'looked at src/looked, which changed' "$(why 'RUN')"
}

t_the_user_stays_who_he_is_without_the_cache() {
    mkdir ctx/src
    echo 1 >ctx/src/a
    dockerfile <<'END'
FROM base:1
COPY . /app
USER app
RUN id -u > /tmp/id; echo $HOME >> /tmp/id; cat /app/src/a > /tmp/mine
END
    for flag in --no-cache --no-cache-filter=stage-0 --trace=on; do
        build -t t $flag
        eq "1000 /home/app" "$(inside cat /tmp/id | xargs)" "with $flag"
        eq 1000 "$(inside stat -c %u /tmp/mine)" "with $flag"
    done
}

# ---- switches ----

t_a_comment_above_an_instruction_switches_it_off() {
    service
    sed -i 's/^RUN/# shale: trace=off\nRUN/' ctx/Dockerfile
    build
    echo 'print 2' >ctx/src/a
    build
    ran 'RUN cat'
}

t_a_flag_switches_it_off_for_a_build() {
    service
    build
    echo 'print 2' >ctx/src/a
    build --trace=off
    ran 'RUN cat'
    echo 'print 3' >ctx/src/a
    SHALE_TRACE=off build
    ran 'RUN cat'
    echo 'print 4' >ctx/src/a
    build
    reused 'RUN cat'
}

t_no_cache_runs_everything() {
    service
    build
    echo 'print 2' >ctx/src/a
    build --no-cache
    ran 'RUN cat'
}

t_what_is_too_old_is_not_used_by_a_step_with_the_network() {
    service
    build
    build --network none
    echo 'print 2' >ctx/src/a
    build --trace-max-age 0
    ran 'RUN cat'
    eq 'what an earlier run looked at is as it was, but that run is older than --trace-max-age' "$(why 'RUN cat')"
    build --trace-max-age 0 --network none
    reused 'RUN cat'
}

# ---- comparing ----

t_verify_runs_a_reused_step_and_finds_it_right() {
    service
    sed -i 's/; head.*//' ctx/Dockerfile
    build --network none
    echo 'print 2' >ctx/src/a
    build --network none --trace verify
    reused 'RUN cat'
    has log 'run again and compared: the same'
    "$SHALE" stats --json | jq -e '."trace.verified" == 1' >/dev/null ||
        { "$SHALE" stats >&2; fail "nothing was verified"; }
}

t_verify_names_a_step_that_is_not_reproducible() {
    service
    build --network none
    echo 'print 2' >ctx/src/a
    build --network none --trace verify
    has log 'run again and compared: it gives something else each time'
    reused 'RUN cat'
}

# What the step got from elsewhere is another thing now, which no observation can show.
t_a_result_that_is_wrong_is_dropped_loudly() {
    service
    cat >ctx/Dockerfile <<'END'
FROM base:1
COPY . /ctx
RUN --mount=type=cache,target=/c [ -e /c/n ] && echo later > /result || echo first > /result; touch /c/n
END
    build --network none
    echo 2 >ctx/src/a
    build -t t --network none --trace verify
    has log 'its observations are dropped'
    ran 'RUN --mount'
    eq later "$(inside cat /result)"
    echo 3 >ctx/src/a
    build -t t --network none
    ran 'RUN --mount'
}

t_a_step_that_fails_when_it_is_compared_is_told() {
    mkdir ctx/src
    echo 1 >ctx/src/a
    dockerfile <<'END'
FROM base:1
COPY . /w
RUN --mount=type=cache,target=/c [ ! -e /c/again ] && touch /c/again && echo made > /made
END
    build
    echo 2 >ctx/src/a
    build --trace=verify
    has log 'run again to compare: it fails now'
    reused 'RUN --mount'
}

t_what_cannot_be_run_to_compare_is_told_and_stands() {
    mkdir ctx/src
    echo 1 >ctx/src/a
    printf s >"$W/secret"
    dockerfile <<'END'
FROM base:1
COPY . /w
RUN --mount=type=bind,target=/ctx --mount=type=tmpfs,target=/t --mount=type=secret,id=s,required=true cat /run/secrets/s
END
    build --secret id=s,src="$W/secret"
    echo 2 >ctx/src/a
    build --trace=verify
    has log 'cannot be run again to compare: secret s: not found'
    reused 'RUN --mount'
}

t_a_sample_compares_as_often_as_it_says() {
    service
    sed -i 's/; head.*//' ctx/Dockerfile
    build
    echo 'print 2' >ctx/src/a
    build --trace-sample=0
    hasnt log 'run again and compared'
    echo 'print 3' >ctx/src/a
    build --trace-sample=100%
    has log 'run again and compared: the same'
}

# ---- mounts ----

t_a_bind_mount_of_the_context_is_looked_at_too() {
    mkdir -p ctx/src
    echo dep >ctx/deps
    echo 1 >ctx/src/a
    dockerfile <<'END'
FROM base:1
RUN --mount=type=bind,target=/ctx cat /ctx/deps > /installed
END
    build -t t
    echo 2 >ctx/src/a
    build -t t
    reused 'RUN --mount'
    echo dep2 >ctx/deps
    build -t t
    ran 'RUN --mount'
    eq 'read /ctx/deps, which changed' "$(why 'RUN --mount')"
    eq dep2 "$(inside cat /installed)"
}

t_files_of_another_stage_are_looked_at_too() {
    mkdir ctx/src
    echo 1 >ctx/src/a
    echo 1 >ctx/src/b
    dockerfile <<'END'
FROM base:1 AS build
COPY src /src
RUN cp -r /src /out
FROM base:1
COPY --from=build /out /app
RUN cat /app/a > /got
END
    build
    echo 2 >ctx/src/b
    build
    ran 'RUN cp'
    reused 'RUN cat /app/a'
    echo 2 >ctx/src/a
    build
    ran 'RUN cat /app/a'
}

# ---- where it cannot be ----

t_without_dev_fuse_steps_run_unobserved_and_doctor_says_so() {
    service
    unshare -m sh -ec 'mount --bind /dev/null /dev/fuse; exec "$@"' _ bash -ec '
        "$SHALE" build --load=false --progress=plain ctx >log 2>&1
        "$SHALE" doctor >doctor' || { cat log doctor >&2; fail "a build without /dev/fuse"; }
    ran 'RUN cat'
    grep -q '^none *trace ' doctor || { cat doctor >&2; fail "doctor says nothing of it"; }
    echo 'print 2' >ctx/src/a
    build
    ran 'RUN cat' # nothing was recorded
}

t_what_was_recorded_is_used_without_dev_fuse() {
    service
    build
    echo 'print 2' >ctx/src/a
    unshare -m sh -ec 'mount --bind /dev/null /dev/fuse; exec "$@"' _ \
        "$SHALE" build --load=false --progress=plain ctx >log 2>&1 || { cat log >&2; fail "a build without /dev/fuse"; }
    reused 'RUN cat'
}

# In a mount namespace of its own: the file system to end connections with. The step waits until that is done.
t_a_server_that_ends_in_mid_step_costs_a_run_and_no_more() {
    service
    sed -i 's/^RUN/RUN cat deps.txt; touch \/w\/begun; while [ ! -e \/w\/go ]; do sleep 0.1; done; cat src\/a > \/seen || true;/' \
        ctx/Dockerfile
    sed -i 's/^RUN/RUN --mount=type=cache,id=w,target=\/w/' ctx/Dockerfile
    unshare -m bash -ec '
        mount -t fusectl none /sys/fs/fuse/connections
        "$SHALE" build --load=false --progress=plain -t t ctx >log 2>&1 &
        build=$!
        for _ in $(seq 600); do
            begun=$(find "$SHALE_ROOT" -name begun)
            [ -z "$begun" ] || break
            sleep 0.1
        done
        ours=$(cat /proc/[0-9]*/mountinfo 2>/dev/null |
            awk -v store="$SHALE_ROOT" '"'"'index($5, store) == 1 && / - fuse / { split($3, id, ":"); print id[2]; exit }'"'"')
        [ -n "$ours" ] || { echo "there is no connection" >&2; kill $build; exit 1; }
        echo 1 >"/sys/fs/fuse/connections/$ours/abort"
        touch "${begun%begun}go"
        wait $build' || { cat log >&2; fail "the build whose server ended"; }
    ran 'RUN --mount'
    has log 'could not be observed'
    eq 'print 1' "$(inside cat /seen)"
    echo 'doc' >ctx/docs/x.md
    build
    ran 'RUN --mount' # nothing was recorded
    nothing_left "$W/ctx"
}

t_a_step_that_fails_is_not_kept() {
    service
    echo 'RUN cat src/a; false' >>ctx/Dockerfile
    build_fails
    echo 'doc' >ctx/docs/x.md
    build_fails
    says 'did not complete successfully'
}

t_a_step_that_reads_everything_is_no_longer_observed() {
    mkdir ctx/src
    for n in 1 2 3 4 5; do echo $n >ctx/src/$n; done
    dockerfile <<'END'
FROM base:1
COPY src /src
RUN cat /src/* > /all
END
    for n in 1 2 3 4 5; do
        echo x$n >ctx/src/1
        build
        ran 'RUN cat'
    done
    "$SHALE" stats --json | jq -e '."trace.runs" == 3 and ."trace.wide" == 2' >/dev/null ||
        { "$SHALE" stats >&2; fail "it is observed all the same"; }
    for n in $(seq 18); do # the twentieth that is not observed is
        echo y$n >ctx/src/1
        build
    done
    "$SHALE" stats --json | jq -e '."trace.runs" == 4 and ."trace.wide" == 19' >/dev/null ||
        { "$SHALE" stats >&2; fail "it is never observed again"; }
}

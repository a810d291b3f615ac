# What is known and what must run: a hit is always what a run without the cache would give.
# shellcheck shell=bash disable=SC2016 # what is in single quotes is for the container

# Three layers: two files, a step that reads only the first, a step that reads all.
service() {
    mkdir -p ctx/src
    echo dep >ctx/deps
    echo 'print 1' >ctx/src/a
    echo 'print 2' >ctx/src/b
    echo Dockerfile >ctx/.dockerignore
    dockerfile <<'END'
FROM base:1
WORKDIR /app
COPY deps ./
RUN cat deps > installed; head -c 8 /dev/urandom | od -An -tx1 > stamp
COPY . .
RUN cat src/* > all && ls -lR --full-time src > names 2>&1 || true
CMD ["cat", "all"]
END
}

t_an_unchanged_rebuild_runs_nothing() {
    service
    build -t t
    ran 'WORKDIR /app' 'COPY deps' 'RUN cat deps' 'COPY . .' 'RUN cat src'
    inside cat /app/stamp >stamp
    cp out first.out
    build -t t
    all_cached
    cached 'WORKDIR /app' 'COPY deps' 'RUN cat deps' 'COPY . .' 'RUN cat src'
    inside cat /app/stamp | cmp - stamp
}

t_an_unchanged_rebuild_gives_the_same_image_id() {
    service
    shale build -q --load=false -t t ctx >first
    # A time of the second build would be another one.
    sleep 1.1
    shale build -q --load=false -t t ctx >second
    grep -qE '^sha256:[0-9a-f]{64}$' first
    cmp first second
}

t_source_date_epoch_gives_one_image_id_whether_steps_are_known_or_not() {
    service
    shale build -q --load=false -t t ctx >plain
    SOURCE_DATE_EPOCH=1000 shale build -q --load=false -t t ctx >known
    SOURCE_DATE_EPOCH=2000 shale build -q --load=false -t t ctx >later
    SOURCE_DATE_EPOCH=1000 shale build -q --load=false -t t ctx >again
    shale build -q --load=false -t t ctx >last
    cmp known again
    cmp plain last
    cmp -s known later && fail "the time is not in the image"
    cmp -s known plain && fail "the time is not in the image"
    local bad
    for bad in 1x -1 99999999999999; do
        SOURCE_DATE_EPOCH=$bad shale build -q --load=false ctx 2>log && fail "'$bad' is taken"
        grep -qe "invalid SOURCE_DATE_EPOCH: $bad" log
    done
}

t_an_edited_file_runs_what_comes_after_it() {
    service
    build -t t
    echo 'print 3' >ctx/src/b
    build -t t
    cached 'WORKDIR /app' 'COPY deps' 'RUN cat deps'
    ran 'COPY . .' 'RUN cat src'
    eq $'print 1\nprint 3' "$(inside)"
}

t_an_edit_right_after_the_scan_is_seen() {
    # Within the clock's granularity the stat data may be those of the file that was hashed.
    printf 'FROM base:1\nCOPY f /f\n' | dockerfile
    local i
    for i in $(seq 10); do
        echo "$i" >ctx/f
        build -t t
        printf '%s\n' "${i//[0-9]/x}" >ctx/f
        tree files
        cmp ctx/f files/f
    done
}

t_a_new_time_alone_is_no_change() {
    service
    build -t t
    find ctx -exec touch -d '2010-01-01' {} +
    build -t t
    all_cached
}

t_a_mode_a_name_a_link_and_a_kind_are_changes() {
    mkdir ctx/d
    echo x >ctx/d/f
    ln -s f ctx/d/l
    printf 'FROM base:1\nCOPY d /d\nRUN ls -l /d\n' | dockerfile
    local change
    tree before
    for change in 'chmod 600 ctx/d/f' 'mv ctx/d/f ctx/d/g' 'ln -sfn g ctx/d/l' 'rm ctx/d/g' \
        'mkdir ctx/d/g' 'mkdir ctx/d/empty' 'chmod 700 ctx/d/empty'; do
        $change
        tree after
        eq DONE "$(how 'COPY d /d')" "the step after '$change'"
        build
        all_cached
        tree without --no-cache
        same_tree after without
    done
}

t_an_ignored_file_is_no_change() {
    service
    echo '*.log' >>ctx/.dockerignore
    build -t t
    echo noise >ctx/x.log
    build -t t
    all_cached
}

t_without_the_cache_everything_runs_and_gives_the_same() {
    service
    sed -i 's/; head.*stamp//; s/ && ls.*//' ctx/Dockerfile
    tree first
    tree again
    all_cached
    tree second --no-cache
    ran 'COPY deps' 'RUN cat deps' 'COPY . .' 'RUN cat src'
    same_tree first second
    same_tree first again
}

t_no_cache_filter_names_stages() {
    dockerfile <<'END'
FROM base:1 AS one
RUN echo 1 > /1
FROM base:1 AS two
COPY --from=one /1 /1
RUN echo 2 > /2
END
    build
    build --no-cache-filter two
    cached 'RUN echo 1'
    ran 'RUN echo 2'
}

t_a_build_arg_counts_from_its_declaration_on() {
    dockerfile <<'END'
FROM base:1
RUN echo before > /before
ARG v=0
RUN echo after > /after
END
    build --build-arg v=1
    build --build-arg v=2
    cached 'RUN echo before'
    ran 'RUN echo after'
    build --build-arg v=1
    all_cached
    build --build-arg v=1 --build-arg other=2
    all_cached
}

t_labels_and_commands_disturb_no_step() {
    printf 'FROM base:1\nLABEL a=1\nCMD ["x"]\nRUN echo 1 > /1\n' | dockerfile
    build -t t
    printf 'FROM base:1\nLABEL a=2\nCMD ["y"]\nEXPOSE 1\nRUN echo 1 > /1\n' | dockerfile
    build -t t --label more=1
    cached 'RUN echo 1'
}

t_env_user_and_workdir_count_for_a_run() {
    local line
    printf 'FROM base:1\nRUN pwd; id; env\n' | dockerfile
    build
    for line in 'ENV a=1' 'ENV a=2' 'USER app' 'WORKDIR /opt' 'SHELL ["/bin/sh","-x","-c"]'; do
        printf 'FROM base:1\n%s\nRUN pwd; id; env\n' "$line" | dockerfile
        build
        ran 'RUN pwd'
        build
        cached 'RUN pwd'
    done
}

t_equal_content_from_a_step_that_ran_again_disturbs_nothing_above() {
    echo same-1 >ctx/f
    dockerfile <<'END'
FROM base:1 AS make
COPY f /f
RUN head -c 4 /f > /out
FROM base:1
COPY --from=make /out /out
RUN cat /out > /done
END
    build -t t
    echo same-2 >ctx/f
    build -t t
    ran 'COPY f /f' 'RUN head'
    cached 'COPY --from=make' 'RUN cat /out'
}

t_a_copied_layer_is_the_same_on_another_base() {
    echo f >ctx/f
    printf 'FROM base:1\nRUN echo 1 > /1\nCOPY f /srv/f\n' | dockerfile
    oci
    layer_ids | tail -n 1 >first
    printf 'FROM base:1\nRUN echo 2 > /2\nCOPY f /srv/f\n' | dockerfile
    oci
    ran 'RUN echo 2'
    layer_ids | tail -n 1 | cmp - first
}

t_chown_by_name_counts_the_users_of_the_image() {
    echo f >ctx/f
    printf 'FROM base:1\nCOPY --chown=app f /f\n' | dockerfile
    build -t t
    eq 1000 "$(inside stat -c %u /f)"
    printf 'FROM base:1\nRUN sed -i s/1000:1001/2000:2001/ /etc/passwd\nCOPY --chown=app f /f\n' | dockerfile
    build -t t
    eq 2000 "$(inside stat -c %u /f)"
}

t_a_failed_step_is_run_again() {
    service
    printf 'RUN echo will fail; false\n' >>ctx/Dockerfile
    build_fails
    build_fails
    cached 'WORKDIR /app' 'COPY deps' 'RUN cat deps' 'COPY . .' 'RUN cat src'
    eq ERROR "$(how 'RUN echo will fail')" "the failing step"
    sed -i '$d' ctx/Dockerfile
    build -t t
    all_cached
}

t_lost_trees_cost_nothing_but_work() {
    service
    build -t t
    inside >before
    rm -rf "$SHALE_ROOT"/trees/*
    build -t t
    all_cached
    inside | cmp - before
    rm -rf "$SHALE_ROOT"/trees/*
    echo 'print 9' >ctx/src/b
    build -t t
    eq $'print 1\nprint 9' "$(inside)"
}

t_a_damaged_blob_never_gives_a_wrong_image() {
    service
    build -t t
    tree before
    rm -rf "$SHALE_ROOT"/trees/*
    local blob
    # The largest blobs are layers; a byte in the middle of each is turned.
    find "$SHALE_ROOT/blobs" -type f -printf '%s %p\n' | sort -n | tail -n 3 | while read -r size blob; do
        chmod u+w "$blob"
        printf '\xff' | dd of="$blob" bs=1 seek=$((size / 2)) conv=notrunc status=none
    done
    if build -o type=local,dest=after; then
        # The step with the random stamp may have run again.
        rm before/app/stamp after/app/stamp
        same_tree before after
    else
        grep -q '^ERROR: .' log
    fi
}

t_damage_that_shows_in_the_middle_of_a_build_costs_steps_only() {
    service
    build -t t
    rm -rf "$SHALE_ROOT"/trees/*
    local blob base
    base=$(find "$SHALE_ROOT/blobs" -type f -printf '%s %p\n' | sort -n | tail -n 1 | cut -d' ' -f2)
    # zstd frames: the layers, above all
    find "$SHALE_ROOT/blobs" -type f | while read -r blob; do
        [ "$blob" != "$base" ] && [ "$(head -c 4 "$blob" | od -An -tx1)" = " 28 b5 2f fd" ] || continue
        chmod u+w "$blob"
        printf 'XX' | dd of="$blob" bs=1 seek=20 conv=notrunc status=none
    done
    echo 'RUN cat all' >>ctx/Dockerfile
    build -t t
    grep -q 'the build begins again' log
    eq $'print 1\nprint 2' "$(inside)"
    build -t t
    all_cached
}

t_a_lost_index_costs_answers_only() {
    service
    build -t t
    rm -f "$SHALE_ROOT"/shale.db*
    shale import --change 'ENV PATH=/usr/local/bin:/bin' --change 'CMD ["/bin/sh"]' \
        "$TEMPLATE/base.tar" base:1
    build -t t
    eq $'print 1\nprint 2' "$(inside)"
}

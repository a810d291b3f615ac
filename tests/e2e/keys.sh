# What is in a key and what is not; the worked examples of docs/cache-keys.md.
# shellcheck shell=bash disable=SC2016 # what is in single quotes is for the container

t_names_that_become_one_file_are_a_change_for_what_runs_on_them() {
    # equal in content: the layers have one content id
    local link
    for link in 'cp -p' ln; do
        printf 'FROM base:1\nRUN mkdir /d; echo x >/d/a; %s /d/a /d/b\nRUN stat -c %%h /d/a >/n; tar -C /d -c a b | wc -c >>/n\n' \
            "$link" | dockerfile
        build -t t
        inside cat /n >known
        tree known.tree
        tree without --no-cache
        cmp known without/n
    done
    build
    all_cached
}

t_names_that_become_one_file_are_a_change_for_what_mounts_them() {
    local link path
    for path in /d / /d/a; do
        for link in 'cp -p' ln; do
            printf 'FROM base:1 AS s\nRUN mkdir /d; echo x >/d/a; %s /d/a /d/b\nFROM base:1\n' "$link" >ctx/Dockerfile
            printf 'RUN --mount=from=s,source=%s,target=/m stat -c %%h $(find /m -xdev -type f -name a -o -path /m -type f) >/n\n' "$path" >>ctx/Dockerfile
            tree known
            tree without --no-cache
            cmp known/n without/n
        done
        eq 2 "$(cat known/n)"
    done
}

t_a_copy_layer_is_the_same_on_another_base() {
    mkdir -p ctx/d/e
    echo f >ctx/d/e/f
    local change
    printf 'FROM base:1\nCOPY d /srv/d\nCOPY --chown=7:8 d /root/d\n' | dockerfile
    oci
    layer_ids | tail -n 2 >first
    for change in 'RUN echo 2 >/2' 'ENV a=1' 'RUN rm -r /opt' 'RUN chmod 711 /opt /home' 'RUN touch -d 1999-01-01 /root /'; do
        printf 'FROM base:1\n%s\nCOPY d /srv/d\nCOPY --chown=7:8 d /root/d\n' "$change" | dockerfile
        oci
        cached 'COPY d' 'COPY --chown'
        layer_ids | tail -n 2 | cmp - first || fail "other layers after $change"
    done
    # What the layer repeats of the base is another matter: the directories on the way.
    printf 'FROM base:1\nRUN chmod 750 /root\nCOPY d /srv/d\nCOPY --chown=7:8 d /root/d\n' | dockerfile
    oci
    cached 'COPY d'
    ran 'COPY --chown'
    printf 'FROM base:1\nRUN ln -s /opt /srv\nCOPY d /srv/d\nRUN ls -l /opt/d\n' | dockerfile
    build
    ran 'COPY d'
}

t_a_run_that_gives_the_same_content_does_not_disturb_what_follows() {
    local command
    after() { # after COMMAND: a build in which it comes before the others
        printf 'FROM base:1\nRUN %s >/same\nRUN cat /same; head -c 16 /dev/urandom >/after\nCOPY f /f\nRUN cat /f\n' "$1" | dockerfile
        build -t t
        ran "RUN $1"
    }
    echo 1 >ctx/f
    after 'echo n'
    inside cat /after >first
    for command in 'seq 1 | tr 1 n' 'sleep 0.1; echo n' 'umask 022; echo n'; do
        after "$command"
        cached 'RUN cat /same' 'COPY f' 'RUN cat /f'
        inside cat /after | cmp - first
    done
    # with other content, or another mode, it does
    for command in 'echo m' 'umask 077; echo n' 'mkdir /other; echo n'; do
        after "$command"
        ran 'RUN cat /same'
        cached 'COPY f'
        inside cat /after | cmp -s - first && fail "the result of something else was taken"
    done
    return 0
}

t_the_documents_digests_follow_from_its_fields() {
    python3 "$PROJECT/tests/e2e/lib/keys.py" recompute "$PROJECT/docs/cache-keys.md" >out
    [ "$(sed -n 's/ examples$//p' out)" -ge 16 ] || fail "only $(cat out)"
    # and no others would
    sed 's/^run.cwd: \/work$/run.cwd: \/wark/' "$PROJECT/docs/cache-keys.md" >other.md
    ! python3 "$PROJECT/tests/e2e/lib/keys.py" recompute other.md 2>log || fail "another directory gives the same key"
    eq 1 "$(grep -c 'not so' log)" "complaints"
}

t_the_documents_examples_are_what_shale_does() {
    python3 "$PROJECT/tests/e2e/lib/keys.py" build "$PROJECT/docs/cache-keys.md" "$SHALE" "$W/keys"
}

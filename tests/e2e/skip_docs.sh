# --skip-docs: a change of documentation alone keeps the last image; anything else does not.
# shellcheck shell=bash

service() {
    mkdir -p ctx/src ctx/docs
    echo 'print 1' >ctx/src/a
    echo readme >ctx/README.md
    echo text >ctx/docs/x.md
    echo Dockerfile >ctx/.dockerignore
    dockerfile <<'END'
FROM base:1
WORKDIR /app
COPY . .
RUN cat src/a > all
END
    first
}

# first [FLAG...]: what is built now is the last image.
first() {
    shale build -q --load=false -t t "$@" ctx >first
}

# skips [FLAG...]: the last image is the result, and it is said why.
skips() {
    shale build --progress=plain --load=false --skip-docs --iidfile iid -t t "$@" ctx >out 2>log || fail "$(cat log)"
    has log "only documentation changed"
    eq "$(cat first)" "$(cat iid)" "the image"
    hasnt log 'RUN cat'
}

# builds [FLAG...]: it is built as ever, and what comes of it is the last image.
builds() {
    rm -f iid
    shale build --progress=plain --load=false --skip-docs --iidfile iid -t t "$@" ctx >out 2>log || fail "$(cat log)"
    hasnt log "only documentation changed"
    [ "$(cat first)" != "$(cat iid)" ] || fail "the old image is the result"
    cp iid first
}

t_documentation_alone_keeps_the_image() {
    service
    echo more >>ctx/README.md
    echo more >>ctx/docs/x.md
    echo new >ctx/docs/y.txt
    skips
    has log "(README.md changed; docs/x.md changed; new file docs/y.txt): the last image stands"
    eq readme "$(shale run t cat /app/README.md)"
    rm ctx/docs/y.txt ctx/README.md
    skips
    mkdir ctx/docs/deep
    touch ctx/docs/deep/z
    skips
    rm -r ctx/docs
    skips
    chmod 600 ctx/src/a
    builds
}

t_without_the_flag_the_image_has_the_new_text() {
    service
    echo more >>ctx/README.md
    build -t t
    hasnt log "only documentation"
    shale run t cat /app/README.md >text
    has text more
}

t_every_output_is_still_given() {
    service
    echo more >>ctx/README.md
    skips -t second:1 --metadata-file meta -o type=oci,dest=t.tar -o type=image
    eq "$(cat first)" "$(jq -r '."containerimage.config.digest"' meta)"
    eq "$(cat first)" "$(shale images -q --no-trunc second)"
    mkdir oci
    tar -C oci -xf t.tar
    eq "$(cat first)" "$(jq -r .config.digest "$(oci_manifest)")"
}

t_any_other_change_brings_the_new_text_too() {
    service
    echo more >>ctx/README.md
    echo 'print 2' >ctx/src/a
    builds
    shale run t cat /app/README.md >text
    has text more
    echo again >>ctx/README.md
    skips
}

t_a_change_of_the_dockerfile_or_the_command_line_is_another_change() {
    service
    echo more >>ctx/README.md
    echo 'CMD ["true"]' >>ctx/Dockerfile
    builds
    echo more >>ctx/README.md
    builds --label a=b
    echo more >>ctx/README.md
    builds --label a=c
}

t_a_label_that_names_the_commit_does_not_count() {
    local rev=org.opencontainers.image.revision
    service
    first --label $rev=1
    echo more >>ctx/README.md
    skips --label $rev=2
}

t_a_file_that_its_own_copy_names_is_no_documentation() {
    service
    echo 'COPY README.md /usr/share/' >>ctx/Dockerfile
    first
    echo more >>ctx/README.md
    builds
    echo more >>ctx/docs/x.md
    skips
    sed -i 's,^COPY README.md.*,COPY docs /d/,' ctx/Dockerfile
    first
    echo more >>ctx/docs/x.md
    builds
    echo more >>ctx/README.md
    skips
    sed -i 's,^COPY docs.*,COPY *.md /d/,' ctx/Dockerfile
    first
    echo more >>ctx/README.md
    builds
}

t_a_file_that_two_sources_bring_is_documentation_only_when_neither_names_it() {
    service
    sed -i 's,^COPY.*,COPY . README.md /app/,' ctx/Dockerfile
    first
    echo more >>ctx/README.md
    builds
    # what a pattern finds is meant
    sed -i 's,^COPY.*,COPY src* * /app/src/,' ctx/Dockerfile
    first
    echo more >>ctx/README.md
    builds
    ln -s README.md ctx/link.txt
    sed -i 's,^COPY.*,COPY . link.txt /app/,' ctx/Dockerfile
    first
    echo more >>ctx/README.md
    builds
}

t_a_link_is_no_documentation() {
    service
    mkdir ctx/other
    ln -s ../src ctx/docs/link
    printf 'WORKDIR /app/docs/link\nRUN pwd -P >/where\n' >>ctx/Dockerfile
    first
    ln -sfn ../other ctx/docs/link
    builds
}

t_a_file_that_another_source_hid_or_hides_is_no_documentation() {
    service
    mkdir ctx/data
    echo data >ctx/data/README.md
    sed -i 's,^COPY.*,COPY . data /app/,' ctx/Dockerfile
    first
    rm ctx/data/README.md
    builds
    echo data >ctx/data/README.md
    builds
}

t_what_a_mount_shows_is_no_documentation() {
    service
    echo 'RUN --mount=target=/m cat /m/README.md' >>ctx/Dockerfile
    first
    echo more >>ctx/README.md
    builds
}

t_patterns_are_those_of_an_ignore_file() {
    service
    mkdir ctx/sub
    echo x >ctx/sub/README.md
    first
    echo more >>ctx/sub/README.md
    builds
}

t_the_configuration_file_says_what_documentation_is() {
    service
    printf '# ours\n\ndocs = **/*.txt  notes/**\nnosuch = 1\n' >shale.conf
    mkdir ctx/src/texts
    echo x >ctx/src/texts/b.txt
    first
    echo more >>ctx/src/texts/b.txt
    export SHALE_CONFIG=$W/shale.conf
    # the file alone is enough
    shale build --progress=plain --load=false --iidfile iid -t t ctx >out 2>log
    has log "only documentation changed (src/texts/b.txt changed)"
    has log "'nosuch' is not known"
    eq "$(cat first)" "$(cat iid)"
    SHALE_SKIP_DOCS=0 shale build --progress=plain --load=false --iidfile iid -t t ctx >out 2>log
    hasnt log "only documentation"
    cp iid first
    echo more >>ctx/README.md
    builds
    echo 'docs' >shale.conf
    shale build -q --load=false ctx >out 2>err && fail "no line of KEY = VALUE"
    has err "line 1: it is no KEY = VALUE"
    SHALE_CONFIG=$W/none shale build -q --load=false ctx >out 2>err && fail "the named file is not there"
    has err "none"
}

t_a_plan_knows_it_too() {
    local status=0
    service
    echo more >>ctx/README.md
    shale plan --exit-code -t t ctx >plan.out || status=$?
    eq 10 $status
    shale plan --exit-code --skip-docs -t t ctx >plan.out || fail "something to do"
    has plan.out "nothing to do: only documentation changed (README.md changed)"
    SHALE_SKIP_DOCS=1 shale plan --json -t t ctx >plan.json
    jq -e '.up_to_date and .docs_skipped == "README.md changed"' plan.json
    status=0
    shale plan --exit-code --skip-docs -t t2 ctx >plan.out || status=$?
    eq 10 $status "a new name"
}

t_a_failed_build_in_between_is_not_compared_with() {
    service
    echo more >>ctx/README.md
    echo 'RUN false' >>ctx/Dockerfile
    build_fails --skip-docs -t t
    sed -i '$d' ctx/Dockerfile
    skips
}

t_a_base_that_moved_is_another_change() {
    service
    printf 'FROM base:1\nRUN touch /new\n' | shale build -q --load=false -t base:1 - >out
    echo more >>ctx/README.md
    builds
}

t_a_change_of_the_ignore_file_is_another_change() {
    service
    printf '%s\n' Dockerfile .dockerignore >ctx/.dockerignore
    first
    printf '%s\n' Dockerfile .dockerignore docs >ctx/.dockerignore
    builds
    shale run t ls /app >files
    hasnt files docs
    printf '%s\n' Dockerfile .dockerignore >ctx/.dockerignore
    builds
}

t_a_change_of_the_instruction_is_another_change() {
    service
    sed -i 's,^COPY.*,COPY --exclude=README.md . .,' ctx/Dockerfile
    first
    sed -i 's,^COPY.*,COPY . .,' ctx/Dockerfile
    builds
    dockerfile <<'END'
FROM base:1 AS src
COPY . /src
FROM base:1
COPY --from=src /src/src /s
END
    first
    sed -i 's,^COPY .*/src$,COPY --exclude=docs . /src,' ctx/Dockerfile
    echo more >>ctx/docs/x.md
    shale build --progress=plain --load=false --skip-docs -t t ctx >out 2>log
    hasnt log "only documentation changed"
}

t_what_is_picked_out_of_another_stage_is_no_documentation() {
    service
    dockerfile <<'END'
FROM base:1 AS src
COPY . /src
FROM base:1
COPY --from=src /src/README.md /usr/share/README.md
END
    first
    echo more >>ctx/README.md
    builds
    sed -i 's,^COPY --from.*,RUN --mount=from=src\,source=/src/README.md\,target=/m cat /m >/out,' ctx/Dockerfile
    first
    echo more >>ctx/README.md
    builds
    sed -i 's,^RUN.*,COPY --from=src /src/docs /d,' ctx/Dockerfile
    first
    echo more >>ctx/docs/x.md
    builds
    sed -i 's,^COPY --from.*,COPY --from=src /src/*.md /d/,' ctx/Dockerfile
    first
    echo more >>ctx/README.md
    builds
    sed -i 's,^COPY --from.*,COPY --from=src --exclude=src /src /d,' ctx/Dockerfile
    first
    echo more >>ctx/README.md
    builds
}

t_what_goes_through_two_stages_is_no_documentation() {
    service
    dockerfile <<'END'
FROM base:1 AS a
COPY . /src
FROM base:1 AS b
COPY --from=a /src /all
FROM base:1
COPY --from=b /all/README.md /usr/README.md
END
    first
    echo more >>ctx/README.md
    builds
    sed -i 's,^COPY --from=b.*,RUN --mount=from=b\,source=/all/README.md\,target=/m cat /m >/out,' ctx/Dockerfile
    first
    echo more >>ctx/README.md
    builds
}

t_what_a_stage_makes_or_hands_on_whole_may_stand_beside_documentation() {
    service
    dockerfile <<'END'
FROM base:1 AS src
COPY . /src
RUN cat /src/src/a > /out
FROM base:1
COPY --from=src /out /out
COPY --from=src /src /all
END
    first
    echo more >>ctx/README.md
    skips
}

t_hard_links_beside_documentation_are_another_change() {
    service
    echo same >ctx/src/b
    cp -p ctx/src/b ctx/src/c
    first
    ln -f ctx/src/b ctx/src/c
    echo more >>ctx/README.md
    builds
}

t_a_context_of_nothing_but_documentation_is_none() {
    service
    sed -i '/^RUN/d; s,^COPY.*,COPY --exclude=src . .,' ctx/Dockerfile
    first
    echo more >>ctx/README.md
    builds
    rm -r ctx/src
    sed -i 's,^COPY.*,COPY . .,' ctx/Dockerfile
    first
    echo more >>ctx/README.md
    builds
    sed -i 's,^COPY.*,COPY docs/* /x/,' ctx/Dockerfile
    touch ctx/other
    first
    echo more >>ctx/docs/x.md
    builds
}

t_a_trial_that_fails_leaves_no_trace() {
    service
    dockerfile <<'END'
FROM base:1 AS src
COPY . /src
FROM base:1
COPY --from=src /src/src /x
END
    first
    echo new >ctx/docs/NEW.md
    sed -i 's,^COPY --from.*,COPY --chown=nobody9 --from=src /src/docs/NEW.md /x,' ctx/Dockerfile
    builds
    hasnt log ERROR
    eq 1 "$(grep -c 'nobody9.*root is taken' log)" "warnings"
}

t_many_changes_are_one_short_line() {
    service
    touch ctx/docs/{a,b,c,d,e,f}.md
    skips
    has log "(new file docs/a.md; new file docs/b.md; new file docs/c.md; and 3 more)"
}

t_an_image_that_is_gone_is_built() {
    service
    cp first old
    shale rmi t >/dev/null
    rm -r "$SHALE_ROOT/blobs/sha256" "$SHALE_ROOT/trees"
    mkdir "$SHALE_ROOT/blobs/sha256" "$SHALE_ROOT/trees"
    shale import "$TEMPLATE/base.tar" base:1 >/dev/null
    echo more >>ctx/README.md
    builds
}

t_bad_patterns_are_told_at_once() {
    service
    echo 'docs = [a' >shale.conf
    SHALE_CONFIG=$W/shale.conf shale build -q --load=false ctx >out 2>err && fail "a bad pattern is taken"
    has err "docs = ..."
}

t_a_home_that_cannot_be_read_has_no_configuration() {
    service
    HOME=/dev/null build
}

t_documentation_that_a_step_was_seen_to_look_at_is_another_change() {
    service
    echo 'RUN wc -c < README.md > size; ls docs > pages' >>ctx/Dockerfile
    first
    echo more >>ctx/docs/x.md
    builds # ls asks for the attributes of each
    echo more >>ctx/README.md
    builds
    echo x >ctx/CHANGELOG # nobody has looked at it, nor listed the directory
    skips
    touch ctx/docs/new
    builds
}

t_of_a_step_that_was_not_observed_nothing_is_known() {
    service
    echo 'RUN wc -c < README.md > size' >>ctx/Dockerfile
    export SHALE_TRACE=off
    first
    echo more >>ctx/README.md
    skips
}

# Why a step is made again: one line in the progress, and shale explain.
# shellcheck shell=bash disable=SC2016 # what is in single quotes is for the container

service() {
    mkdir -p ctx/src ctx/docs
    echo dep >ctx/deps
    echo 'print 1' >ctx/src/a
    echo text >ctx/docs/x.md
    echo Dockerfile >ctx/.dockerignore
    dockerfile <<'END'
FROM base:1
ARG VERSION=1.2
ENV MODE=fast
COPY deps /deps
RUN cat /deps > /installed
COPY . /app/
RUN echo $VERSION
END
}

t_a_first_build_has_nothing_to_compare_with() {
    service
    build -t t
    hasnt log ' => '
}

t_a_file_that_changed_is_named() {
    export SHALE_TRACE=off # the reasons of exact keys
    service
    build
    echo 'print 2' >ctx/src/a
    build
    eq "src/a changed" "$(why 'COPY . /app')"
    eq "src/a changed (COPY . /app/)" "$(why 'RUN echo')"
    cached 'COPY deps' 'RUN cat'
}

t_a_new_file_and_one_that_is_gone_are_named() {
    service
    build
    echo new >ctx/docs/y.md
    build
    eq "new file docs/y.md" "$(why 'COPY . /app')"
    rm ctx/docs/y.md ctx/src/a
    touch ctx/src/b
    build
    eq "/app/docs/y.md is gone; /app/src/a is gone; and 1 more" "$(why 'COPY . /app')"
}

t_a_mode_a_type_and_a_link_are_told_apart() {
    service
    ln -s deps ctx/link
    build
    chmod 600 ctx/src/a
    build
    eq "mode of src/a 644 → 600" "$(why 'COPY . /app')"
    ln -sfn src ctx/link
    build
    eq "link changed" "$(why 'COPY . /app')"
    rm ctx/src/a
    mkdir ctx/src/a
    build
    eq "src/a is a directory now" "$(why 'COPY . /app')"
}

t_many_files_are_one_line() {
    service
    build
    touch ctx/src/{b,c,d,e,f}
    build
    eq "new file src/b; new file src/c; and 3 more" "$(why 'COPY . /app')"
}

t_a_variable_is_told_with_both_values() {
    service
    build
    build --build-arg VERSION=1.3
    eq "ARG VERSION 1.2 → 1.3" "$(why 'RUN cat')"
    sed -i 's/MODE=fast/MODE=slow/' ctx/Dockerfile
    build --build-arg VERSION=1.3
    eq "ENV MODE fast → slow" "$(why 'RUN cat')"
    sed -i 's/^ENV.*/&\nENV MORE=1/' ctx/Dockerfile
    build --build-arg VERSION=1.3
    eq "new ENV MORE=1" "$(why 'RUN cat')"
    sed -i '/MORE/d' ctx/Dockerfile
    build --build-arg VERSION=1.4
    # what it was before the last build is of no interest
    eq "ARG VERSION 1.3 → 1.4; variable MORE is gone" "$(why 'RUN cat')"
}

t_another_base_is_told() {
    service
    build
    printf 'FROM base:1\nRUN touch /new\n' | shale build -q --load=false -t base:2 - >out
    sed -i 's/base:1/base:2/' ctx/Dockerfile
    build
    cached 'COPY deps'
    eq "base image is another one" "$(why 'RUN cat')"
}

t_a_command_and_new_steps_are_told() {
    service
    build
    sed -i 's/^RUN cat/RUN exec cat/' ctx/Dockerfile
    build
    eq "the command changed" "$(why 'RUN exec cat')"
    sed -i 's/^COPY deps.*/&\nRUN touch \/new/' ctx/Dockerfile
    build
    eq "it is a new step" "$(why 'RUN touch')"
    eq "new before it: RUN touch /new" "$(why 'RUN exec cat')"
}

t_a_user_is_told() {
    service
    sed -i 's/^RUN cat.*/USER 7\nRUN id/' ctx/Dockerfile
    build
    sed -i 's/^USER 7/USER 8/' ctx/Dockerfile
    build
    eq "USER 7 → 8" "$(why 'RUN id')"
}

t_a_step_that_gave_other_files_is_named() {
    service
    sed -i 's/^RUN cat.*/RUN head -c 8 \/dev\/urandom > \/random/' ctx/Dockerfile
    sed -i 's/^FROM.*/& AS main/' ctx/Dockerfile
    build
    build --no-cache
    build
    all_cached
    printf 'RUN cat /random\n' >>ctx/Dockerfile
    build
    eq "it is a new step" "$(why 'RUN cat /random')"
}

t_a_mount_and_a_here_document_are_told() {
    export SHALE_TRACE=off # the reasons of exact keys
    service
    dockerfile <<'END'
FROM base:1
RUN --mount=target=/m,source=src cat /m/a
RUN <<EOF
echo one
EOF
END
    build
    echo 'print 2' >ctx/src/a
    build
    eq "what a mount shows changed" "$(why 'RUN --mount')"
    sed -i 's/echo one/echo two/' ctx/Dockerfile
    build
    eq "the command changed" "$(why 'RUN <<EOF')"
}

t_no_cache_is_a_reason() {
    service
    build
    build --no-cache
    eq "--no-cache" "$(why 'RUN cat')"
    sed -i 's/^FROM.*/& AS main/' ctx/Dockerfile
    build --no-cache-filter main
    eq "--no-cache-filter" "$(why 'RUN cat')"
}

t_what_has_left_the_store_is_told() {
    service
    build
    rm -r "$SHALE_ROOT/blobs/sha256" "$SHALE_ROOT/trees"
    mkdir "$SHALE_ROOT/blobs/sha256" "$SHALE_ROOT/trees"
    shale import "$TEMPLATE/base.tar" base:1 >/dev/null
    build
    eq "what it gave is no longer in the store" "$(why 'COPY deps')"
}

t_a_step_that_failed_is_compared_too() {
    export SHALE_TRACE=off # the reasons of exact keys
    service
    build
    echo 'RUN grep 2 /app/src/a' >>ctx/Dockerfile
    build_fails
    eq "it is a new step" "$(why 'RUN grep')"
    shale explain >explained
    has explained 'failed'
    shale explain 6 >explained
    has explained 'grep 2 /app/src/a'
    echo 'print 2' >ctx/src/a
    build
    eq "src/a changed (COPY . /app/)" "$(why 'RUN echo')"
}

t_a_build_that_ends_early_keeps_what_was_known_of_later_steps() {
    service
    build
    sed -i 's/^RUN cat.*/RUN false/' ctx/Dockerfile
    build_fails
    sed -i 's/^RUN false/RUN cat \/deps > \/installed/' ctx/Dockerfile
    echo 'print 2' >ctx/src/a
    build
    eq "src/a changed" "$(why 'COPY . /app')"
}

t_control_characters_of_a_name_do_not_reach_the_terminal() {
    service
    build
    touch "ctx/src/$(printf 'a\033[2Jb')"
    build
    eq 'new file src/a\x1b[2Jb' "$(why 'COPY . /app')"
    shale explain --no-trunc >explained
    hasnt explained "$(printf '\033')"
}

t_secrets_are_in_no_reason_and_in_no_explanation() {
    service
    dockerfile <<'END'
FROM base:1
RUN --mount=type=secret,id=s,env=PASSWORD true
END
    PW=hunter2-hunter2 build --secret id=s,env=PW
    sed -i 's/true/true || false/' ctx/Dockerfile
    PW=swordfish-swordfish build --secret id=s,env=PW
    shale explain --json --no-trunc >explained
    local word
    for word in hunter2 swordfish; do hasnt log $word; hasnt explained $word; done
}

t_explain_shows_the_last_build_and_one_step_side_by_side() {
    service
    SHALE_ROOT=$W/none shale explain 2>err && fail "nothing was built"
    has err "nothing was built here"
    build -t t
    build -t t --build-arg VERSION=1.3
    shale explain >explained
    has explained "docker.io/library/t:latest, built "
    grep -qE '^\[2/5\] +COPY deps /deps +cached$' explained || fail "$(cat explained)"
    grep -qE '^\[3/5\] +RUN cat /deps > /installed +made +ARG VERSION 1.2 → 1.3$' explained || fail "$(cat explained)"
    shale explain 3 >explained
    grep -qE '^differs +run.env +VERSION=1.2 +VERSION=1.3$' explained || fail "$(cat explained)"
    shale explain '[3/5]' | cmp - explained
    shale explain 3/5 | cmp - explained
    shale explain 9 2>err && fail "a step that is not there"
    has err "the last build has no step '9'"
    shale explain --json 3 >json
    jq -e '.steps | length == 1' json
    jq -e '.steps[0].fields[] | select(.name == "run.env" and (.same | not)) | .before == "VERSION=1.2" and .now == "VERSION=1.3"' json
    eq "$(shale images -q --no-trunc t)" "$(jq -r .image json)"
}

t_explain_lists_the_files_of_a_copy() {
    service
    build
    echo 'print 2' >ctx/src/a
    mkdir ctx/new
    touch ctx/new/file
    build
    shale explain 4 >explained
    has explained "  /app/src/a changed"
    has explained "  new file /app/new/file"
    hasnt explained "new directory"
}

t_explain_knows_contexts_and_stages_apart() {
    service
    build
    mkdir other
    printf 'FROM base:1 AS a\nRUN echo 1\nFROM base:1 AS b\nRUN echo 2\nCOPY --from=a /etc /e\n' >other/Dockerfile
    shale build -q --load=false other >out
    shale explain 2 2>err && fail "step 2 is in both stages"
    has err "step '2' is in several stages: say 'a:2' or 'b:2'"
    shale explain a:2 >explained
    has explained "RUN echo 1"
    shale explain --context ctx >explained
    has explained "COPY . /app/"
    shale explain --context "$W" 2>err && fail "nothing was built there"
    has err "nothing was built from"
}

t_the_nearest_build_is_that_of_the_same_image_where_directories_differ() {
    service
    build -t t
    cp -a ctx third
    echo 'print 3' >third/src/a
    shale build --progress=plain --load=false -t t third >out 2>log
    eq "src/a changed" "$(why 'COPY . /app')"
}

t_values_that_may_be_secrets_are_not_shown() {
    service
    sed -i 's/^ARG.*/ARG TOKEN\nARG URL/' ctx/Dockerfile
    build --build-arg TOKEN=ghp_first --build-arg URL=https://u:pass1@h/x
    build --build-arg TOKEN=ghp_second --build-arg URL=https://u:pass2@h/x
    has log "ARG TOKEN changed"
    shale plan --build-arg TOKEN=ghp_third --build-arg URL=https://u:pass3@h/x ctx >planned
    shale explain --json --no-trunc 3 >json
    shale explain --no-trunc 3 >text
    local word file
    for word in ghp_ pass1 pass2 pass3; do
        for file in log planned json text; do hasnt $file $word; done
    done
}

t_a_failed_build_numbers_its_steps_as_the_dockerfile_does() {
    service
    build
    sed -i 's/^COPY deps.*/&\nRUN false/; /^RUN cat/d' ctx/Dockerfile
    build_fails
    shale explain >explained
    grep -qE '^\[3/5\] +RUN false +failed' explained || fail "$(cat explained)"
    grep -qE '^\[4/5\] +COPY . /app/ +not reached' explained || fail "$(cat explained)"
    hasnt explained "RUN cat"
    shale explain 3 >explained
    has explained "RUN false"
}

t_builds_of_one_context_under_two_names_are_compared_each_with_its_own() {
    export SHALE_TRACE=off # the reasons of exact keys
    service
    build -t a:1 --build-arg VERSION=1
    build -t a:2 --build-arg VERSION=2
    echo 'print 2' >ctx/src/a
    build -t a:1 --build-arg VERSION=1
    eq "src/a changed (COPY . /app/)" "$(why 'RUN echo')"
}

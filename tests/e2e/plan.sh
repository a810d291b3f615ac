# shale plan: the whole answer before anything is done, and nothing is done.
# shellcheck shell=bash

service() {
    mkdir -p ctx/src
    echo dep >ctx/deps
    echo 'print 1' >ctx/src/a
    printf '%s\n' Dockerfile '*.log' >ctx/.dockerignore
    dockerfile <<'END'
FROM base:1
ARG VERSION=1.2
WORKDIR /app
COPY deps ./
RUN cat deps > installed
COPY . .
CMD ["cat", "installed"]
END
}

# plan [FLAG...]: to plan.out; the status is $status.
plan() {
    status=0
    shale plan "$@" ctx >plan.out 2>plan.err || status=$?
}

answer() { # answer TEXT: of the step whose instruction has it
    jq -r --arg t "$1" '.steps[] | select(.instruction | contains($t)) | .answer' plan.out
}

why() {
    jq -r --arg t "$1" '.steps[] | select(.instruction | contains($t)) | .why' plan.out
}

# What is in the store but the memory of which files were read and found what they are: files, and the index row by row.
store_state() {
    (cd "$SHALE_ROOT" && find . -path ./memory -prune -o -type f ! -name 'shale.db*' -printf '%p %s %T@\n' | sort
        python3 -c '
import sqlite3
db = sqlite3.connect("file:shale.db?mode=ro", uri=True)
for (name,) in db.execute("select name from sqlite_schema where type = \"table\" and name != \"listing_stamps\" order by name").fetchall():
    for row in db.execute("select * from " + name + " order by 1").fetchall(): print(name, row)')
}

t_nothing_to_do_is_0_and_something_is_10() {
    service
    plan --exit-code -t t
    eq 10 $status
    build -t t
    plan --exit-code -t t
    eq 0 $status
    has plan.out "nothing to do"
    echo 'print 2' >ctx/src/a
    plan --exit-code -t t
    eq 10 $status
    plan -t t
    eq 0 $status "without --exit-code"
}

t_the_plan_is_what_the_build_then_does() {
    service
    build -t t
    echo more >>ctx/deps
    plan --json -t t
    eq cached "$(answer WORKDIR)"
    eq make "$(answer 'COPY deps')"
    eq make "$(answer 'RUN cat')"
    eq undecided "$(answer 'COPY . .')"
    eq "deps changed" "$(why 'COPY deps')"
    eq "read deps, which changed" "$(why 'RUN cat')"
    build -t t
    cached WORKDIR
    ran 'COPY deps' 'RUN cat'
    jq -e '.up_to_date == false' plan.out
    plan --json -t t
    jq -e '.up_to_date and all(.steps[]; .answer == "cached")' plan.out
    eq "$(shale images -q --no-trunc t)" "$(jq -r .image plan.out)" "the image that the plan names"
}

t_a_plan_writes_nothing_but_the_memory_of_digests() {
    service
    build -t t
    echo 'print 2' >ctx/src/a
    echo more >>ctx/deps
    store_state >before
    plan --exit-code -t t
    eq 10 $status
    plan --json -t other --build-arg VERSION=3
    store_state >after
    diff before after || fail "the plan has written to the store"
    nothing_left "$W/ctx"
}

t_a_plan_goes_on_above_a_copy_that_is_not_made() {
    service
    dockerfile <<'END'
FROM base:1 AS files
COPY deps /deps
FROM base:1
COPY --from=files /deps /d/
COPY src /src
RUN cat /src/a
RUN cat /d/deps
END
    build -t t
    echo 'print 2' >ctx/src/a
    plan --json
    eq cached "$(answer 'COPY --from')"
    eq make "$(answer 'COPY src')"
    eq make "$(answer 'RUN cat /src/a')"
    eq undecided "$(answer 'RUN cat /d')"
    eq "after line 6: RUN cat /src/a" "$(why 'RUN cat /d')"
    # a RUN above files that have been seen together before is known, though the COPY's layer is to be found first
    echo 'print 1' >ctx/src/a
    echo other >ctx/deps
    plan --json
    eq make "$(answer 'COPY --from')"
    eq cached "$(answer 'COPY src')"
    eq make "$(answer 'RUN cat /src/a')"
}

t_what_stands_on_a_stage_that_must_run_is_undecided() {
    service
    dockerfile <<'END'
FROM base:1 AS build
COPY src /src
RUN cat /src/a > /out
FROM base:1
COPY deps /deps
COPY --from=build /out /out
COPY --link deps /linked
END
    build -t t
    echo 'print 2' >ctx/src/a
    plan --json
    eq cached "$(answer 'COPY deps /deps')"
    eq undecided "$(answer 'COPY --from=build')"
    eq cached "$(answer 'COPY --link')"
    # early cut-off: once it has run, and gave the same, nothing else does
    echo 'print 1' >ctx/src/a
    plan --exit-code -t t
    eq 0 $status
}

t_a_change_of_the_configuration_alone_is_something_to_do() {
    service
    build -t t
    sed -i 's/^CMD.*/CMD ["true"]/' ctx/Dockerfile
    plan --exit-code -t t
    eq 10 $status
    has plan.out "every step is known, but the image's configuration is another one"
    build -t t
    plan --exit-code -t t -t more
    eq 10 $status
    has plan.out "more is a new name"
    build -t t --label x=y
    plan --exit-code -t t
    eq 10 $status
    has plan.out "t is another image"
}

t_what_does_not_reach_the_image_is_nothing_to_do() {
    service
    build -t t
    echo noise >ctx/x.log
    touch -d 2001-01-01 ctx/deps
    echo '# a comment' >>ctx/Dockerfile
    plan --exit-code -t t
    eq 0 $status
}

t_a_base_that_is_not_here_leaves_all_undecided() {
    start_registry
    service
    printf 'FROM base:1\nRUN touch /first\n' | elsewhere build -q --load=false -t first - >/dev/null
    skopeo_copy "docker-archive:$(archive_of first)" "docker://$REGISTRY/far:1"
    sed -i "s,^FROM.*,FROM $REGISTRY/far:1," ctx/Dockerfile
    plan --json --exit-code
    eq 10 $status
    eq undecided "$(answer FROM)"
    eq undecided "$(answer 'COPY . .')"
    eq "$REGISTRY/far:1 has to be fetched" "$(why FROM)"
    build -t t
    plan --exit-code -t t
    eq 0 $status
    plan --exit-code --pull -t t
    eq 0 $status "the registry still has that image"
    printf 'FROM base:1\nRUN touch /new\n' | elsewhere build -q --load=false -t new - >/dev/null
    skopeo_copy "docker-archive:$(archive_of new)" "docker://$REGISTRY/far:1"
    plan --exit-code -t t
    eq 0 $status "nobody asked the registry"
    plan --json --exit-code --pull -t t
    eq 10 $status "the tag has moved"
    eq undecided "$(answer FROM)"
}

# With a store of its own.
elsewhere() {
    [ -d "$W/other" ] || cp -a "$TEMPLATE/store" "$W/other"
    SHALE_ROOT=$W/other shale "$@"
}

# An image of that store as a docker archive; its path.
archive_of() {
    printf 'FROM %s\n' "$1" | elsewhere build -q --load=false -o "type=docker,dest=$W/$1.tar" -t archived - >/dev/null
    echo "$W/$1.tar"
}

t_mistakes_are_told_as_a_build_tells_them() {
    service
    sed -i 's,^WORKDIR.*,COPY nosuch /,' ctx/Dockerfile
    plan
    eq 1 $status
    has plan.err '"/nosuch": not found'
    eq "" "$(cat plan.out)"
    shale plan ctx/none >out 2>err && fail "a context that is not there"
    has err 'path "ctx/none" not found'
    service
    echo 'RNU x' >>ctx/Dockerfile
    plan
    eq 1 $status
    has plan.err "unknown instruction: RNU"
}

t_an_add_of_a_url_is_asked_for_but_not_fetched() {
    needs python3
    mkdir www
    : >www.out
    echo one >www/file
    (cd www && exec python3 -u -m http.server --bind 127.0.0.1 0 >"$W/www.out" 2>&1) &
    local pid=$! port=
    # shellcheck disable=SC2064 # now
    trap "kill $pid 2>/dev/null || :" EXIT
    for _ in $(seq 50); do
        port=$(sed -n 's/.*port \([0-9]*\).*/\1/p' www.out)
        [ -z "$port" ] || break
        sleep 0.1
    done
    dockerfile <<END
FROM base:1
ADD http://127.0.0.1:$port/file /f
END
    plan --json
    eq undecided "$(answer ADD)"
    build -t t
    plan --json -t t
    eq cached "$(answer ADD)"
    echo two >www/file
    store_state >before
    plan --json -t t
    eq undecided "$(answer ADD)"
    store_state >after
    diff before after || fail "the plan has kept what it fetched"
}

t_a_context_from_standard_input_is_planned_too() {
    service
    tar -C ctx -cf ctx.tar .
    shale plan --json - <ctx.tar >plan.out
    eq make "$(answer 'COPY deps')"
    shale build -q --load=false - <ctx.tar >out
    shale plan --json - <ctx.tar >plan.out
    jq -e .up_to_date plan.out
}

t_named_contexts_and_mounts_are_planned_without_being_made() {
    service
    mkdir more
    echo x >more/file
    dockerfile <<'END'
FROM more AS files
FROM base:1
COPY --from=files /file /f
RUN --mount=from=more,target=/m cat /m/file
END
    store_state >before
    plan --json --build-context more=more
    eq make "$(answer 'COPY --from')"
    eq make "$(answer 'RUN --mount')"
    store_state >after
    diff before after || fail "the plan has made a layer"
    build --build-context more=more -t t
    plan --json --exit-code --build-context more=more -t t
    eq 0 $status
}

t_a_missing_source_above_a_step_that_must_run_is_a_mistake() {
    service
    dockerfile <<'END'
FROM base:1 AS one
RUN echo 1 >/x
FROM one
COPY nosuch /y
RUN true
END
    plan --exit-code
    eq 1 $status
    has plan.err '"/nosuch": not found'
}

t_a_secret_that_is_required_and_not_given_is_a_mistake() {
    service
    dockerfile <<'END'
FROM base:1
RUN --mount=type=secret,id=s,required=true true
END
    plan
    eq 1 $status
    has plan.err "secret s: not found"
    PW=x plan --secret id=s,env=PW
    eq 0 $status
}

t_a_step_that_two_stages_have_is_counted_once() {
    service
    dockerfile <<'END'
FROM base:1 AS a
COPY deps /d
FROM base:1 AS b
COPY deps /d
FROM base:1
COPY --from=a /d /1
COPY --from=b /d /2
END
    plan --json
    eq make "$(jq -r '.steps[] | select(.stage == "a" and .kind == "copy") | .answer' plan.out)"
    eq cached "$(jq -r '.steps[] | select(.stage == "b" and .kind == "copy") | .answer' plan.out)"
    eq "made once, as [a 2/2]" "$(jq -r '.steps[] | select(.stage == "b" and .kind == "copy") | .why' plan.out)"
}

t_files_as_output_leave_nothing_to_do() {
    service
    build -o type=tar,dest=t.tar
    plan --exit-code -o type=tar,dest=t.tar
    eq 0 $status
}

t_a_directory_as_base_is_the_same_image_later() {
    service
    printf 'FROM more\nCOPY deps /deps\n' >ctx/Dockerfile
    mkdir more
    echo x >more/file
    build -t t --build-context more=more
    sleep 1.1
    plan --exit-code -t t --build-context more=more
    eq 0 $status
}

t_documentation_and_a_new_name_are_both_told() {
    service
    echo text >ctx/README.md
    build -t t
    echo more >>ctx/README.md
    plan --skip-docs --exit-code -t t -t new
    eq 10 $status
    has plan.out "every step is known, but new is a new name: only documentation changed (README.md changed)"
}

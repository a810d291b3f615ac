# --no-cache and --no-cache-filter: what runs again, and what later builds have of it.
# shellcheck shell=bash disable=SC2016 # what is in single quotes is for the container

three_stages() {
    echo a >ctx/a
    dockerfile <<'END'
FROM base:1 AS one
RUN head -c 16 /dev/urandom | od -An -tx1 >/1
FROM base:1 AS Two
RUN echo 2; head -c 16 /dev/urandom | od -An -tx1 >/2
FROM base:1
COPY --from=one /1 /1
COPY --from=two /2 /2
COPY a /a
RUN cat /1 /2 >/12; head -c 16 /dev/urandom | od -An -tx1 >/3
END
}

# again STAGES FLAG...: which of one, two and the last ran is STAGES.
again() {
    local want=$1 ran=
    shift
    build -t t "$@"
    [ "$(how 'RUN head')" = CACHED ] || ran="$ran one"
    [ "$(how 'RUN echo 2')" = CACHED ] || ran="$ran two"
    [ "$(how 'COPY a /a')" = CACHED ] || ran="$ran last"
    eq "$want" "${ran# }" "what ran with $*"
}

t_a_filter_is_a_list_of_names_as_docker_reads_it() {
    three_stages
    build -t t
    again '' --no-cache=false
    again one --no-cache-filter one
    again one --no-cache-filter ONE
    again two --no-cache-filter Two
    again two --no-cache-filter two
    again 'one two' --no-cache-filter one,two
    again 'one two' --no-cache-filter one --no-cache-filter two
    again one --no-cache-filter 'one, two'
    # what names no stage is no error; a number and a shown name are none
    again '' --no-cache-filter 0
    again '' --no-cache-filter stage-2
    again '' --no-cache-filter nosuch
    # an empty word: the stages without a name; nothing but that: all
    again 'one last' --no-cache-filter one,
    again 'one two last' --no-cache-filter ''
    again 'one two last' --no-cache
    again ''
    build_fails --no-cache --no-cache-filter one
    says '--no-cache and --no-cache-filter cannot currently be used together'
}

t_what_comes_of_a_filtered_stage_is_seen_by_the_others() {
    three_stages
    build -t t
    inside cat /1 >old
    build -t t --no-cache-filter one
    inside cat /1 | cmp -s - old && fail "stage one did not run"
    ran 'COPY --from=one' 'RUN cat /1'
    # equal content disturbs nobody
    sed -i 's/ head.*\/1$/ echo same >\/1/' ctx/Dockerfile
    build -t t
    build -t t --no-cache-filter one
    ran 'RUN echo same'
    cached 'COPY --from=one' 'RUN cat /1'
}

t_what_ran_without_the_cache_is_known_to_the_next_build() {
    three_stages
    build -t t
    inside cat /1 /2 /3 >old
    build -t t --no-cache
    ran 'RUN head' 'RUN echo 2' 'COPY --from=one' 'COPY a /a' 'RUN cat /1'
    inside cat /1 /2 /3 >new
    cmp -s old new && fail "nothing ran"
    build -t t
    all_cached
    inside cat /1 /2 /3 | cmp - new
}

t_copied_layers_are_the_same_with_and_without_the_cache() {
    mkdir ctx/d
    echo 1 >ctx/d/1
    printf 'FROM base:1\nWORKDIR /w\nCOPY d .\nADD d /d\nCOPY <<A /a\nx\nA\n' | dockerfile
    find ctx -exec touch -d @1700000000 {} +
    export SOURCE_DATE_EPOCH=1700000000
    oci
    layer_ids >first
    oci --no-cache
    ran 'WORKDIR /w' 'COPY d' 'ADD d' 'COPY <<A'
    layer_ids | diff first - || fail "other layers"
}

t_a_filter_names_a_target_and_its_triggers() {
    printf 'FROM base:1\nONBUILD RUN head -c 16 /dev/urandom | od -An -tx1 >/trigger\n' >ctx/parent
    build -f ctx/parent -t parent
    printf 'FROM parent AS child\nRUN echo child\nFROM child AS last\nRUN echo last\n' | dockerfile
    build -t t --target child
    build -t t --target child --no-cache-filter child
    ran 'ONBUILD RUN head' 'RUN echo child'
    build -t t --target child --no-cache-filter last
    all_cached
    # the stage that is built on it has its own name
    build -t t --target last
    build -t t --target last --no-cache-filter last
    cached 'ONBUILD RUN head' 'RUN echo child'
    ran 'RUN echo last'
    build -t t --target last --no-cache-filter child
    ran 'ONBUILD RUN head' 'RUN echo child'
}

t_a_filter_and_named_contexts() {
    mkdir named
    echo n >named/n
    printf 'FROM base:1 AS one\nRUN echo one\nFROM base:1\nCOPY --from=one /n /n\nCOPY --from=named n /m\nRUN echo last\n' | dockerfile
    # a context in the place of the stage: nothing of it is carried out, whatever is filtered
    local contexts=(--build-context "one=$W/named" --build-context "named=$W/named")
    build "${contexts[@]}"
    build "${contexts[@]}" --no-cache-filter one,named
    all_cached
    hasnt log 'RUN echo one'
    build "${contexts[@]}" --no-cache
    ran 'COPY --from=one' 'COPY --from=named' 'RUN echo last'
}

t_no_cache_reads_every_file_of_the_context() {
    needs strace
    printf 'FROM base:1\nCOPY . /app\n' | dockerfile
    mkdir ctx/d
    echo one >ctx/d/one.txt
    sleep 0.3
    build
    ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0 strace -f -qq -o trace -e trace=open,openat,openat2 \
        "$SHALE" build --progress=plain --load=false --no-cache ctx >out 2>log
    # once to know it, once to copy it
    [ "$(grep -c '"[^"]*one\.txt"' trace)" -ge 2 ] || fail "the file was not read to be hashed"
}

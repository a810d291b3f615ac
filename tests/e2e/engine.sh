# Into a Docker engine with either image store, and run there. The engines come from SHALE_TEST_GRAPH and
# SHALE_TEST_CTRD (DOCKER_HOST values); a machine without them is named as such and not counted.
# shellcheck shell=bash disable=SC2016 # what is in single quotes is for the container

docker() {
    # shellcheck disable=SC2086 # words are wanted
    command $SHALE_TEST_DOCKER "$@"
}

engine() { # engine graph|ctrd: points DOCKER_HOST there
    local host=$SHALE_TEST_GRAPH
    [ "$1" = graph ] || host=$SHALE_TEST_CTRD
    [ -n "$host" ] || not_here "no Docker engine for '$1' (SHALE_TEST_GRAPH, SHALE_TEST_CTRD)"
    export DOCKER_HOST=$host
    docker version >/dev/null 2>version.err || not_here "no answer from $host: $(tail -n 1 version.err)"
    NAME=shale-e2e-$1-$$
    proxy_pid=
    sockets=${sockets:-$(mktemp -d /tmp/shale-e2e.XXXXXX)} # a socket's path is short
    trap 'rm -rf "$sockets"; [ -z "$proxy_pid" ] || kill $proxy_pid 2>/dev/null; docker image rm -f $NAME:1 $NAME:2 $NAME-base:1 >/dev/null 2>&1 || :' EXIT
}

# From here on what shale asks the engine and sends it is written to the file sent (engine_proxy.py).
watched() { # watched [FLAG...]
    [[ $DOCKER_HOST = unix://* ]] || not_here "only an engine at a unix socket can be watched, not $DOCKER_HOST"
    : >sent
    [ -z "$proxy_pid" ] || kill "$proxy_pid"
    rm -f "$sockets/proxy.sock"
    python3 "$PROJECT/tests/e2e/lib/engine_proxy.py" "${DOCKER_HOST#unix://}" "$sockets/proxy.sock" sent "$@" 2>proxy.err &
    proxy_pid=$!
    for _ in $(seq 100); do
        [ ! -S "$sockets/proxy.sock" ] || return 0
        sleep 0.05
    done
    fail "the proxy does not start: $(cat proxy.err)"
}

load() { # load [FLAG...]: builds ctx into the engine; what was sent for it alone is in sent
    : >sent
    DOCKER_HOST=unix://$sockets/proxy.sock "$SHALE" build --progress=plain --load --iidfile id "$@" ctx >out 2>log ||
        { sed 's/^/  | /' log >&2; fail "build --load $*"; }
}

loads() {
    grep -c '^POST /images/load' sent || :
}

sent_bytes() {
    awk '$2 ~ /^\/images\/load/ { n += $4 } END { print n + 0 }' sent
}

# The engine's image NAME:1 is the one that shale has, whole, and runs.
same_there() { # same_there TEXT: that running it prints
    docker run --rm --network none "$NAME:1" >theirs
    has theirs "$1"
    docker save -o saved.tar "$NAME:1" || fail "the engine cannot save it"
    oci
    eq "$(layer_ids | xargs)" "$(docker image inspect -f '{{range .RootFS.Layers}}{{.}} {{end}}' "$NAME:1" | xargs)" layers
    eq "$(config '.config | {Env, User, Cmd}' | jq -cS .)" \
        "$(docker image inspect -f '{{json .Config}}' "$NAME:1" | jq -cS '{Env, User, Cmd}')" configuration
    eq "$(config '[.history[].created_by]')" "$(tar -xOf saved.tar "$(saved_config)" | jq -c '[.history[].created_by]')" history
    eq "$(jq -r .config.digest "$(oci_manifest)")" "sha256:$(tar -xOf saved.tar "$(saved_config)" | sha256sum | cut -d ' ' -f 1)" "the configuration's digest"
    eq "$(docker image inspect -f '{{.Id}}' "$NAME:1")" "$(cat id)" "the image's id" # its manifest's with containerd's store
}

saved_config() {
    tar -xOf saved.tar manifest.json | jq -r '.[0].Config'
}

app() {
    echo "$1" >ctx/hello
    dockerfile <<'END'
FROM base:1
RUN echo made > /made && rm -r /opt/full && chown 5:6 /made
COPY --chown=app hello /srv/hello
ENV a="b c"
USER app
CMD ["sh", "-c", "cat /made /srv/hello; id -u; stat -c %u:%g /made /srv/hello; ls /opt; echo $a"]
END
}

loads_and_runs() {
    engine "$1"
    app hello
    "$SHALE" build --progress=plain -t "$NAME:1" --iidfile id ctx >out 2>log || { cat log; fail "build"; }
    docker run --rm --network none "$NAME:1" >theirs
    shale run "$NAME:1" >ours
    diff -u ours theirs >&2 || fail "the image behaves otherwise in the engine"
    has theirs hello
    eq "$(oci && config '.config.Env' | jq -c .)" "$(docker image inspect -f '{{json .Config.Env}}' "$NAME:1")"
    # Unchanged, then edited: the engine's image follows.
    "$SHALE" build --progress=plain -t "$NAME:1" ctx >out 2>log
    all_cached
    app changed
    "$SHALE" build --progress=plain -t "$NAME:1" -t "$NAME:2" ctx >out 2>log
    docker run --rm --network none "$NAME:2" >theirs
    has theirs changed
    docker run --rm --network none "$NAME:1" >theirs
    has theirs changed
}

t_an_engine_with_graph_drivers_loads_and_runs_it() {
    loads_and_runs graph
}

t_an_engine_with_the_containerd_store_loads_and_runs_it() {
    loads_and_runs ctrd
}

from_the_engine() {
    engine "$1"
    docker import - "$NAME-base:1" <"$TEMPLATE/base.tar" >/dev/null
    printf 'FROM %s-base:1\nENV PATH=/bin\nRUN cat /etc/os-release > /seen\n' "$NAME" | dockerfile
    "$SHALE" build --progress=plain -t "$NAME:1" ctx >out 2>log || { cat log; fail "build"; }
    eq "ID=tiny" "$(shale run "$NAME:1" cat /seen)"
    eq "ID=tiny" "$(docker run --rm --network none "$NAME:1" cat /seen)"
}

t_from_finds_an_image_of_an_engine_with_graph_drivers() {
    from_the_engine graph
    has log "transferring 1 of 2 layers" # the base is there already
}

t_from_finds_an_image_of_an_engine_with_the_containerd_store() {
    from_the_engine ctrd
}

# An address behind which there is another kind of engine all of a sudden.
becomes() { # becomes FROM TO
    engine "$1"
    local first=${DOCKER_HOST#unix://} second
    engine "$2"
    second=${DOCKER_HOST#unix://}
    [[ $DOCKER_HOST = unix://* && $SHALE_TEST_GRAPH = unix://* ]] || not_here "only engines at unix sockets can change places"
    app hello
    ln -s "$first" "$sockets/engine.sock"
    DOCKER_HOST=unix://$sockets/engine.sock "$SHALE" build --progress=plain --load -t "$NAME:1" ctx >out 2>log || fail "$(cat log)"
    DOCKER_HOST=unix://$first docker image rm -f "$NAME:1" >/dev/null
    ln -sfn "$second" "$sockets/engine.sock"
    DOCKER_HOST=unix://$sockets/engine.sock "$SHALE" build --progress=plain --load --metadata-file meta -t "$NAME:1" ctx >out 2>log || fail "$(cat log)"
    eq "$(docker image inspect -f '{{.Id}}' "$NAME:1")" "$(jq -r '."containerimage.digest"' meta)" "what the engine calls the image"
    docker run --rm --network none "$NAME:1" >theirs
    has theirs hello
    DOCKER_HOST=unix://$sockets/engine.sock "$SHALE" build --progress=plain --load -t "$NAME:1" ctx >out 2>log || fail "$(cat log)"
    hasnt log 'transferring 2'
}

t_an_engine_that_gets_the_containerd_store_is_noticed() {
    becomes graph ctrd
}

t_an_engine_that_gets_a_graph_driver_is_noticed() {
    becomes ctrd graph
}

t_an_engine_that_is_named_and_does_not_answer_is_said() {
    app hello
    local status=0
    DOCKER_HOST=unix://$W/no.sock "$SHALE" build --progress=plain --load -t x ctx >out 2>log || status=$?
    eq 1 $status
    grep -q "^ERROR: .*$W/no.sock" log || { cat log; fail "the engine is not named"; }
}

# An image whose last layer alone differs after an edit.
late_copy() { # late_copy TEXT
    mkdir -p ctx/src
    seq 200 | while read -r i; do echo "file $i" >"ctx/src/$i"; done
    echo "$1" >ctx/src/edited
    dockerfile <<'END'
FROM base:1
RUN echo made > /made
WORKDIR /srv
COPY src .
ENV a="b c"
CMD ["cat", "/made", "/srv/edited"]
END
}

only_what_lacks() {
    engine "$1"
    watched
    late_copy hello
    load -t "$NAME:1"
    eq 1 "$(loads)" "loads of the first build"
    local all
    all=$(sent_bytes)
    same_there hello
    load -t "$NAME:1"
    eq 0 "$(loads)" "loads when nothing changed"
    has log CACHED
    late_copy edited
    load -t "$NAME:1"
    eq 1 "$(loads)" "loads after an edit"
    [ "$(sent_bytes)" -lt $((all / 4)) ] || { cat sent >&2; fail "$(sent_bytes) of $all bytes were sent"; }
    has log "transferring 1 of 4 layers"
    same_there edited
    # The configuration alone.
    sed -i 's/b c/d/' ctx/Dockerfile
    load -t "$NAME:1"
    has log "transferring 0 of 4 layers"
    same_there edited
    # Another name: no load at all; and a name that moves.
    load -t "$NAME:1" -t "$NAME:2"
    eq 0 "$(loads)" "loads for a name"
    has sent "POST /images/$(docker image inspect -f '{{.Id}}' "$NAME:1")/tag"
    late_copy moved
    load -t "$NAME:2"
    docker run --rm --network none "$NAME:2" >theirs
    has theirs moved
    load -t "$NAME:1"
    eq 0 "$(loads)" "loads for a name that moves"
    same_there moved
}

t_an_engine_with_graph_drivers_gets_only_layers_that_it_lacks() {
    only_what_lacks graph
}

t_an_engine_with_the_containerd_store_gets_only_blobs_that_it_lacks() {
    only_what_lacks ctrd
}

what_it_had_under_other_names() {
    engine "$1"
    watched
    late_copy hello
    load -t "$NAME:1"
    late_copy other
    load -t "$NAME:2"
    has log "transferring 1 of 4 layers"
    # The image that it was remembered by is gone, another one has the layers still.
    docker image rm "$NAME:2" >/dev/null
    late_copy third
    load -t "$NAME:2"
    has log "transferring 1 of 4 layers"
    # Another store remembers nothing.
    rm -rf "$SHALE_ROOT/engines"
    docker image rm "$NAME:2" >/dev/null
    load -t "$NAME:1"
    same_there third
}

t_graph_drivers_layers_of_other_images_are_not_sent_again() {
    what_it_had_under_other_names graph
}

t_containerd_blobs_of_other_images_are_not_sent_again() {
    what_it_had_under_other_names ctrd
}

lost_layers() {
    engine "$1"
    watched --old-answers
    late_copy hello
    load -t "$NAME:1"
    load -t "$NAME:1"
    late_copy edited
    # The engine loses it after it was asked.
    docker image rm -f "$NAME:1" >/dev/null
    load -t "$NAME:1"
    eq 2 "$(loads)" "loads, the second of them whole"
    hasnt log "ERROR"
    has log "transferring 4 of 4 layers"
    watched
    same_there edited
    # Removed before: known without an attempt.
    docker image rm -f "$NAME:1" >/dev/null
    load -t "$NAME:1"
    eq 1 "$(loads)" "loads"
    has log "transferring 4 of 4 layers"
    same_there edited
    # What is remembered is nonsense, or another engine's.
    for memo in "shale engine 1 graph" "shale engine 1 containerd" "nonsense"; do
        for f in "$SHALE_ROOT"/engines/*; do sed -i "1s/.*/$memo/" "$f"; done
        late_copy "$memo"
        load -t "$NAME:1"
        load -t "$NAME:1"
        same_there "$memo"
    done
}

t_graph_drivers_that_lost_layers_get_the_image_whole() {
    lost_layers graph
}

t_a_containerd_store_that_lost_blobs_gets_the_image_whole() {
    lost_layers ctrd
}

two_at_once() {
    engine "$1"
    watched
    late_copy hello
    load -t "$NAME:1"
    cp -r ctx other
    echo one >ctx/src/edited
    echo two >other/src/edited
    "$SHALE" build --progress=plain --load -t "$NAME:2" other >out2 2>log2 &
    local pid=$!
    load -t "$NAME:1"
    wait $pid || { cat log2 >&2; fail "the other build"; }
    same_there one
    docker run --rm --network none "$NAME:2" >theirs
    has theirs two
}

t_two_builds_load_into_an_engine_with_graph_drivers_at_once() {
    two_at_once graph
}

t_two_builds_load_into_a_containerd_store_at_once() {
    two_at_once ctrd
}

t_an_engine_that_dies_in_a_load_is_said_and_the_image_stays() {
    engine graph
    watched --die-in-load
    late_copy hello
    local status=0
    DOCKER_HOST=unix://$sockets/proxy.sock "$SHALE" build --progress=plain --load -t "$NAME:1" ctx >out 2>log || status=$?
    eq 1 $status
    eq 1 "$(grep -c '^ERROR: ' log)" "sentences"
    has log "Docker engine"
    eq hello "$(shale run "$NAME:1" | tail -n 1)"
}

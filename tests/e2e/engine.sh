# Into a Docker engine with either image store, and run there. The engines come from SHALE_TEST_GRAPH and
# SHALE_TEST_CTRD (DOCKER_HOST values); a machine without them is named as such and not counted.
# shellcheck shell=bash disable=SC2016 # what is in single quotes is for the container

docker() {
    # shellcheck disable=SC2086 # words are wanted
    $SHALE_TEST_DOCKER "$@"
}

engine() { # engine graph|ctrd: points DOCKER_HOST there
    local host=$SHALE_TEST_GRAPH
    [ "$1" = graph ] || host=$SHALE_TEST_CTRD
    [ -n "$host" ] || not_here "no Docker engine for '$1' (SHALE_TEST_GRAPH, SHALE_TEST_CTRD)"
    export DOCKER_HOST=$host
    docker version >/dev/null 2>version.err || not_here "no answer from $host: $(tail -n 1 version.err)"
    NAME=shale-e2e-$1-$$
    trap 'docker image rm -f $NAME:1 $NAME:2 $NAME-base:1 >/dev/null 2>&1 || :' EXIT
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
}

t_from_finds_an_image_of_an_engine_with_the_containerd_store() {
    from_the_engine ctrd
}

t_an_engine_that_is_named_and_does_not_answer_is_said() {
    app hello
    local status=0
    DOCKER_HOST=unix://$W/no.sock "$SHALE" build --progress=plain --load -t x ctx >out 2>log || status=$?
    eq 1 $status
    grep -q "^ERROR: .*$W/no.sock" log || { cat log; fail "the engine is not named"; }
}

#!/bin/bash
# deliver.sh: what it takes to bring an image to where it is wanted, in ms: medians of RUNS rounds, and beside them the
# medians of the rounds' ratios with what they should be. Says nothing about pass or fail: a busy machine is no fault.
#
# - an image of SIZE MB that has not changed, into an engine that has it: shale, and BuildKit as its container driver does
#   it (`--load`: all of it as a tar, which the engine then loads). Where BUILDKIT_HOST names a buildkitd, by that; else the
#   one in the containerd engine (DOCKER_CTRD) exports with `-o type=docker,dest=-`, which is the same exporter.
# - ten lines of one file changed: from when the new layer was made to when the engine can run it, and the whole of the
#   build, beside `docker build` of the same change there;
# - a fresh store, the base in a registry of this machine, a COPY that changed, and a push: how long, and how many blobs of
#   the base the registry was asked for; beside BuildKit with `--cache-from type=registry` and nothing in its cache.
#
#   DOCKER_GRAPH, DOCKER_CTRD  DOCKER_HOST values of an engine with graph drivers, with the containerd store; what is
#                              missing is not measured
#   SHALE, SIZE (240), RUNS (7), DOCKER (the docker client, with buildx), BENCH_DIR (out/bench-deliver)
set -euo pipefail
cd "$(dirname "$0")/../.."
export LC_ALL=C PATH=$PATH:/usr/sbin:/sbin
SHALE=$(realpath "${SHALE:-out/shale}") SIZE=${SIZE:-240} RUNS=${RUNS:-7} DOCKER=${DOCKER:-docker}
DOCKER_GRAPH=${DOCKER_GRAPH:-} DOCKER_CTRD=${DOCKER_CTRD:-}
dir=$(realpath -m "${BENCH_DIR:-out/bench-deliver}")
export SHALE_ROOT=$dir/store
unset DOCKER_HOST
name=shale-bench-$$
# shellcheck source=tests/bench/lib.sh
. tests/bench/lib.sh

at() { # at HOST ARGS...: the docker client
    local host=$1
    shift
    # shellcheck disable=SC2086 # words are wanted
    DOCKER_HOST=$host $DOCKER "$@"
}

finish() {
    local host
    [ -z "${registry_pid:-}" ] || kill "$registry_pid" 2>/dev/null || :
    for host in $DOCKER_GRAPH $DOCKER_CTRD; do
        at "$host" image rm -f $name:1 $name:2 $name-base:1 "${REGISTRY:-localhost:1}/base:1" >/dev/null 2>&1 || :
    done
    rm -rf "$dir"
}

row() { printf '%-44s%12s%14s   %s\n' "$@"; }

# SIZE MB in files of 1 MB, of which half is noise, and a shell.
make_big_base() {
    local i
    make_base_root
    mkdir -p "$dir/root/lib"
    for i in $(seq "$SIZE"); do
        { head -c 524288 /dev/urandom; seq "${i}000000" "${i}065535" | head -c 524288; } >"$dir/root/lib/$i" || :
    done
    tar -C "$dir/root" -cf "$dir/base.tar" .
    rm -rf "$dir/root"
    "$SHALE" import "$dir/base.tar" "$name-base:1" >/dev/null
}

make_project() {
    local i
    ctx=$dir/ctx
    mkdir -p "$ctx/src"
    for i in $(seq 40); do seq -f "$i %g" 100 >"$ctx/src/$i"; done
    printf 'FROM %s-base:1\nWORKDIR /app\nRUN --network=none echo installed >installed\nCOPY src .\nCMD ["cat", "7"]\n' $name >"$ctx/Dockerfile"
}

ten_lines() { # ten_lines WORD: in the middle of a file
    seq -f "$1 $RANDOM %g" 10 >"$dir/lines"
    sed -e '50,59d' -e "49r $dir/lines" -i "$ctx/src/7"
}

# Ways, into the engine at $engine.
into() { DOCKER_HOST=$engine "$SHALE" build --progress=rawjson --load -t "$name:1" "$ctx" 2>"$dir/events"; }
docker_there() { at "$engine" build --progress=plain -t "$name:2" "$ctx"; }
tar_load() {
    if [ -n "${BUILDKIT_HOST:-}" ]; then
        at "$engine" buildx build --builder "$name" --load -t "$name:2" "$ctx"
    else
        at "$DOCKER_CTRD" buildx build -o "type=docker,dest=-,name=$name:2" "$ctx" | at "$engine" load
    fi
}

# From the end of the last step to the end of the last vertex, which is the load: ms.
delivered() {
    jq -rs '
        def s: (.[0:19] + "Z" | fromdateiso8601) + (.[19:] | rtrimstr("Z") | if . == "" then 0 else "0" + . | tonumber end);
        [.[].vertexes[]? | select(.completed)] |
        (map(select(.name | test("^\\[.*[0-9]+/[0-9]+\\] "))) | map(.completed | s) | max) as $made |
        ((map(.completed | s) | max) - $made) * 10000 | round / 10' "$dir/events"
}

runs_there() { # what it prints is what was changed last
    at "$engine" run --rm --network none "$1" | grep -qxF "$(sed -n 50p "$ctx/src/7")" ||
        { echo "$1 in $engine is not the image that was built" >&2; exit 1; }
}

unchanged() { # unchanged KIND
    [ -n "$DOCKER_CTRD${BUILDKIT_HOST:-}" ] || { echo "$1: BuildKit's tar load is not measured: no BUILDKIT_HOST, no DOCKER_CTRD"; return; }
    measure nothing into tar_load
    row "$SIZE MB, nothing changed, $1" "$(median into)" "$(median tar_load)" "BuildKit's tar load takes $(ratio tar_load into) x (at least 20)"
}

changed() { # changed KIND LIMIT: rounds by hand, as a part of each is looked at
    local round
    rm -f "$dir"/times.*
    for round in 0 $(seq "$RUNS"); do
        ten_lines "$round"
        time_ms into >"$dir/total"
        runs_there "$name:1"
        delivered >"$dir/delivery"
        time_ms docker_there >"$dir/docker"
        [ "$round" != 0 ] || continue
        cat "$dir/total" >>"$dir/times.into"
        cat "$dir/delivery" >>"$dir/times.delivery"
        cat "$dir/docker" >>"$dir/times.docker_there"
    done
    row "$SIZE MB, ten lines changed, $1" "$(median into)" "$(median docker_there)" "docker build takes $(ratio docker_there into) x"
    row "  of that: from the layer to docker run" "$(median delivery)" - "(at most $2)"
}

engine_rows() { # engine_rows HOST KIND LIMIT
    engine=$1
    [ -n "$engine" ] || { echo "$2: not measured, no engine"; return; }
    at "$engine" import "$dir/base.tar" "$name-base:1" >/dev/null
    at "$DOCKER_CTRD" image inspect "$name-base:1" >/dev/null 2>&1 || at "$DOCKER_CTRD" import "$dir/base.tar" "$name-base:1" >/dev/null
    unchanged "$2"
    changed "$2" "$3"
}

# --- from a fresh runner into a registry ---

start_registry() { # its log has a line for each request
    local port
    command -v docker-registry >/dev/null || return 1
    for _ in 1 2 3 4 5; do
        port=$((20000 + RANDOM % 20000))
        printf '%s\n' 'version: 0.1' 'log: { level: info, formatter: json }' \
            "storage: { filesystem: { rootdirectory: $dir/registry }, delete: { enabled: true } }" "http: { addr: \"127.0.0.1:$port\" }" >"$dir/registry.yml"
        docker-registry serve "$dir/registry.yml" >"$dir/registry.log" 2>&1 &
        registry_pid=$!
        for _ in $(seq 50); do
            kill -0 $registry_pid 2>/dev/null || break
            if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
                REGISTRY=localhost:$port
                return
            fi
            sleep 0.1
        done
        kill $registry_pid 2>/dev/null || :
    done
    return 1
}

# Layers of the base that were asked for since mark.
mark() { log_lines=$(wc -l <"$dir/registry.log"); }
base_layers_asked() {
    tail -n "+$((log_lines + 1))" "$dir/registry.log" | grep -o 'GET /v2/base/blobs/sha256:[0-9a-f]*' | sort -u |
        grep -cF "$base_layers" || :
}

fresh_shale() { SHALE_ROOT=$dir/fresh "$SHALE" build --progress=plain --load=false --push -t "$REGISTRY/app:1" "$dir/copy"; }
fresh_buildkit() {
    at "$DOCKER_CTRD" buildx build --progress=plain --cache-from "type=registry,ref=$REGISTRY/cache:1" --push -t "$REGISTRY/app:2" "$dir/copy"
}

forget() {
    rm -rf "$dir/fresh"
    [ -z "$DOCKER_CTRD" ] || {
        at "$DOCKER_CTRD" image rm -f "$REGISTRY/app:2" "$REGISTRY/base:1" >/dev/null 2>&1 || :
        at "$DOCKER_CTRD" buildx prune -af >/dev/null 2>&1
    }
    echo "$1" >"$dir/copy/src/edited"
}

fresh_runner() {
    start_registry || { echo "fresh runner: not measured, docker-registry does not start"; return; }
    "$SHALE" tag "$name-base:1" "$REGISTRY/base:1"
    printf 'FROM %s/base:1\n' "$REGISTRY" >"$dir/Dockerfile.base"
    mkdir -p "$dir/copy/src" "$dir/empty"
    cp -r "$ctx/src" "$dir/copy"
    printf 'FROM %s/base:1\nWORKDIR /app\nCOPY src .\n' "$REGISTRY" >"$dir/copy/Dockerfile"
    "$SHALE" build --progress=plain --load=false --push -t "$REGISTRY/base:1" -f "$dir/Dockerfile.base" "$dir/empty" >"$dir/log" 2>&1 ||
        { echo "fresh runner: not measured: $(tail -n 1 "$dir/log")"; return; }
    base_layers=$(skopeo --insecure-policy inspect --raw --tls-verify=false "docker://$REGISTRY/base:1" | jq -r '.layers[].digest')
    [ -n "$base_layers" ] || { echo "fresh runner: not measured, the base has no manifest"; return; }
    forget 0
    mark
    run fresh_shale
    echo "layers of the base that shale asked the registry for: $(base_layers_asked) (0)"
    [ -n "$DOCKER_CTRD" ] || { echo "fresh runner: BuildKit is not measured, no DOCKER_CTRD"; return; }
    at "$DOCKER_CTRD" buildx build --cache-to "type=registry,ref=$REGISTRY/cache:1,mode=max" --push -t "$REGISTRY/app:2" "$dir/copy" >"$dir/log" 2>&1 ||
        { echo "fresh runner: BuildKit is not measured: $(tail -n 1 "$dir/log")"; return; }
    measure forget fresh_shale fresh_buildkit
    row "fresh store, one file changed, pushed" "$(median fresh_shale)" "$(median fresh_buildkit)" "BuildKit takes $(ratio fresh_buildkit fresh_shale) x (at least 10)"
}

rm -rf "$dir"
trap finish EXIT
mkdir -p "$dir"
make_big_base
make_project
[ -z "${BUILDKIT_HOST:-}" ] || $DOCKER buildx create --name "$name" --driver remote "$BUILDKIT_HOST" >/dev/null
sleep 1.1 # files that changed just now are read again

echo "ms, medians of $RUNS rounds, $(nproc) processors"
row "" "shale" "beside it" ""
engine_rows "$DOCKER_GRAPH" "graph driver" 150
engine_rows "$DOCKER_CTRD" "containerd store" 500
fresh_runner

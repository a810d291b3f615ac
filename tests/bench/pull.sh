#!/bin/bash
# pull.sh: how long a base image of about 240 MB takes from a registry on this machine into an empty store, in ms: medians of
# RUNS rounds, and the medians of the rounds' ratios. Says nothing about pass or fail: a busy machine is no fault.
#
# - `FROM base` with a RUN: all of it is fetched, verified, listed and unpacked, and a container has run;
# - `FROM base` with a COPY: nothing is unpacked;
# - `docker pull` of the same image into the engines that are named;
# each with the base as one layer and as four.
#
#   SHALE, RUNS (5), DOCKER (the docker client), DOCKER_GRAPH and DOCKER_CTRD (engines with a graph driver and with the
#   containerd store, as DOCKER_HOST; either may be missing), BASE_TAR (a root file system; mmdebstrap makes one else),
#   BENCH_DIR (out/bench)
set -euo pipefail
cd "$(dirname "$0")/../.."
export LC_ALL=C PATH=$PATH:/usr/sbin:/sbin
SHALE=$(realpath "${SHALE:-out/shale}")
RUNS=${RUNS:-5} DOCKER=${DOCKER:-docker} BASE_TAR=${BASE_TAR:-}
dir=$(realpath -m "${BENCH_DIR:-out/bench}")
name=shale-bench-$$
registry_pid=
# shellcheck source=tests/bench/lib.sh
. tests/bench/lib.sh

finish() {
    [ -z "$registry_pid" ] || kill "$registry_pid" 2>/dev/null || :
    rm -rf "$dir"
}

start_registry() {
    port=$((20000 + RANDOM % 20000))
    cat >"$dir/registry.yml" <<END
version: 0.1
log: { level: error, accesslog: { disabled: true } }
storage: { filesystem: { rootdirectory: $dir/registry } }
http: { addr: "127.0.0.1:$port" }
END
    docker-registry serve "$dir/registry.yml" >"$dir/registry.log" 2>&1 &
    registry_pid=$!
    for _ in $(seq 50); do
        if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then return; fi
        sleep 0.1
    done
    cat "$dir/registry.log" >&2
    exit 1
}

make_base_tar() {
    if [ -n "$BASE_TAR" ]; then
        ln -s "$(realpath "$BASE_TAR")" "$dir/base.tar"
    else
        mmdebstrap --quiet --variant=minbase --include=python3,perl,git,ca-certificates bookworm "$dir/base.tar"
    fi
}

# publish TAG TAR...: an image with a layer of each. skopeo compresses as it always does.
publish() {
    local tag=$1 tar
    shift
    mkdir -p "$dir/$tag"
    echo "FROM scratch" >"$dir/$tag/Dockerfile"
    for tar in "$@"; do
        ln -L "$tar" "$dir/$tag/" 2>/dev/null || cp -L "$tar" "$dir/$tag/"
        echo "ADD $(basename "$tar") /" >>"$dir/$tag/Dockerfile"
    done
    SHALE_ROOT=$dir/store "$SHALE" build --progress=plain -o "type=oci,dest=$dir/$tag.tar,compression=uncompressed,force-compression=true" \
        "$dir/$tag" >"$dir/log" 2>&1 || { cat "$dir/log" >&2; exit 1; }
    skopeo --insecure-policy copy -q --dest-tls-verify=false "oci-archive:$dir/$tag.tar" "docker://localhost:$port/base:$tag"
    rm -rf "${dir:?}/$tag" "$dir/$tag.tar" "$dir/store"
}

# The same files in four layers.
split_base() {
    mkdir "$dir/root" "$dir/parts"
    tar -C "$dir/root" -xpf "$dir/base.tar" --exclude='./dev/*'
    tar -C "$dir/root" -cf "$dir/parts/1.tar" --exclude=./usr .
    tar -C "$dir/root" -cf "$dir/parts/2.tar" --exclude=usr/lib/x86_64-linux-gnu --exclude=usr/share --exclude=usr/bin usr
    tar -C "$dir/root" -cf "$dir/parts/3.tar" usr/share usr/bin
    tar -C "$dir/root" -cf "$dir/parts/4.tar" --ignore-failed-read usr/lib/x86_64-linux-gnu 2>/dev/null || :
    rm -rf "$dir/root"
}

# Ways. What is cold is made so before the clock starts.
build_in() { SHALE_ROOT=$dir/cold "$SHALE" build --progress=plain --load=false -t "$name:1" -f "$dir/ctx/$1" "$dir/ctx"; }
with_run() { build_in "run.$tag"; }
with_copy() { build_in "copy.$tag"; }
pull_graph() { DOCKER_HOST=$DOCKER_GRAPH $DOCKER pull "localhost:$port/base:$tag"; }
pull_ctrd() { DOCKER_HOST=$DOCKER_CTRD $DOCKER pull "localhost:$port/base:$tag"; }

# The stores stay until the end: ext4 takes its time to make files where many were removed a moment ago.
forget() {
    mkdir -p "$dir/old"
    [ ! -e "$dir/cold" ] || mv "$dir/cold" "$(mktemp -d "$dir/old/XXXXXX")"
    for host in ${DOCKER_GRAPH:-} ${DOCKER_CTRD:-}; do
        DOCKER_HOST=$host $DOCKER image rm -f "localhost:$port/base:$tag" >/dev/null 2>&1 || :
    done
    sync
}

row() { printf '%-30s%10s%10s%14s%14s   %s\n' "$@"; }

beside_docker() { # beside_docker TAG WHAT
    local ways=(with_run with_copy) graph=- ctrd=- said=""
    tag=$1
    [ -z "${DOCKER_GRAPH:-}" ] || ways+=(pull_graph)
    [ -z "${DOCKER_CTRD:-}" ] || ways+=(pull_ctrd)
    forget
    measure forget "${ways[@]}"
    [ -z "${DOCKER_GRAPH:-}" ] || { graph=$(median pull_graph) said="Docker takes $(ratio pull_graph with_run) x the first"; }
    [ -z "${DOCKER_CTRD:-}" ] || { ctrd=$(median pull_ctrd) said+="${said:+, }containerd $(ratio pull_ctrd with_run) x"; }
    row "$2" "$(median with_run)" "$(median with_copy)" "$graph" "$ctrd" "${said:+$said (at least 1)}"
    forget
}

rm -rf "$dir"
trap finish EXIT
mkdir -p "$dir/ctx"
start_registry
make_base_tar
publish one "$dir/base.tar"
split_base
publish four "$dir"/parts/*.tar
rm -rf "$dir/parts"
for tag in one four; do
    printf 'FROM localhost:%s/base:%s\nRUN true\n' "$port" "$tag" >"$dir/ctx/run.$tag"
    printf 'FROM localhost:%s/base:%s\nCOPY file /\n' "$port" "$tag" >"$dir/ctx/copy.$tag"
done
echo file >"$dir/ctx/file"

echo "ms, medians of $RUNS rounds, $(nproc) processors, a root of $(($(stat -L -c %s "$dir/base.tar") / 1000000)) MB from a local registry, store empty"
row "" "with RUN" "with COPY" "graph driver" "containerd" ""
beside_docker one "base of one layer"
beside_docker four "base of four layers"

#!/bin/bash
# rebuild.sh: how long a rebuild takes: nothing changed, and one file changed, in a context of 2,000 files. Prints
# the median of RUNS (7) in ms: shale into its own store and, when DOCKER_HOST names an engine, shale into that
# engine and `docker build` there, in turn, on the same files.
#
#   SHALE, FILES (2000), RUNS (7), DOCKER (the docker client), DOCKER_FLAGS (of its build), BENCH_DIR (out/bench)
set -euo pipefail
cd "$(dirname "$0")/../.."
export LC_ALL=C PATH=$PATH:/usr/sbin:/sbin
SHALE=$(realpath "${SHALE:-out/shale}")
FILES=${FILES:-2000} RUNS=${RUNS:-7} DOCKER=${DOCKER:-docker}
dir=$(realpath -m "${BENCH_DIR:-out/bench}")
export SHALE_ROOT=$dir/store
name=shale-bench
rm -rf "$dir"
mkdir -p "$dir/ctx/src" "$dir/root/bin"
trap 'rm -rf "$dir"' EXIT

make_base() {
    cp "$(command -v busybox)" "$dir/root/bin/busybox"
    local applet
    for applet in sh ls cat wc; do ln -s busybox "$dir/root/bin/$applet"; done
    tar -C "$dir/root" -cf "$dir/base.tar" .
    "$SHALE" import "$dir/base.tar" $name-base:1 >/dev/null
    [ -z "${DOCKER_HOST:-}" ] || $DOCKER import "$dir/base.tar" $name-base:1 >/dev/null
}

make_context() {
    local i
    for i in $(seq "$FILES"); do
        mkdir -p "$dir/ctx/src/$((i % 40))"
        echo "file $i" >"$dir/ctx/src/$((i % 40))/$i.txt"
    done
    echo dependencies >"$dir/ctx/deps"
    cat >"$dir/ctx/Dockerfile" <<END
FROM $name-base:1
WORKDIR /app
COPY deps .
RUN cat deps > installed
COPY . .
CMD ["cat", "installed"]
END
}

own() { "$SHALE" build --progress=plain --load=false -t $name:1 "$dir/ctx" >"$dir/log" 2>&1; }
engine() { "$SHALE" build --progress=plain --load -t $name:1 "$dir/ctx" >"$dir/log" 2>&1; }
# shellcheck disable=SC2086 # words are wanted
docker_build() { $DOCKER build ${DOCKER_FLAGS:-} --progress=plain -t $name:2 "$dir/ctx" >"$dir/log" 2>&1; }

time_ms() { # time_ms COMMAND
    local start=${EPOCHREALTIME/./} end
    "$1" || { cat "$dir/log" >&2; exit 1; }
    end=${EPOCHREALTIME/./}
    echo "$(((end - start) / 100))" | sed 's/\(.\)$/.\1/; s/^\./0./'
}

median() {
    sort -n | sed -n "$(((RUNS + 1) / 2))p"
}

edit() {
    echo "edited $RANDOM $1" >"$dir/ctx/src/7/7.txt"
}

# row WHAT CHANGE: all builders in turn, so that a busy moment hits each.
row() {
    local i how
    rm -f "$dir"/times.*
    for how in "${builders[@]}"; do $how || { cat "$dir/log" >&2; exit 1; }; done
    for i in $(seq "$RUNS"); do
        for how in "${builders[@]}"; do
            [ "$2" = none ] || edit "$i.$how"
            time_ms "$how" >>"$dir/times.$how"
        done
    done
    printf '%-28s' "$1"
    for how in "${builders[@]}"; do printf '%18s' "$(median <"$dir/times.$how")"; done
    echo
}

make_base
make_context
builders=(own)
[ -z "${DOCKER_HOST:-}" ] || builders+=(engine docker_build)
echo "ms, median of $RUNS, $FILES files, $(nproc) processors"
printf '%-28s%18s%18s%18s\n' "" "shale" "${DOCKER_HOST:+shale into engine}" "${DOCKER_HOST:+docker build}" | sed 's/ *$//'
sleep 1.1
row "nothing changed" none
row "one file changed" one
[ -z "${DOCKER_HOST:-}" ] || $DOCKER image rm -f $name:1 $name:2 $name-base:1 >/dev/null 2>&1 || :

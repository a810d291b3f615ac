#!/bin/bash
# rebuild.sh: how long a rebuild takes, in ms: the medians of RUNS rounds, and beside them the medians of the rounds'
# ratios with what they should be. Says nothing about pass or fail: a busy machine is no fault.
#
# - FILES files, `COPY . .` last, nothing changed, and one file changed: shale into its own store and, when
#   DOCKER_HOST names an engine, shale into that engine and `docker build` there;
# - the same with SMALL files, one changed: a new layer costs an engine some time for each file in it;
# - MANY files, nothing changed: shale beside a bare walk of the context and its own start;
# - the start of shale.
#
#   SHALE, STAT_WALK, FILES (2000), SMALL (100), MANY (50000), RUNS (7), DOCKER (the docker client), DOCKER_FLAGS (of its build),
#   BENCH_DIR (out/bench)
set -euo pipefail
cd "$(dirname "$0")/../.."
export LC_ALL=C PATH=$PATH:/usr/sbin:/sbin
SHALE=$(realpath "${SHALE:-out/shale}") STAT_WALK=$(realpath "${STAT_WALK:-out/bench-tools/stat_walk}")
FILES=${FILES:-2000} SMALL=${SMALL:-100} MANY=${MANY:-50000} RUNS=${RUNS:-7} DOCKER=${DOCKER:-docker}
dir=$(realpath -m "${BENCH_DIR:-out/bench}")
export SHALE_ROOT=$dir/store
name=shale-bench-$$
# shellcheck source=tests/bench/lib.sh
. tests/bench/lib.sh

finish() {
    rm -rf "$dir"
    [ -z "${DOCKER_HOST:-}" ] || $DOCKER image rm -f $name:1 $name:2 $name-base:1 >/dev/null 2>&1 || :
}

row() { printf '%-36s%10s%14s%14s   %s\n' "$@"; }

# beside_docker WHAT CHANGE TARGET
beside_docker() {
    if [ -z "${DOCKER_HOST:-}" ]; then
        measure "$2" own
        row "$1" "$(median own)" - - ""
        return
    fi
    measure "$2" own into_engine docker_build
    row "$1" "$(median own)" "$(median into_engine)" "$(median docker_build)" \
        "Docker takes $(ratio docker_build into_engine) x the second, $(ratio docker_build own) x the first ($3)"
}

rm -rf "$dir"
trap finish EXIT
mkdir -p "$dir"
make_base
make_context "$dir/few" "$FILES"
make_context "$dir/small" "$SMALL"
make_context "$dir/many" "$MANY"
sleep 1.1 # files that changed just now are read again

echo "ms, medians of $RUNS rounds, $(nproc) processors${DOCKER_HOST:+, engine $DOCKER_HOST}"
row "" "shale" "into engine" "docker build" ""
ctx=$dir/few
beside_docker "$FILES files, nothing changed" nothing "at least 10"
beside_docker "$FILES files, one changed" one_file "at least 5"
ctx=$dir/small
beside_docker "$SMALL files, one changed" one_file "at least 5"
echo
row "" "shale" "walk" "start" ""
ctx=$dir/many
measure nothing own walk start
row "$MANY files, nothing changed" "$(median own)" "$(median walk)" "$(median start)" \
    "shale takes $(ratio own walk start) x walk and start (at most 3)"
row "shale version" "$(median start)" - - "(at most 5 ms)"

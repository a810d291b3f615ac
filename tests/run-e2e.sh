#!/bin/bash
# run-e2e.sh: end-to-end tests. Each function t_NAME of tests/e2e/*.sh is one test: it runs in its own directory,
# with its own store (a copy of one that has a small base image, base:1) and with nothing of the user's settings.
# Ends with "N passed, N failed". Needs root, as it really runs containers; says so where they cannot run, and fails.
#
#   T=cache/edit*     only these (FILE/NAME, shell patterns; T=cache is all of tests/e2e/cache.sh)
#   SHALE             the program (default: out/shale)
#   JOBS              how many at a time (default: the number of processors)
#   SHALE_TEST_DIR    where the tests work (default: out/e2e; not on an overlay, as containers' layers are made here)
#   SHALE_TEST_GRAPH, SHALE_TEST_CTRD   DOCKER_HOST of an engine with graph drivers, with the containerd image store
#   SHALE_TEST_DOCKER the docker client to look at these with (default: docker)
#   TEST_TIMEOUT      seconds that one test may take (default: 600)
#   TRUTH_SEED, TRUTH_EDITS, TRUTH_BATCH   for e2e/truth.sh
#   TRACE_SEED, TRACE_COMMANDS, TRACE_EDITS   for e2e/trace_truth.sh
#   KEEP=1            leave the tests' directories there
set -u
cd "$(dirname "$0")/.." || exit 1
export LC_ALL=C PATH=$PATH:/usr/sbin:/sbin
SHALE=$(realpath -m "${SHALE:-out/shale}")
dir=$(realpath -m "${SHALE_TEST_DIR:-out/e2e}")
jobs=${JOBS:-$(nproc)}
T=${T:-}
peers=../shared/lab/peers.sh
peers_started=
passed=0 failed=0 absent=0

stop() { # stop REASON: nothing can be tested
    echo "not ok - the end-to-end tests cannot run: $1"
    echo "0 passed, 1 failed"
    exit 1
}

by_sudo() {
    [ "$(id -u)" -ne 0 ] || return 0
    command -v sudo >/dev/null || stop "they run containers, which needs root here, and there is no sudo"
    echo "the end-to-end tests run containers, which needs root: going on by sudo"
    exec sudo T="$T" SHALE="$SHALE" JOBS="$jobs" SHALE_TEST_DIR="$dir" KEEP="${KEEP:-}" \
        SHALE_TEST_GRAPH="${SHALE_TEST_GRAPH:-}" SHALE_TEST_CTRD="${SHALE_TEST_CTRD:-}" \
        SHALE_TEST_DOCKER="${SHALE_TEST_DOCKER:-}" ASAN_OPTIONS="${ASAN_OPTIONS:-}" \
        UBSAN_OPTIONS="${UBSAN_OPTIONS:-}" TEST_TIMEOUT="${TEST_TIMEOUT:-}" TRUTH_SEED="${TRUTH_SEED:-}" \
        TRUTH_EDITS="${TRUTH_EDITS:-}" TRUTH_BATCH="${TRUTH_BATCH:-}" TRACE_SEED="${TRACE_SEED:-}" \
        TRACE_COMMANDS="${TRACE_COMMANDS:-}" TRACE_EDITS="${TRACE_EDITS:-}" tests/run-e2e.sh
}

finish() {
    trap - EXIT
    # shellcheck disable=SC2046 # words are wanted
    kill $(jobs -p) 2>/dev/null
    wait
    [ -z "$peers_started" ] || "$peers" down 2>/dev/null
    [ -n "${KEEP:-}" ] || rm -rf "$dir"
}

# Settings of the user must not reach the tests, nor the tests the user's Docker engine.
clean_environment() {
    unset "${!DOCKER_@}" "${!BUILDKIT_@}" "${!BUILDX_@}" "${!SHALE_LOG@}" SOURCE_DATE_EPOCH XDG_DATA_HOME XDG_CONFIG_HOME
    unset http_proxy https_proxy HTTP_PROXY HTTPS_PROXY no_proxy NO_PROXY all_proxy ALL_PROXY
    export SHALE HOME=$dir/home DOCKER_CONFIG=$dir/home/.docker
    umask 022
}

find_engines() {
    export SHALE_TEST_GRAPH=${SHALE_TEST_GRAPH:-} SHALE_TEST_CTRD=${SHALE_TEST_CTRD:-}
    export SHALE_TEST_DOCKER=${SHALE_TEST_DOCKER:-docker}
    case "engine/ $T" in *" " | *engine*) ;; *) return ;; esac
    [ -z "$SHALE_TEST_GRAPH$SHALE_TEST_CTRD" ] && [ -x "$peers" ] || return 0
    local settings before
    before=$(cat /var/tmp/shale-lab/run/*.pid 2>/dev/null)
    settings=$("$peers" up 2>"$dir/peers.err") || return 0
    [ "$before" = "$(cat /var/tmp/shale-lab/run/*.pid 2>/dev/null)" ] || peers_started=1
    eval "$settings"
    SHALE_TEST_GRAPH=$DOCKER_GRAPH SHALE_TEST_CTRD=$DOCKER_CTRD SHALE_TEST_DOCKER=$DOCKER_CLI
}

# A store with base:1: busybox and what a base image has besides.
make_template() {
    local busybox root=$dir/template/root
    busybox=$(command -v busybox) || stop "no busybox (package busybox-static)"
    mkdir -p "$root"/{bin,etc,root,home/app,tmp,var/lib,usr/local/bin,opt/full}
    cp "$busybox" "$root/bin/busybox"
    "$busybox" --list | while read -r applet; do
        [ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"
    done
    chmod 1777 "$root/tmp"
    chmod 700 "$root/root"
    printf '%s\n' 'root:x:0:0:root:/root:/bin/sh' 'app:x:1000:1001:app:/home/app:/bin/sh' >"$root/etc/passwd"
    printf '%s\n' 'root:x:0:' 'staff:x:50:app' 'app:x:1001:' >"$root/etc/group"
    printf 'ID=tiny\n' >"$root/etc/os-release"
    echo one >"$root/opt/full/one"
    echo two >"$root/opt/full/two"
    ln -s /opt/full "$root/opt/link"
    chown -R 1000:1001 "$root/home/app"
    tar -C "$root" --sort=name --numeric-owner --mtime=@1600000000 -cf "$dir/template/base.tar" .
    SHALE_ROOT=$dir/template/store "$SHALE" import \
        --change 'ENV PATH=/usr/local/bin:/bin' --change 'CMD ["/bin/sh"]' \
        "$dir/template/base.tar" base:1 >"$dir/template/log" 2>&1 ||
        stop "shale import of the base image: $(tail -n 1 "$dir/template/log")"
}

# One container, so that a machine where none can run says why once and not in every test.
probe() {
    mkdir -p "$dir/probe"
    printf 'FROM base:1\nRUN true\n' >"$dir/probe/Dockerfile"
    SHALE_ROOT=$dir/template/store "$SHALE" build --load=false "$dir/probe" >"$dir/probe/log" 2>&1 ||
        { cat "$dir/probe/log"; stop "a container does not run here: $(grep '^ERROR' "$dir/probe/log" | tail -n 1)"; }
    rm -rf "$dir/template/store"/work/*
}

names() { # the tests that T asks for, FILE/NAME
    local file name
    for file in tests/e2e/*.sh; do
        sed -n 's/^t_\([a-z0-9_]*\)() {.*/\1/p' "$file" | while read -r name; do
            name=$(basename "$file" .sh)/$name
            # shellcheck disable=SC2053 # T is a pattern
            if [ -z "$T" ] || [[ $name == $T || $name == $T/* ]]; then echo "$name"; fi
        done
    done
}

one() { # one FILE/NAME: runs it, leaves its output and status in files
    local name=$1 work=$dir/${1//\//.}
    mkdir -p "$work/ctx" "$work/tmp"
    cp -a "$dir/template/store" "$work/store"
    (
        cd "$work" && export SHALE_ROOT=$work/store TMPDIR=$work/tmp W=$work PROJECT=$OLDPWD TEMPLATE=$dir/template
        # shellcheck disable=SC2016 # the test's shell expands
        exec timeout -k 10 "${TEST_TIMEOUT:-600}" bash -c '
            set -euo pipefail
            . "$0/tests/e2e/lib/lib.sh"
            . "$0/tests/e2e/$1.sh"
            "t_$2"' "$PROJECT" "${name%/*}" "${name#*/}"
    ) >"$dir/${name//\//.}.out" 2>&1 </dev/null
    echo $? >"$dir/${name//\//.}.status"
}

report() { # report FILE/NAME, which has ended
    local out=$dir/${1//\//.} status
    status=$(cat "$out.status")
    case $status in
    0)
        echo "ok - $1"
        sed -n 's/^# /    # /p' "$out.out" # what a test has to say though it passed
        passed=$((passed + 1))
        ;;
    77) echo "not here - $1: $(tail -n 1 "$out.out")"; absent=$((absent + 1)) ;;
    *)
        echo "not ok - $1 (status $status)"
        sed 's/^/    /' "$out.out"
        failed=$((failed + 1))
        ;;
    esac
    [ -n "${KEEP:-}" ] || rm -rf "$out" "$out.out"
}

run_all() {
    local name ended pending=() running=0 rest
    for name in "$@"; do
        one "$name" &
        pending+=("$name")
        running=$((running + 1))
        while [ $running -ge "$jobs" ]; do
            wait -n
            running=$((running - 1))
            rest=()
            for ended in "${pending[@]}"; do
                if [ -e "$dir/${ended//\//.}.status" ]; then report "$ended"; else rest+=("$ended"); fi
            done
            pending=(${rest[@]+"${rest[@]}"})
        done
    done
    wait
    for name in ${pending[@]+"${pending[@]}"}; do report "$name"; done
}

main() {
    by_sudo
    [ -x "$SHALE" ] || stop "no program '$SHALE'"
    rm -rf "$dir"
    mkdir -p "$dir/home"
    trap finish EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    [ "$(stat -f -c %T "$dir")" != overlayfs ] ||
        stop "'$dir' is on an overlay, where no container's layers can be made: set SHALE_TEST_DIR to another file system"
    find_engines
    clean_environment
    make_template
    probe
    local tests
    mapfile -t tests < <(names)
    [ ${#tests[@]} -gt 0 ] || stop "no test matches T='$T'"
    run_all "${tests[@]}"
    [ $absent -eq 0 ] || echo "$absent not here (named above), not counted"
    echo "$passed passed, $failed failed"
    [ $failed -eq 0 ]
}
main

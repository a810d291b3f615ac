#!/bin/bash
# run-cli.sh: golden-file tests of the command line. A case is tests/cli/COMMAND/NAME.sh; it runs in an empty
# directory of its own with a store of its own and none of the user's settings. Beside it may be
#
#   NAME.stdout.exact   what it prints, to the byte         NAME.stdout.glob   a shell pattern for the whole of it
#   NAME.stderr.exact                                       NAME.stderr.glob
#   NAME.exit           its exit status (default: 0)
#   NAME.needs          "root": run by sudo for others
#
# Without .stdout.* standard output must be empty; without .stderr.* standard error must be empty. In .exact files and
# in what is compared with them, times ("0.1s", "0.103 text", "started":"...") stand as T, the case's
# directory as DIR, a digest as sha256:ID.
# tests/cli/lib.sh has what cases use, `shale` first. Ends with "N passed, N failed".
#
#   T=build/nosuch*   only these (shell pattern)       SHALE   the program (default: out/shale)
#   JOBS              how many at a time               KEEP=1  leave the directories there
#   UPDATE=1          write the .exact and .exit files that a case has, or would need, from what it does now: read the diff!
set -u
cd "$(dirname "$0")/.." || exit 1
SHALE=$(realpath -m "${SHALE:-out/shale}")
[ -x "$SHALE" ] || { echo "no program '$SHALE'"; echo "0 passed, 1 failed"; exit 1; }
jobs=${JOBS:-$(nproc)}
cases=$PWD/tests/cli
# Not below a directory that others may write: the store is refused there.
dir=$(mktemp -d "${SHALE_TEST_DIR:-/var/tmp}/shale-cli.XXXXXX") || exit 1
trap '[ -n "${KEEP:-}" ] || rm -rf "$dir"' EXIT

clean_environment() {
    unset "${!DOCKER_@}" "${!BUILDKIT_@}" "${!BUILDX_@}" "${!SHALE_LOG@}" "${!SHALE_TRACE@}" SOURCE_DATE_EPOCH NO_COLOR
    unset XDG_DATA_HOME XDG_CONFIG_HOME http_proxy https_proxy HTTP_PROXY HTTPS_PROXY no_proxy NO_PROXY
    export LC_ALL=C TERM=dumb SHALE CASES=$cases HOME=$dir/home DOCKER_CONFIG=$dir/home/.docker
    export DOCKER_HOST=unix://$dir/no-engine
    umask 022
}

# What depends on the machine and the moment, as in the .exact files.
mask() { # mask CASEDIR
    sed -E -e "s|$1|DIR|g" \
        -e 's/ [0-9]+\.[0-9]s$/ Ts/; s/ [0-9]+\.[0-9]s done$/ done/; s/^(#[0-9]+ )?[0-9]+\.[0-9]{1,3} /\1T /' \
        -e 's/sha256:[0-9a-f]{12,}/sha256:ID/g; s/^(\[\+\] Building )[0-9.]+s/\1Ts/' \
        -e 's/"(started|completed|timestamp)":"[^"]*"/"\1":"T"/g'
}

matches() { # matches FILE PATTERNFILE: the whole text, the final line feeds apart
    # shellcheck disable=SC2053 # a pattern is wanted
    [[ $(cat "$1") == $(cat "$2") ]]
}

check_stream() { # check_stream CASE NAME OUTPUT CASEDIR: says what differs
    local case=$1 name=$2 output=$3
    mask "$4" <"$output" >"$output.masked"
    if [ -n "${UPDATE:-}" ] && [ ! -e "$case.$name.glob" ]; then
        if [ -s "$output.masked" ]; then cp "$output.masked" "$case.$name.exact"; else rm -f "$case.$name.exact"; fi
    fi
    if [ -e "$case.$name.glob" ]; then
        matches "$output.masked" "$case.$name.glob" && return
        echo "$name does not match ${case##*/}.$name.glob:"
        cat "$output.masked"
    else
        local want=/dev/null
        [ -e "$case.$name.exact" ] && want=$case.$name.exact
        diff -u --label "$name wanted" --label "$name" "$want" "$output.masked"
    fi
}

run_case() { # run_case CASE: "ok NAME" or "not ok NAME" and why
    local case=$1 name=${1#"$cases/"} work status want=0 said
    work=$dir/$name
    mkdir -p "$work/cwd"
    (cd "$work/cwd" && SHALE_ROOT=$work/root timeout 120 bash -c '
        . "$CASES/lib.sh"
        . "$0"' "$case.sh" >"$work/stdout" 2>"$work/stderr" </dev/null)
    status=$?
    [ -n "${UPDATE:-}" ] && { rm -f "$case.exit"; [ $status -eq 0 ] || echo $status >"$case.exit"; }
    [ -e "$case.exit" ] && want=$(cat "$case.exit")
    said=$(
        [ "$status" = "$want" ] || echo "exit status $status, wanted $want"
        check_stream "$case" stdout "$work/stdout" "$work"
        check_stream "$case" stderr "$work/stderr" "$work"
    )
    if [ -z "$said" ]; then
        echo "ok $name"
    else
        printf 'not ok %s\n%s\n' "$name" "$(head -n 100 <<<"$said")"
    fi
}

# The cases that need root; their sum is added to ours.
by_sudo() {
    local sum
    if ! command -v sudo >/dev/null; then
        echo "not ok: $need_root cases run containers, which needs root here, and there is no sudo"
        n=$((n + need_root))
        return
    fi
    echo "$need_root cases run containers, which needs root: going on by sudo"
    # shellcheck disable=SC2024 # the file is ours
    sudo NEEDS=root T="${T:-}" SHALE="$SHALE" JOBS="$jobs" KEEP="${KEEP:-}" SHALE_TEST_DIR="${SHALE_TEST_DIR:-}" \
        ASAN_OPTIONS="${ASAN_OPTIONS:-}" UBSAN_OPTIONS="${UBSAN_OPTIONS:-}" tests/run-cli.sh >"$dir/by-sudo"
    sed '$d' "$dir/by-sudo"
    sum=$(tail -n 1 "$dir/by-sudo" | grep -E '^[0-9]+ passed, [0-9]+ failed$') || sum="0 passed, $need_root failed"
    passed=$((passed + ${sum%% *})) n=$((n + need_root))
}

clean_environment
mkdir -p "$HOME"
n=0 need_root=0
for file in "$cases"/*/*.sh; do
    case=${file%.sh}
    # shellcheck disable=SC2053 # a pattern is wanted
    [[ -z "${T:-}" || ${case#"$cases/"} == $T ]] || continue
    needs=$(cat "$case.needs" 2>/dev/null)
    [ -z "${NEEDS:-}" ] || [ "$needs" = "$NEEDS" ] || continue
    if [ "$needs" = root ] && [ "$(id -u)" -ne 0 ]; then
        need_root=$((need_root + 1))
        continue
    fi
    n=$((n + 1))
    run_case "$case" >"$dir/result.$n" &
    while [ "$(jobs -pr | wc -l)" -ge "$jobs" ]; do wait -n; done
done
wait
for i in $(seq $n); do
    cat "$dir/result.$i"
done
passed=$(cat "$dir"/result.* 2>/dev/null | grep -c '^ok ')
[ $need_root -eq 0 ] || by_sudo
echo "$passed passed, $((n - passed)) failed"
[ "$passed" -eq "$n" ] && [ "$n" -gt 0 ]

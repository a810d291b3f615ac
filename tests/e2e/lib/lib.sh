# What the end-to-end tests share; read by tests/run-e2e.sh into each test's shell. A test starts in its own empty
# directory $W with ctx/ in it, $SHALE_ROOT a store that knows base:1, `set -euo pipefail` on.
# shellcheck shell=bash

fail() {
    echo "failed: $*" >&2
    exit 1
}

# Only for what a machine may lack without being at fault (a Docker engine): named, and not counted as passed.
not_here() {
    echo "$*"
    exit 77
}

eq() { # eq EXPECTED ACTUAL [WHAT]
    [ "$1" = "$2" ] || fail "${3:-value}: expected '$1', got '$2'"
}

has() { # has FILE TEXT: a line of it has the text
    grep -qF -- "$2" "$1" || { sed 's/^/  | /' "$1" >&2; fail "no '$2' in $1"; }
}

hasnt() {
    ! grep -nF -- "$2" "$1" >&2 || fail "'$2' is in $1"
}

# For a program whose absence would not show in what the test prints.
needs() { # needs PROGRAM
    command -v "$1" >/dev/null || fail "there is no $1 here (tests/setup.sh installs it)"
}

dockerfile() { # the Dockerfile from stdin
    cat >"${1:-ctx/Dockerfile}"
}

shale() {
    "$SHALE" "$@"
}

# build [FLAG...]: builds ctx; what it says goes to log, its standard output to out. Never into a Docker engine.
build() {
    local status=0
    "$SHALE" build --progress=plain --load=false "$@" ctx >out 2>log || status=$?
    [ $status -eq 0 ] || { sed 's/^/  | /' log >&2; return $status; }
}

build_fails() { # build_fails [FLAG...]: it must, with status 1; the last line of log is the sentence
    local status=0
    "$SHALE" build --progress=plain --load=false "$@" ctx >out 2>log || status=$?
    eq 1 $status "exit status of the failing build"
    sentence=$(grep '^ERROR: ' log | tail -n 1)
    [ -n "$sentence" ] || { sed 's/^/  | /' log >&2; fail "no ERROR line"; }
    eq "$sentence" "$(tail -n 1 log)" "the last line"
    hasnt log "Sanitizer"
}

says() { # says TEXT: the sentence of build_fails has it
    case $sentence in *"$1"*) ;; *) fail "the error says '$sentence', not '$1'" ;; esac
}

# How the step whose name has the text ended: CACHED, REUSED, DONE, ERROR, CANCELED; "" when there is no such step.
how() {
    awk -v text="$1" '
        $1 !~ /^#[0-9]+$/ { next }
        { rest = substr($0, length($1) + 2) }
        !($1 in seen) { seen[$1] = 1; if (id == "" && rest ~ /^\[/ && index(rest, text)) id = $1 }
        $1 == id && rest ~ /^(CACHED$|REUSED |DONE |ERROR|CANCELED)/ { sub(/[: ].*/, "", rest); print rest; exit }' log
}

ran() {
    local step
    for step in "$@"; do eq DONE "$(how "$step")" "step '$step'"; done
}

cached() {
    local step
    for step in "$@"; do eq CACHED "$(how "$step")" "step '$step'"; done
}

reused() { # by what an earlier run looked at
    local step
    for step in "$@"; do eq REUSED "$(how "$step")" "step '$step'"; done
}

# Every step of the log but FROM was known.
all_cached() {
    local bad
    bad=$(awk '
        $1 !~ /^#[0-9]+$/ { next }
        { rest = substr($0, length($1) + 2) }
        !($1 in name) { name[$1] = rest }
        rest ~ /^(DONE |ERROR|CANCELED)/ && name[$1] ~ /^\[([^ ]+ )?[0-9]+\/[0-9]+\] / &&
            name[$1] !~ /\] FROM / { print name[$1] }' log)
    [ -z "$bad" ] || fail "these ran: $bad"
    grep -q 'CACHED' log || { cat log >&2; fail "no step was CACHED"; }
}

# The line of reason of the step whose name has the text; "" when it has none.
why() {
    awk -v text="$1" '
        $1 !~ /^#[0-9]+$/ { next }
        { rest = substr($0, length($1) + 2) }
        !($1 in seen) { seen[$1] = 1; if (id == "" && rest ~ /^\[/ && index(rest, text)) id = $1 }
        $1 == id && rest ~ /^=> / { print substr(rest, 4); exit }' log
}

# inside CMD...: runs it in the image t.
inside() {
    "$SHALE" run t "$@"
}

# oci FLAG...: builds ctx with -o type=oci into the directory oci (again: replaces it).
oci() {
    rm -rf oci oci.tar
    build -o type=oci,dest=oci.tar "$@"
    mkdir oci
    tar -C oci -xf oci.tar
}

oci_blob() { # oci_blob DIGEST: path
    echo "oci/blobs/sha256/${1#sha256:}"
}

oci_manifest() { # path of the (only) manifest
    local digest
    digest=$(jq -r '.manifests[0].digest' oci/index.json)
    oci_blob "$digest"
}

config() { # config JQ: of the image's configuration in oci
    jq -cr "$1" "$(oci_blob "$(jq -r .config.digest "$(oci_manifest)")")"
}

layer_ids() { # the diff ids, one a line
    config '.rootfs.diff_ids[]'
}

# tree DIR [FLAG...]: builds ctx and puts the result's files into DIR, with their owners.
tree() {
    local where=$1
    shift
    rm -rf "$where" tree.tar
    build -o type=tar,dest=tree.tar "$@"
    mkdir "$where"
    tar -C "$where" --numeric-owner -xpf tree.tar
}

# What a tree holds, without times: "TYPE MODE UID GID SIZE-or-LINK PATH SUM".
listing() { # listing DIR
    (cd "$1" && find . -mindepth 1 \( -type f -printf '%y %m %U %G %s %p ' -exec sh -c 'sha256sum <"$1"' _ {} \; \) \
        -o \( -type l -printf '%y %U %G %l %p\n' \) -o -printf '%y %m %U %G %p\n' | sort)
}

same_tree() { # same_tree A B
    listing "$1" >a.listing
    listing "$2" >b.listing
    diff -u a.listing b.listing >&2 || fail "$1 and $2 differ"
}

# Groups of containers that are over. One common parent named shale may stay.
empty_cgroups() {
    local group
    find /sys/fs/cgroup -mindepth 2 -path '*shale*' -name cgroup.procs 2>/dev/null | while read -r group; do
        group=${group%/cgroup.procs}
        case $group in */shale) continue ;; esac
        [ -n "$(cat "$group/cgroup.procs" 2>/dev/null)" ] || [ ! -d "$group" ] || echo "$group"
    done
}

# No mount, no scratch, no runtime state and no process of ours is left; MARK is in the command line of the process.
# What dies with us may take a moment.
nothing_left() { # nothing_left MARK
    local left=
    for _ in $(seq 50); do
        left=$(
            grep -F "$SHALE_ROOT" /proc/self/mounts
            ls "$SHALE_ROOT/work" 2>/dev/null
            for p in /proc/[0-9]*; do
                if { tr '\0' ' ' <"$p/cmdline"; } 2>/dev/null | grep -qF -- "$1"; then echo "process ${p#/proc/}"; fi
            done
            find /run/runc /run/crun -maxdepth 1 -name '*shale*' 2>/dev/null
            empty_cgroups
        ) || :
        [ -n "$left" ] || return 0
        sleep 0.1
    done
    fail "left behind: $left"
}

# A registry on loopback: sets REGISTRY=localhost:PORT; ends with the test.
start_registry() {
    local port config=$W/registry.yml
    for _ in 1 2 3 4 5; do
        port=$((20000 + RANDOM % 20000))
        cat >"$config" <<END
version: 0.1
log: { level: warn }
storage: { filesystem: { rootdirectory: $W/registry }, delete: { enabled: true } }
http: { addr: "127.0.0.1:$port" }
END
        docker-registry serve "$config" >"$W/registry.log" 2>&1 &
        registry_pid=$!
        trap 'kill $registry_pid 2>/dev/null || :' EXIT
        for _ in $(seq 50); do
            kill -0 $registry_pid 2>/dev/null || break
            if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
                # shellcheck disable=SC2034 # for the test
                REGISTRY=localhost:$port
                return
            fi
            sleep 0.1
        done
        kill $registry_pid 2>/dev/null || :
    done
    fail "docker-registry does not start: $(tail -n 2 "$W/registry.log")"
}

skopeo_copy() {
    skopeo --insecure-policy copy -q --src-tls-verify=false --dest-tls-verify=false "$@"
}

# registry_ask METHOD PATH [TYPE FILE]: the status of the answer, in plain HTTP; FILE is the body.
registry_ask() {
    local status body=${4:-/dev/null}
    exec 3<>"/dev/tcp/127.0.0.1/${REGISTRY#*:}"
    {
        printf '%s /v2/%s HTTP/1.0\r\nHost: %s\r\nContent-Type: %s\r\nContent-Length: %s\r\n\r\n' \
            "$1" "$2" "$REGISTRY" "${3:-application/octet-stream}" "$(wc -c <"$body")"
        cat "$body"
    } >&3
    read -r _ status _ <&3
    exec 3<&-
    echo "$status"
}

put_manifest() { # put_manifest NAME REFERENCE TYPE FILE
    eq 201 "$(registry_ask PUT "$1/manifests/$2" "$3" "$4")" "the registry's answer to a manifest"
}

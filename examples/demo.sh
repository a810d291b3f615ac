#!/bin/bash
# demo.sh: what shale does, on a small real service: a first build, the same build again, a build after an edit of
# one source file, and the service that came out of it, run and asked over HTTP. Prints the three times and what
# each step did. Everything it makes is under out/demo (DEMO_DIR), the store too; `make clean` takes it away.
#
#   SHALE      the program (default: out/shale)
#   BASE=apt   make the base image from the distribution's packages without asking a registry
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
SHALE=${SHALE:-$here/out/shale}
DEMO_DIR=${DEMO_DIR:-$here/out/demo}
BASE=${BASE:-}
PATH=$PATH:/usr/sbin:/sbin
base=python:3.11-slim
image=python-service
export SHALE_ROOT=$DEMO_DIR/store

say() {
    printf '%s\n' "$@"
}

fail() {
    echo "demo: $*" >&2
    exit 1
}

need_root() {
    [ "$(id -u)" -ne 0 ] || return 0
    command -v sudo >/dev/null || fail "running containers needs root here, and there is no sudo"
    say "running containers needs root: going on by sudo"
    exec sudo SHALE="$SHALE" DEMO_DIR="$DEMO_DIR" BASE="$BASE" "$here/examples/demo.sh"
}

# The package sources of this machine, without other vendors' lists.
apt_sources() {
    local file
    for file in /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list.d/ubuntu.sources /etc/apt/sources.list; do
        if [ -e "$file" ] && grep -Eq '^(URIs:|deb )' "$file"; then
            echo "$file"
            return
        fi
    done
    fail "no package sources in /etc/apt to make a base image from"
}

# Stands in for python:3.11-slim: this distribution's python3, and a `pip` that installs the distribution's
# package of each requirement, as no package index can be counted on where no registry answers.
make_base() {
    local suite sources tar=$DEMO_DIR/base.tar
    # shellcheck disable=SC1091 # a file of the system
    suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
    [ -n "$suite" ] || fail "/etc/os-release names no VERSION_CODENAME"
    sources=$(apt_sources)
    say "making $base from the packages of $suite (about 20 s)"
    # shellcheck disable=SC2016 # $1 is the hook's
    mmdebstrap --quiet --variant=minbase --include=apt,python3,ca-certificates \
        --aptopt='APT::Install-Recommends "false"' \
        --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' \
        --customize-hook='ln -s /usr/bin/python3 "$1/usr/local/bin/python"' \
        --customize-hook="copy-in $here/examples/stand-in/pip /usr/local/bin" \
        --customize-hook='chmod 755 "$1/usr/local/bin/pip"; chown 0:0 "$1/usr/local/bin/pip"' \
        "$suite" "$tar" "$sources" >"$DEMO_DIR/base.log" 2>&1 ||
        { tail -n 10 "$DEMO_DIR/base.log" >&2; fail "mmdebstrap could not make the base image"; }
    "$SHALE" import --change 'CMD ["python"]' \
        --change 'ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8' \
        "$tar" "$base" >/dev/null
    rm -f "$tar"
}

# A build that does nothing but FROM brings the base into the store, or says that it cannot be had.
get_base() {
    local dir=$DEMO_DIR/base
    if "$SHALE" images | grep -q "^python  *3.11-slim "; then
        say "base: $base is in the store"
        return
    fi
    mkdir -p "$dir"
    printf 'FROM %s\n' "$base" >"$dir/Dockerfile"
    if [ "$BASE" != apt ] && "$SHALE" build --load=false -q "$dir" >/dev/null 2>"$DEMO_DIR/base.log"; then
        say "base: pulled $base"
        return
    fi
    [ "$BASE" = apt ] || say "base: $(sed -n 's/^ERROR: //p' "$DEMO_DIR/base.log" | tail -n 1)"
    make_base
}

# What each step of a log in plain progress did: "  CACHED  [2/5] WORKDIR /app".
steps() { # steps LOG
    awk '
        $1 ~ /^#[0-9]+$/ && $2 ~ /^\[([^ ]+ )?[0-9]+\/[0-9]+\]?$/ && !($1 in name) {
            name[$1] = substr($0, length($1) + 2); order[++n] = $1 }
        $2 == "CACHED" && NF == 2 { how[$1] = "CACHED" }
        $2 == "DONE" { how[$1] = "ran " $3 }
        END { for (i = 1; i <= n; i++) printf "    %-9s %s\n", how[order[i]], name[order[i]] }' "$1"
}

ms() {
    local t=$EPOCHREALTIME
    echo $((${t/[.,]/} / 1000))
}

# build WHAT [FLAG]: one timed build of the copy; its progress goes to a file that is shown whole if it fails.
build() {
    local what=$1 log=$DEMO_DIR/build.log start end
    shift
    start=$(ms)
    "$SHALE" build --progress=plain --load=false "$@" -t "$image" "$DEMO_DIR/app" >"$log" 2>&1 ||
        { cat "$log" >&2; fail "$what: the build failed"; }
    end=$(ms)
    say "" "$what: $((end - start)) ms"
    steps "$log"
    times+=("$(printf '%-24s %6d ms' "$what" $((end - start)))")
}

free_port() {
    local port
    for port in $(seq 18080 18180); do
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
    done
    fail "no free port"
}

get() { # get PORT PATH: the body of the answer
    local line
    exec 3<>"/dev/tcp/127.0.0.1/$1" || return 1
    printf 'GET %s HTTP/1.0\r\n\r\n' "$2" >&3
    while IFS= read -r line <&3 && [ "$line" != $'\r' ]; do :; done
    cat <&3
    exec 3<&-
}

try_service() {
    local port pid answer=
    port=$(free_port)
    "$SHALE" run -e "PORT=$port" -e HOST=127.0.0.1 "$image" >"$DEMO_DIR/service.log" 2>&1 &
    pid=$!
    for _ in $(seq 100); do
        kill -0 "$pid" 2>/dev/null || break
        answer=$(get "$port" / 2>/dev/null) && [ -n "$answer" ] && break
        sleep 0.1
    done
    kill -TERM "$pid" 2>/dev/null || :
    wait "$pid" || :
    [ "$answer" = "$1" ] || { cat "$DEMO_DIR/service.log" >&2; fail "the service answered '$answer', not '$1'"; }
    say "" "${SHALE#"$here/"} run $image: GET / answers \"$answer\""
}

main() {
    [ -x "$SHALE" ] || fail "no $SHALE: run make first"
    need_root
    mkdir -p "$DEMO_DIR"
    get_base
    times=()
    rm -rf "$DEMO_DIR/app"
    cp -r "$here/examples/python-service" "$DEMO_DIR/app"
    # --no-cache: a first build also when the demo has run before.
    build "first build" --no-cache
    build "nothing changed"
    greeting="hello after the edit of $(date +%T)"
    sed -i "s/^GREETING = .*/GREETING = \"$greeting\"/" "$DEMO_DIR/app/app.py"
    build "one source file edited"
    try_service "$greeting"
    say "" "${times[@]}"
}
main

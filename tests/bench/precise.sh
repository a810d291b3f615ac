#!/bin/bash
# precise.sh: what precise RUN costs and gives, in ms: medians of RUNS rounds, and beside them the medians of the rounds'
# ratios with what they should be. Says nothing about pass or fail: a busy machine is no fault.
#
# - a step that is observed beside the same step that is not (`--trace=off`), each time with another ARG, so that both run: a C
#   compile, an apt install, an npm install, and the worst that can be: find and cat of WORST files;
# - one source file changed where `COPY . .` comes before the install, beside the well-ordered Dockerfile and, when DOCKER_HOST
#   names an engine, `docker build` of the first there.
#
# The base image is made by mmdebstrap from the machine's package sources, with the packages to be installed beside it, so that no
# network is measured; it is kept in BENCH_BASE. npm is the machine's; without one its row says so.
#
#   SHALE, WORST (20000), FILES (2000), RUNS (7), DOCKER (the docker client), DOCKER_FLAGS (of its build), BENCH_DIR (out/bench-precise),
#   BENCH_BASE (out/bench-base.tar)
set -euo pipefail
cd "$(dirname "$0")/../.."
export LC_ALL=C PATH=$PATH:/usr/sbin:/sbin
SHALE=$(realpath "${SHALE:-out/shale}")
WORST=${WORST:-20000} FILES=${FILES:-2000} RUNS=${RUNS:-7} DOCKER=${DOCKER:-docker}
dir=$(realpath -m "${BENCH_DIR:-out/bench-precise}") base=$(realpath -m "${BENCH_BASE:-out/bench-base.tar}")
export SHALE_ROOT=$dir/store
name=shale-bench-$$
to_install='jq less file patch bzip2 xz-utils bc'
# shellcheck source=tests/bench/lib.sh
. tests/bench/lib.sh

finish() {
    rm -rf "$dir"
    [ -z "${DOCKER_HOST:-}" ] || $DOCKER image rm -f $name:1 $name:2 $name-base:1 >/dev/null 2>&1 || :
}

apt_sources() {
    local file
    for file in /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list.d/ubuntu.sources /etc/apt/sources.list; do
        if [ -e "$file" ] && grep -Eq '^(URIs:|deb )' "$file"; then
            echo "$file"
            return
        fi
    done
    echo "no package sources in /etc/apt to make a base image from" >&2
    exit 1
}

# A compiler, apt with what it will install, and the machine's npm where it is plain enough to be copied.
bootstrap() {
    local suite npm=()
    [ -e "$base" ] && return
    # shellcheck disable=SC1091 # a file of the system
    suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
    # shellcheck disable=SC2016 # $1 is the hook's
    [ ! -d /usr/lib/node_modules/npm ] || npm=(--customize-hook='copy-in /usr/bin/node /usr/bin'
        --customize-hook='mkdir -p "$1/usr/lib/node_modules"' --customize-hook='copy-in /usr/lib/node_modules/npm /usr/lib/node_modules'
        --customize-hook='ln -s ../lib/node_modules/npm/bin/npm-cli.js "$1/usr/bin/npm"')
    mkdir -p "$(dirname "$base")"
    # shellcheck disable=SC2016 # $1 is the hook's
    mmdebstrap --quiet --variant=minbase --include=apt,gcc,libc6-dev,make --skip=cleanup/apt \
        --aptopt='APT::Install-Recommends "false"' --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
        --customize-hook='rm -f "$1"/var/cache/apt/archives/*.deb' \
        --customize-hook="chroot \"\$1\" apt-get install -y --download-only $to_install" \
        ${npm[@]+"${npm[@]}"} "$suite" "$base.new" "$(apt_sources)" --format=tar >"$dir/log" 2>&1 || { cat "$dir/log" >&2; exit 1; }
    mv "$base.new" "$base"
}

import() {
    "$SHALE" import --change 'ENV PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive' "$base" \
        "$name-base:1" >/dev/null
    [ -z "${DOCKER_HOST:-}" ] || $DOCKER import --change 'ENV DEBIAN_FRONTEND=noninteractive' "$base" "$name-base:1" >/dev/null
}

# step DIR COMMAND: `COPY . .` and a RUN of the command that is never known.
step() {
    mkdir -p "$1"
    printf 'FROM %s-base:1\nWORKDIR /app\nCOPY . .\nARG ROUND\nRUN %s\n' "$name" "$2" >"$1/Dockerfile"
}

# Sources of ours that need no library's headers.
compile_context() {
    local file
    step "$1" 'make -j2 -s'
    for file in base/*.[ch] dockerfile/*.[ch]; do
        ! grep -qE '^#include (<(archive|isa-l|jansson|openssl|xxhash|zlib|zstd)|"base/(archive_api|json)\.h)' "$file" || continue
        install -D -m 644 "$file" "$1/$file"
    done
    # shellcheck disable=SC2016 # make expands
    printf 'all: $(patsubst %%.c,/tmp/o/%%.o,$(wildcard */*.c))\n/tmp/o/%%.o: %%.c\n\t@mkdir -p $(@D)\n' >"$1/Makefile"
    printf '\tgcc -std=gnu17 -D_GNU_SOURCE -I. -O1 -c -o $@ $<\n' >>"$1/Makefile"
}

apt_context() {
    make_context "$1" "$FILES"
    echo "$to_install" >"$1/packages"
    step "$1" 'xargs apt-get install -qq -y --no-download <packages'
}

# Packages of 30 files each, in the context as tarballs.
npm_context() {
    local i k package=$dir/npm/package
    make_context "$1" "$FILES"
    step "$1" 'npm install --offline --no-audit --no-fund --cache /tmp/npm'
    mkdir -p "$1/vendor" "$package/lib"
    for i in $(seq 20); do
        for k in $(seq 30); do echo "module.exports = $i * $k" >"$package/lib/$k.js"; done
        printf '{"name":"p%d","version":"1.0.%d","main":"lib/1.js"}\n' "$i" "$i" >"$package/package.json"
        tar -C "$dir/npm" -czf "$1/vendor/p$i.tgz" package
    done
    seq 20 | awk 'BEGIN { printf "{\"name\":\"app\",\"version\":\"1.0.0\",\"dependencies\":{" }
        { printf "%s\"p%d\":\"file:vendor/p%d.tgz\"", (NR > 1 ? "," : ""), $1, $1 } END { print "}}" }' >"$1/package.json"
}

# What was copied for the two orders of the same steps.
ordered_context() {
    apt_context "$1"
    printf 'FROM %s-base:1\nWORKDIR /app\nCOPY packages .\nRUN %s\nCOPY . .\n' "$name" \
        'xargs apt-get install -qq -y --no-download <packages' >"$1/Dockerfile.well"
    printf '%s\n' Dockerfile Dockerfile.well >"$1/.dockerignore"
}

# Ways, on the context $ctx; $word is another word each time.
another_round() { word=$1; }
another_file() { one_file "$1"; }
traced() { "$SHALE" build --progress=plain --load=false --trace=on --build-arg "ROUND=$word" "$ctx"; }
untraced() { "$SHALE" build --progress=plain --load=false --trace=off --build-arg "ROUND=$word" "$ctx"; }
copy_first() { "$SHALE" build --progress=plain --load=false -t "$name:1" "$ctx"; }
well_ordered() { "$SHALE" build --progress=plain --load=false -t "$name:1" -f "$ctx/Dockerfile.well" "$ctx"; }

row() { printf '%-36s%10s%14s%14s   %s\n' "$@"; }

# overhead WHAT CONTEXT TARGET
overhead() {
    ctx=$2 word=first
    measure another_round traced untraced
    row "$1" "$(median traced)" "$(median untraced)" - "observed takes $(ratio traced untraced) x the other ($3)"
}

order() {
    local docker=- beside=
    ctx=$dir/order
    if [ -n "${DOCKER_HOST:-}" ]; then
        measure another_file copy_first well_ordered docker_build
        docker=$(median docker_build)
        beside="; Docker takes $(ratio docker_build copy_first) x the first"
    else
        measure another_file copy_first well_ordered
    fi
    row "COPY . . before apt, one file changed" "$(median copy_first)" "$(median well_ordered)" "$docker" \
        "$(ratio copy_first well_ordered) x the well-ordered (at most 2)$beside"
}

rm -rf "$dir"
trap finish EXIT
mkdir -p "$dir"
bootstrap
import
compile_context "$dir/compile"
apt_context "$dir/apt"
npm_context "$dir/npm-install"
ordered_context "$dir/order"
make_context "$dir/worst" "$WORST"
step "$dir/worst" 'find . -type f | xargs cat | wc -c'
sleep 1.1 # files that changed just now are read again

echo "ms, medians of $RUNS rounds, $(nproc) processors${DOCKER_HOST:+, engine $DOCKER_HOST}"
row "" "observed" "not observed" "" ""
overhead "C compile, $(find "$dir/compile" -name '*.c' | wc -l) files, make -j2" "$dir/compile" "at most 1.05"
overhead "apt install, $FILES files copied" "$dir/apt" "at most 1.05"
if tar -tf "$base" ./usr/bin/npm >/dev/null 2>&1; then
    overhead "npm install, $FILES files copied" "$dir/npm-install" "at most 1.05"
else
    row "npm install" - - - "not here: /usr/lib/node_modules/npm"
fi
overhead "find and cat of $WORST files" "$dir/worst" "the worst case"
echo
row "" "COPY first" "well-ordered" "docker build" ""
order

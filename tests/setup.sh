#!/bin/sh
# setup.sh PURPOSE...: installs the distribution's packages that a purpose lacks, and says which.
#
#   build   compiler and libraries
#   test    what the tests run beside shale
#   demo    what `make demo` needs to run a container and to make a base image
#   ci      what .ci/run adds: clang, clang-format, libFuzzer's runtime
#   list    with any of these: print the packages, install nothing
#
# Debian 12, Ubuntu 24.04 and their relatives: apt-get, through sudo when not root. Elsewhere the packages are
# named under their Debian names and the script ends with 1. When all is there it asks dpkg and does nothing more.
set -eu
PATH=$PATH:/usr/sbin:/sbin

# purpose package [command that serves as well, so that another vendor's package is left alone]
needs() {
    cat <<'END'
build gcc
build libc6-dev
build make make
build pkg-config pkg-config
build libjansson-dev
build libarchive-dev
build libssl-dev
build libcurl4-openssl-dev
build libxxhash-dev
build libzstd-dev
build libsqlite3-dev
build zlib1g-dev
demo ca-certificates
demo runc runc
demo mmdebstrap mmdebstrap
test ca-certificates
test runc runc
test libcmocka-dev
test busybox-static
test bash-static
test skopeo skopeo
test umoci umoci
test docker-registry docker-registry
test openssl openssl
test jq jq
test git git
test attr setfattr
test python3 python3
test strace strace
test openssh-client ssh-agent
test faketime faketime
test bzip2 bzip2
test xz-utils xz
test zstd zstd
ci clang-14 clang-14
ci libclang-rt-14-dev
ci clang-format-14 clang-format-14
END
}

# Taken where the distribution has it, not missed where it has not.
optional() {
    echo "build libisal-dev"
}

say() {
    echo "setup: $*" >&2
}

wanted() { # wanted TABLE PURPOSE...: the lines "package [command]"
    table=$1
    shift
    for purpose in "$@"; do
        $table | sed -n "s/^$purpose //p"
    done | sort -u
}

# Those of the lines on stdin that are not here.
missing() {
    lines=$(cat)
    # shellcheck disable=SC2046 # words are wanted
    have=" $(dpkg-query -W -f='${Package}=${db:Status-Status} ' $(echo "$lines" | cut -d' ' -f1) 2>/dev/null || :)"
    echo "$lines" | while read -r package command; do
        [ -n "$package" ] || continue
        case $have in *" $package=installed "*) continue ;; esac
        [ -z "$command" ] || ! command -v "$command" >/dev/null || continue
        echo "$package"
    done
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        say "not root, and there is no sudo: run as root: $*"
        exit 1
    fi
}

apt() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o Dpkg::Use-Pty=0 -o APT::Cmd::Disable-Script-Warning=1 "$@"
}

install() { # install PACKAGE...
    log=$(mktemp)
    how=
    [ "$(id -u)" -eq 0 ] || how=" by sudo"
    say "installing$how: $*"
    # --no-remove: rather fail than take away another vendor's runtime or engine.
    if ! apt update >"$log" 2>&1 ||
        ! apt install -y --no-install-recommends --no-remove "$@" >"$log" 2>&1; then
        tail -n 20 "$log" >&2
        rm -f "$log"
        say "apt-get failed (its last lines are above)"
        exit 1
    fi
    rm -f "$log"
}

# An optional package that is not to be had is no failure, and none that is asked a password for.
add_optional() { # add_optional PURPOSE...
    packages=$(wanted optional "$@" | missing)
    [ -n "$packages" ] || return 0
    [ "$(id -u)" -eq 0 ] || sudo -n true 2>/dev/null || return 0
    for package in $packages; do
        case $(apt-cache policy "$package" 2>/dev/null) in *"Candidate: "[0-9]*) ;; *) continue ;; esac
        if apt install -y --no-install-recommends --no-remove "$package" >/dev/null 2>&1; then
            say "installed $package (optional)"
        else
            say "no $package here (optional)"
        fi
    done
}

main() {
    list=
    [ "${1:-}" != list ] || { list=1; shift; }
    [ $# -gt 0 ] || { sed -n '2,11s/^# \{0,1\}//p' "$0" >&2; exit 2; }
    for purpose in "$@"; do
        case $purpose in build | test | demo | ci) ;; *) say "no purpose '$purpose'"; exit 2 ;; esac
    done
    names=$(wanted needs "$@" | cut -d' ' -f1 | tr '\n' ' ')
    if [ -n "$list" ]; then
        echo "$names"
        exit 0
    fi
    if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
        say "this is not a Debian or Ubuntu system; install what these Debian packages hold: $names"
        say "then say SETUP=no to make"
        exit 1
    fi
    packages=$(wanted needs "$@" | missing)
    # shellcheck disable=SC2086 # words are wanted
    [ -z "$packages" ] || install $packages
    # The tests start a registry of their own; the package's service is not wanted for that.
    case " $packages " in *docker-registry*)
        [ ! -d /run/systemd/system ] || as_root systemctl disable --now docker-registry 2>/dev/null || :
        ;;
    esac
    add_optional "$@"
}
main "$@"

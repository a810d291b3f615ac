# The set-up script, where it can be tried without changing the machine.
# shellcheck shell=bash

t_packages_are_listed_for_each_purpose() {
    "$PROJECT/tests/setup.sh" list build >names
    has names libsqlite3-dev
    hasnt names skopeo
    "$PROJECT/tests/setup.sh" list build test >names
    has names skopeo
}

t_another_distribution_is_told_what_to_install() {
    local status=0 program
    mkdir bin
    for program in sh sed sort cut tr id cat; do ln -s "$(command -v $program)" bin/; done
    env -i PATH="$W/bin" "$W/bin/sh" "$PROJECT/tests/setup.sh" build 2>err || status=$?
    eq 1 $status
    has err "not a Debian or Ubuntu system"
    has err libarchive-dev
}

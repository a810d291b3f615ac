# The README's example is run as it stands there.
# shellcheck shell=bash

# Writes the blocks behind "<!-- file PATH -->" to their paths and that behind "<!-- run -->" to session.
take_blocks() {
    awk '
        /^<!-- file .* -->$/ { to = $3; next }
        /^<!-- run -->$/ { to = "session"; next }
        /^```/ && to != "" && !inside { inside = 1; system("mkdir -p \"$(dirname " to ")\""); printf "" > to; next }
        /^```/ && inside { inside = 0; close(to); to = ""; next }
        inside { print > to }' "$1"
}

# Times, ids and sizes are those of the machine that the README was written on.
without_numbers() {
    sed -E 's/sha256:[0-9a-f]{64}/sha256:ID/g; s/ [0-9]+\.[0-9]+s( done)?$/ TIME/; s/ [0-9.]+k?B done/ SIZE done/; s/ \([0-9.]+ [a-z]+ the last time\)//' "$1"
}

t_the_example_is_what_really_comes_out() {
    local line
    take_blocks "$PROJECT/README.md"
    [ -s session ] || fail "the README has no example"
    mkdir bin
    # Not into a Docker engine of this machine.
    # shellcheck disable=SC2016 # the script expands
    printf '%s\n' '#!/bin/sh' 'case $1 in build) shift; exec "$SHALE" build --load=false "$@" ;; esac' \
        'exec "$SHALE" "$@"' >bin/shale
    chmod +x bin/shale
    unset -f shale
    export PATH=$W/bin:$PATH
    shale import --change 'ENV PATH=/bin' "$TEMPLATE/base.tar" busybox:1.36 >/dev/null
    while IFS= read -r line; do
        printf '$ %s\n' "$line"
        eval "$line" 2>&1
    done < <(sed -n 's/^\$ //p' session) >really
    without_numbers session >expected
    without_numbers really | diff -u expected - || fail "the README's example gives something else"
}

t_the_commands_it_names_are_targets() {
    local target
    for target in demo test install; do
        grep -q "^$target:" "$PROJECT/Makefile" || fail "no target '$target'"
    done
}

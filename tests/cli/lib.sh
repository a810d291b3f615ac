# Helpers for the cases of tests/cli. Read by tests/run-cli.sh before each case.
# shellcheck shell=bash

# shale ...: the program; builds stay away from a Docker engine that may be here.
shale() {
    if [ "${1:-}" = build ]; then
        shift
        set -- build --load=false "$@"
    fi
    "$SHALE" "$@"
}

# dockerfile LINE...: writes ./Dockerfile.
dockerfile() {
    printf '%s\n' "$@" >Dockerfile
}

# layer_tar FILE: a root file system's tar with one small file, always the same bytes.
layer_tar() {
    mkdir -p rootfs/etc
    echo hello >rootfs/etc/motd
    tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -C rootfs -cf "$1" .
    rm -r rootfs
}

# base NAME: imports that tar as NAME; prints nothing.
base() {
    layer_tar base.tar && shale import base.tar "$1" >/dev/null
}

# commands NAME: imports an image with busybox's commands; for cases that run containers.
commands() {
    mkdir -p bb/bin bb/etc bb/tmp
    cp "$(type -P busybox)" bb/bin/busybox || return
    for applet in sh echo cat ls true false sleep printf kill; do ln -s busybox "bb/bin/$applet"; done
    echo root:x:0:0:root:/root:/bin/sh >bb/etc/passwd
    tar -C bb -cf bb.tar . && shale import bb.tar "$1" >/dev/null && rm -r bb bb.tar
}

# counted NAME N...: as if RUN steps had been counted in the store that is there.
counted() {
    python3 - "$SHALE_ROOT/shale.db" "$@" <<'END'
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
for name, n in zip(sys.argv[2::2], sys.argv[3::2]):
    db.execute("INSERT INTO counters VALUES (?, ?)", (name, int(n)))
db.commit()
END
}

# on_terminal ROWS COLUMNS COMMAND...: with standard input, output and error on a terminal; what it shows to stdout.
on_terminal() {
    local rows=$1 columns=$2
    shift 2
    script -qec "stty rows $rows cols $columns 2>/dev/null; TERM=xterm ${*@Q}" /dev/null </dev/null
}

# last_picture: of a live table on standard input, the part after the last time that the cursor was hidden.
last_picture() {
    tr -d '\r' | sed -n '/\x1b\[?25l/h; /\x1b\[?25l/!H; ${x;p}' | sed 's/.*\x1b\[?25l//; s/\x1b\[[0-9;?]*[A-Za-z]//g'
}

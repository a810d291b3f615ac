# An unchanged rebuild is work on metadata: counted with strace, not timed (`make bench` times it).
# shellcheck shell=bash

t_an_unchanged_rebuild_of_2000_files_mounts_nothing_and_writes_no_files() {
    needs strace
    mkdir ctx/src
    local i
    for i in $(seq 2000); do
        mkdir -p "ctx/src/$((i % 40))"
        echo "file $i" >"ctx/src/$((i % 40))/$i.txt"
    done
    dockerfile <<'END'
FROM base:1
WORKDIR /app
COPY src/1 /first
RUN cat /first/* | wc -c > /size
COPY . .
RUN ls -R . > /names
END
    build -t t
    # The second build may write down what the first could not trust yet (files as young as the clock is coarse).
    sleep 1.1
    build -t t
    all_cached
    find "$SHALE_ROOT/trees" -printf '%p %C@\n' | sort >before
    # No leak check under strace: it needs ptrace for itself.
    ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0 strace -f -qq -o trace \
        -e trace=mount,umount2,fsopen,fsconfig,fsmount,move_mount,open_tree,pivot_root,clone,clone3,fork,vfork,execve,unshare,setns \
        "$SHALE" build --progress=plain --load=false -t t ctx >out 2>log
    all_cached
    find "$SHALE_ROOT/trees" -printf '%p %C@\n' | sort | cmp - before
    ! grep -E ' (mount|umount2|fsopen|fsconfig|fsmount|move_mount|open_tree|pivot_root|unshare|setns)\(' trace >&2 ||
        fail "something was mounted"
    eq 1 "$(grep -c ' execve(' trace)" "programs started"
}

t_an_unchanged_rebuild_opens_no_file_of_the_context_but_what_it_parses() {
    needs strace
    mkdir ctx/src
    local i
    for i in $(seq 100); do echo "file $i" >"ctx/src/$i.txt"; done
    printf 'FROM base:1\nCOPY . /app\nRUN ls /app\n' | dockerfile
    build
    sleep 1.1
    build
    ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0 strace -f -qq -o trace -e trace=open,openat,openat2 \
        "$SHALE" build --progress=plain --load=false ctx >out 2>log
    all_cached
    ! grep -E '"[^"]*[0-9]+\.txt"' trace >&2 || fail "unchanged files were opened"
}

# synced FLAG...: how many syncs a rebuild in which nothing has changed waits for
synced() {
    ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0 strace -f -qq -o trace -e trace=fsync,fdatasync,sync_file_range,syncfs \
        "$SHALE" build --progress=plain --load=false "$@" ctx >out 2>log
    all_cached
    grep -cE ' (fsync|fdatasync|sync_file_range|syncfs)\(' trace || :
}

t_an_unchanged_rebuild_waits_for_no_disk() {
    needs strace
    echo one >ctx/one
    printf 'FROM base:1\nCOPY . /app\nRUN ls /app >/names\n' | dockerfile
    build -t t
    eq 0 "$(synced -t t)" "syncs"
    # Another name is news, and is on the disk when the build ends.
    [ "$(synced -t other)" -gt 0 ] || fail "a new name is not synced"
    eq 0 "$(synced -t other)" "syncs"
}

t_what_was_built_without_syncs_is_synced_by_the_next_build_that_does() {
    needs strace
    echo one >ctx/one
    printf 'FROM base:1\nCOPY . /app\n' | dockerfile
    build --no-durable -t t
    eq 0 "$(synced --no-durable -t t)" "syncs with --no-durable"
    [ "$(synced -t t)" -gt 0 ] || fail "what was built with --no-durable is believed to be on the disk"
    # The steps were cached, so their blobs are not written again: the store as a whole is synced, before the name.
    sed -n '/ syncfs(/,$p' trace | grep -q ' fdatasync(' ||
        fail "the blobs of cached steps are not synced before the name is"
    # Not so after the machine was started again.
    echo 0123456789abcdef0123456789abcdef >"$SHALE_ROOT/unsynced"
    eq 0 "$(synced -t t)" "syncs after a boot"
}

t_files_of_a_file_system_that_is_mounted_in_the_context_are_read_once() {
    needs strace
    mkdir ctx/m
    printf 'FROM base:1\nCOPY . /app\n' | dockerfile
    cat >in_mounts <<'END'
mount -t tmpfs tmpfs ctx/m || exit 77
mkdir ctx/m/d
echo one >ctx/m/1.txt
echo two >ctx/m/d/2.txt
sleep 0.3
"$SHALE" build --progress=plain --load=false ctx >out 2>log || exit
ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0 strace -f -qq -o trace -e trace=open,openat,openat2 \
    "$SHALE" build --progress=plain --load=false ctx >out 2>log
END
    unshare -m bash in_mounts || fail "exit status $?"
    all_cached
    ! grep -E '"[^"]*[0-9]+\.txt"' trace >&2 || fail "unchanged files were opened"
}

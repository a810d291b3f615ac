# RUN where shale is root of a user namespace only: trees with other owners and other marks of overlayfs.
# shellcheck shell=bash disable=SC2016 # what is in single quotes is for the container

# The helper of a step cannot go back to our PID namespace from there, so that no leak check can be started at its end.
export ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0

# The ways in: with our PID namespace, and with one of its own.
plain() { unshare -Umr "$@"; }
own_pids() { unshare -Umrpf --mount-proc "$@"; }

# ranged CMD...: 0 is root, 1 to 65535 are ids that nobody has: what newuidmap gives, written by root itself.
ranged() {
    local in=$W/ranged.in status=0 pid
    rm -f "$in" "$in.pid"
    mkfifo "$in"
    unshare -Um bash -c 'echo $$ >"$0.pid"; read -r _ <"$0"; exec "$@"' "$in" "$@" &
    pid=$!
    while [ ! -s "$in.pid" ]; do
        kill -0 $pid || fail "user namespaces cannot be made here"
        sleep 0.01
    done
    printf '0 0 1\n1 700000 65535\n' >"$in.map" # the kernel wants it in one write
    cat "$in.map" >"/proc/$(cat "$in.pid")/uid_map"
    cat "$in.map" >"/proc/$(cat "$in.pid")/gid_map"
    echo go >"$in"
    wait $pid || status=$?
    return $status
}

# own:1 is base:1 with nothing of other users than root: all that a namespace of one user can have.
own_base() {
    plain true || fail "user namespaces cannot be made here"
    tar -C "$TEMPLATE/root" --owner=0 --group=0 --numeric-owner --mtime=@1600000000 -cf own.tar .
    shale import --change 'ENV PATH=/usr/local/bin:/bin' own.tar own:1 >/dev/null 2>&1
}

built_in() { # built_in WAY [FLAG...]: build, in a user namespace
    local way=$1 status=0
    shift
    "$way" "$SHALE" build --progress=plain --load=false "$@" ctx >out 2>log || status=$?
    [ $status -eq 0 ] || { sed 's/^/  | /' log >&2; return $status; }
}

fails_in() { # fails_in WAY: the same, and it must fail
    local status=0
    "$1" "$SHALE" build --progress=plain --load=false ctx >out 2>log || status=$?
    eq 1 $status "exit status of the failing build"
    hasnt log Sanitizer
}

files_in() { # files_in WAY DIR [FLAG...]: tree, built in a user namespace
    local way=$1 where=$2
    shift 2
    rm -rf "$where" tree.tar
    built_in "$way" -o type=tar,dest=tree.tar "$@"
    mkdir "$where"
    tar -C "$where" --numeric-owner -xpf tree.tar
}

# Makes, changes, removes, and looks at what is left in a step of its own.
steps() {
    cat <<'END'
FROM own:1
RUN mkdir -p /srv/kept /srv/lost/deep && echo 1 >/srv/kept/a && echo 2 >/srv/lost/deep/b && chmod 4711 /srv/kept/a
RUN rm /opt/full/one && rm -rf /srv/lost && mkdir /srv/lost && echo 3 >/srv/lost/c && ln /srv/lost/c /srv/lost/d
RUN test ! -e /opt/full/one && test -e /opt/full/two && test ! -e /srv/lost/deep && ls -R /srv /opt >/seen
RUN cat /seen && id -u >/who && mv /srv/kept /srv/moved && rm -r /opt
RUN stat -c '%n %u %g %a' /srv/moved /srv/moved/a /who /bin/busybox >/owners
END
}

t_what_run_makes_changes_and_removes_is_as_for_root() {
    local way
    own_base
    steps | dockerfile
    cp -a "$SHALE_ROOT" first
    tree root.files
    [ ! -e root.files/opt ] || fail "root's own files are not as they should be"
    for way in plain own_pids; do
        rm -rf "$SHALE_ROOT"
        cp -a first "$SHALE_ROOT"
        files_in $way user.files
        ran 'RUN mkdir -p' 'RUN rm /opt' 'RUN test' 'RUN cat' 'RUN stat'
        same_tree root.files user.files
        files_in $way again.files
        all_cached
        same_tree root.files again.files
        nothing_left "$W"
    done
}

t_a_range_of_users_is_theirs_in_files_and_as_user() {
    plain true || fail "user namespaces cannot be made here"
    dockerfile <<'END'
FROM base:1
RUN echo 1 >/a && chown 7:8 /a && chown -h 1000:1001 /opt/link && chown 33 /home/app && chmod 2755 /a
USER app
RUN id -u >/tmp/u && id -g >>/tmp/u && ! rm /a 2>/dev/null
COPY --chown=12:34 Dockerfile /c
RUN stat -c '%u:%g' /c /a /home/app /tmp/u >/tmp/owners
END
    cp -a "$SHALE_ROOT" first
    tree root.files
    rm -rf "$SHALE_ROOT"
    mv first "$SHALE_ROOT"
    files_in ranged user.files
    ran 'RUN echo' 'RUN id' 'RUN stat'
    same_tree root.files user.files
    eq "1000 1001" "$(xargs <user.files/tmp/u)" "user and group of the step"
    built_in ranged
    all_cached
    nothing_left "$W"
    # To the machine's root these are other users.
    eq 1 "$(find "$SHALE_ROOT"/trees-*/*/a -uid 700006 -gid 700007 | wc -l)" "files of a mapped user"
}

t_owners_that_the_namespace_does_not_have_are_named() {
    own_base
    printf 'FROM base:1\nRUN echo no\n' | dockerfile
    fails_in plain
    has log "belongs to 1000:1001, which this user namespace does not have"
    printf 'FROM own:1\nUSER 1000\nRUN true\n' | dockerfile
    fails_in plain
    has log "cannot run as user 1000:1001, which this user namespace does not have"
    nothing_left "$W"
}

t_one_store_used_from_inside_and_outside_shows_each_its_own_trees() {
    own_base
    steps | dockerfile
    oci # the layers are packed with that, and so known to all
    built_in plain
    all_cached
    { steps; echo 'RUN test ! -e /opt && ls -R /srv/lost | tee /last'; } | dockerfile
    built_in plain
    cached 'RUN mkdir -p' 'RUN rm /opt' 'RUN stat'
    ran 'RUN test ! -e /opt &&'
    files_in plain user.files
    eq "/srv/lost: c d" "$(xargs <user.files/last)" "a directory that was made anew"
    tree root.files # that has packed the last one
    all_cached
    same_tree root.files user.files
    echo 'RUN ls -R /srv | grep -c deep >/deep; test ! -e /opt' >>ctx/Dockerfile
    tree root.files
    cached 'RUN test ! -e /opt &&'
    eq 0 "$(cat root.files/deep)"
    # Marks are of the kind that is read there, and only of that.
    getfattr -R -h -d -m overlay.opaque "$SHALE_ROOT"/trees >root.marks 2>/dev/null
    getfattr -R -h -d -m overlay.opaque "$SHALE_ROOT"/trees-* >user.marks 2>/dev/null
    has root.marks 'trusted.overlay.opaque="y"'
    has user.marks 'user.overlay.opaque="y"'
    hasnt root.marks user.overlay.opaque
    hasnt user.marks trusted.overlay.opaque
    nothing_left "$W"
}

# Only what is in the image is packed: of the other stages each side has its own trees.
t_what_only_the_other_side_has_is_made_again() {
    own_base
    dockerfile <<'END'
FROM own:1 AS one
RUN mkdir /made && echo 1 >/made/a && echo 2 >/made/b
FROM own:1
COPY --from=one /made/a /
END
    built_in plain
    built_in plain
    all_cached
    sed -i "s,one /made/a,one /made/b," ctx/Dockerfile
    tree root.files
    ran 'RUN mkdir'
    eq 2 "$(cat root.files/b)"
    sed -i "s,one /made/b,one /made," ctx/Dockerfile
    files_in plain user.files
    eq "1 2" "$(cat user.files/a user.files/b | xargs)" "what is copied inside"
    tree root.files
    same_tree root.files user.files
}

t_a_user_without_any_rights_can_run_in_a_namespace_of_its_own() {
    local theirs='mount --bind "$0" /mnt && cd /mnt && SHALE_ROOT=/mnt/theirs HOME=/mnt/outputs TMPDIR=/mnt/outputs
        exec setpriv --reuid=4321 --regid=4321 --clear-groups "$@"'
    own_base
    steps | dockerfile
    cp "$SHALE" shale
    cp -a "$SHALE_ROOT" theirs
    tree root.files
    mkdir outputs
    chown -R 4321:4321 theirs ctx outputs
    # Whatever is above $W may be closed to others: they see it under another name.
    unshare -m bash -c "$theirs" "$W" unshare -Umr \
        ./shale build --progress=plain --load=false -o type=tar,dest=outputs/tree.tar ctx >out 2>log ||
        { cat log >&2; fail "the build"; }
    ran 'RUN mkdir -p' 'RUN rm /opt' 'RUN test' 'RUN cat' 'RUN stat'
    mkdir user.files
    tar -C user.files --numeric-owner -xpf outputs/tree.tar
    same_tree root.files user.files
    # Without a namespace the sentence says how.
    echo 'RUN true' >>ctx/Dockerfile
    if unshare -m bash -c "$theirs" "$W" ./shale build --progress=plain --load=false ctx >out 2>log; then
        fail "a RUN without any namespace"
    fi
    has log "or as root of a user namespace (unshare"
    nothing_left "$W"
}

t_system_files_are_read_only_all_the_way_down() {
    own_base
    printf 'FROM own:1\nRUN cat /proc/mounts; ls /sys/kernel\nRUN --network=none ls /sys/class\n' | dockerfile
    built_in plain
    grep -qE ' /sys sysfs ro,' log || fail "/sys is not mounted read-only"
    # The runtime's own tmpfs for cgroups is not the machine's.
    ! grep -E ' /sys/[^ ]* [^ ]+ rw' log | grep -v ' tmpfs /sys/fs/cgroup tmpfs ' || fail "something on /sys can be written"
}

t_mounts_of_a_step_work() {
    own_base
    mkdir -p ctx/src
    echo bound >ctx/src/f
    echo hidden >secret
    dockerfile <<'END'
FROM own:1 AS one
RUN echo staged >/staged
FROM own:1
RUN --mount=type=bind,source=src,target=/src --mount=type=bind,from=one,target=/one \
    --mount=type=cache,target=/cache --mount=type=tmpfs,target=/t --mount=type=secret,id=s \
    cat /src/f /one/staged /run/secrets/s >/t/all && cp /t/all /cache/all && wc -l </cache/all >/lines
RUN --mount=type=cache,target=/cache cat /cache/all | grep -v hidden >/kept
RUN --network=none cat /proc/net/dev >/net
END
    files_in plain user.files --secret id=s,src=secret
    eq 3 "$(cat user.files/lines)" "lines"
    eq "bound staged" "$(xargs <user.files/kept)" "what the cache kept"
    hasnt user.files/net eth
    nothing_left "$W"
}

t_shale_run_and_doctor_work_and_say_how() {
    local way
    own_base
    printf 'FROM own:1\nRUN echo 1 >/made\n' | dockerfile
    for way in plain own_pids; do
        built_in $way -t t
        eq 1 "$($way "$SHALE" run t cat /made)" "what shale run shows"
        $way "$SHALE" doctor >said 2>&1 || { cat said >&2; fail "doctor"; }
        has said "in a user namespace with overlayfs and "
    done
    shale doctor >said
    has said "as root with overlayfs and "
}

t_a_build_that_is_stopped_leaves_nothing() {
    local pid
    own_base
    printf 'FROM own:1\nRUN echo started; sleep 1000.4321\n' | dockerfile
    unshare -Umr "$SHALE" build --progress=plain --load=false ctx >out 2>log &
    pid=$!
    for _ in $(seq 300); do
        ! grep -q ' started$' log || break
        sleep 0.1
    done
    has log started
    kill -TERM $pid
    if wait $pid; then fail "the build ended well"; fi
    eq "" "$(ls "$SHALE_ROOT/work")" "scratch"
    for pid in /proc/[0-9]*; do
        case $({ tr '\0' ' ' <"$pid/cmdline"; } 2>/dev/null) in *"sleep 1000.4321"*) fail "the command goes on" ;; esac
    done
}

t_steps_are_observed_there_too() {
    own_base
    mkdir -p ctx/src
    echo dep >ctx/deps
    echo 1 >ctx/src/a
    dockerfile <<'END'
FROM own:1
WORKDIR /app
COPY . .
RUN cat deps > /installed; [ ! -e lock ] || cat lock >> /installed
END
    built_in plain
    echo 2 >ctx/src/a
    built_in plain -t t
    reused 'RUN cat deps'
    touch ctx/lock
    built_in plain
    ran 'RUN cat deps'
    eq 'looked for lock, which is there now' "$(why 'RUN cat deps')"
    echo dep2 >ctx/deps
    built_in own_pids -t t
    ran 'RUN cat deps'
    eq 'read deps, which changed' "$(why 'RUN cat deps')"
    eq dep2 "$(inside cat /installed)"
}

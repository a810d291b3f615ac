# RUN --mount: bind, cache and tmpfs (secret and ssh are in secrets.sh), and what a step has besides.
# shellcheck shell=bash disable=SC2016 # what is in single quotes is for the container

files() {
    mkdir -p ctx/src/sub
    echo one >ctx/src/a
    echo two >ctx/src/sub/b
    echo three >ctx/other
    echo Dockerfile >ctx/.dockerignore
}

# Everything of the image t that a step after it sees, without what every container has.
listing() {
    inside sh -c 'find / -xdev ! -path "/proc*" ! -path "/sys*" ! -path "/dev*" | sort'
}

t_a_bind_mount_shows_the_context_and_cannot_be_written_to() {
    files
    dockerfile <<'END'
FROM base:1
WORKDIR /w
RUN --mount=target=/ctx cat /ctx/src/a /ctx/src/sub/b /ctx/other >/all; ! touch /ctx/new 2>/err
RUN --mount=source=src,target=rel/dir ls /w/rel/dir >/names
RUN --mount=source=src/a,target=/file cat /file >/one
RUN --mount=source=src ls /w >/here
END
    build -t t
    eq $'one\ntwo\nthree' "$(inside cat /all)"
    inside cat /err | grep -q 'Read-only file system'
    eq $'a\nsub' "$(inside cat /names)"
    eq one "$(inside cat /one)"
    eq $'a\nsub' "$(inside cat /here)" "a mount without a target is on the working directory"
}

t_what_is_written_to_a_bind_mount_is_thrown_away() {
    files
    dockerfile <<'END'
FROM base:1 AS one
RUN mkdir /d && echo x >/d/kept && ln -s d /link && ln -s /d/kept /flink && chown 3:4 /d
FROM base:1
RUN --mount=target=/ctx,rw rm -r /ctx/src && touch /ctx/new && ls /ctx >/names
RUN --mount=from=one,source=link,target=/m,rw echo changed >/m/kept && touch /m/new && stat -c %u:%g /m >/owner
RUN --mount=from=one,source=/d,target=/m cat /m/* >/after && ls /m >>/after
RUN --mount=from=one,source=flink,target=/f cat /f >/linked
RUN --mount=from=base:1,source=/etc,target=/m test -e /m/passwd && ls -d /m >/image
RUN --mount=from=scratch,target=/m,rw touch /m/x && ls -A /m >/nothing
END
    build -t t
    eq $'new\nother' "$(inside cat /names)"
    eq 3:4 "$(inside cat /owner)"
    eq $'x\nkept' "$(inside cat /after)"
    eq x "$(inside cat /linked)"
    eq /m "$(inside cat /image)"
    eq x "$(inside cat /nothing)"
    [ -e ctx/src/a ] || fail "the context was written to"
}

t_mounts_leave_no_trace_in_the_layer() {
    files
    printf 'FROM base:1\nRUN mkdir -p /p/q && echo orig >/p/file && touch -d "2001-02-03 04:05:06" /p/q /p\n' | dockerfile
    build -t t
    listing >before
    dockerfile <<'END'
FROM base:1
RUN mkdir -p /p/q && echo orig >/p/file && touch -d "2001-02-03 04:05:06" /p/q /p
RUN --mount=source=src,target=/p/q/r/s --mount=source=other,target=/p/q/f --mount=source=other,target=/p/file \
    --mount=type=cache,target=/new/c --mount=type=tmpfs,target=/p/t --mount=type=tmpfs,target=/p/t/u/v \
    cat /p/q/r/s/a /p/q/f /p/file && touch /new/c/x /p/t/u/x /p/t/u/v/y
RUN stat -c '%n %Y' /p /p/q
END
    build -t t
    listing >after
    diff before after
    eq orig "$(inside cat /p/file)"
    eq '/p 981173106,/p/q 981173106' "$(inside stat -c '%n %Y' /p /p/q | tr '\n' , | sed 's/,$//')"
    dockerfile <<'END'
FROM base:1
RUN mkdir -p /p/q
RUN --mount=source=other,target=/p/q/f --mount=type=cache,target=/p/c/d touch /p/mine /p/q/mine /p/c/mine
END
    build -t t
    eq '/p /p/c /p/c/mine /p/mine /p/q /p/q/mine' "$(inside find /p | sort | tr '\n' ' ' | sed 's/ $//')"
}

t_a_step_runs_when_what_it_mounts_has_changed_and_only_then() {
    files
    dockerfile <<'END'
FROM base:1 AS one
COPY other /other
FROM base:1
RUN --mount=source=src,target=/m cat /m/a >/a
RUN --mount=from=one,source=/other,target=/m cat /m >/b
END
    build -t t
    build -t t
    all_cached
    echo more >ctx/unrelated
    touch ctx/src/a
    build -t t
    all_cached
    echo changed >ctx/src/a
    build -t t
    ran 'RUN --mount=source=src'
    eq changed "$(inside cat /a)"
    echo changed >ctx/other
    build -t t
    cached 'RUN --mount=source=src'
    ran 'RUN --mount=from=one'
    eq changed "$(inside cat /b)"
    sed -i 's/source=src/source=src,rw/' ctx/Dockerfile
    build -t t
    ran 'RUN --mount=source=src'
}

# Times tell make what to do: those of an earlier build would be wrong.
t_a_bind_mount_has_the_times_of_now() {
    files
    dockerfile <<'END'
FROM base:1
ARG N
RUN --mount=source=src,target=/m echo $N && stat -c %Y /m/a >/time
END
    local n
    for n in 1000000000 1100000000 1000000000; do
        touch -d @$n ctx/src/a
        build --build-arg N="$n-$RANDOM" -t t
        eq $n "$(inside cat /time)"
    done
}

t_what_cannot_be_mounted_is_said() {
    files
    local mount text
    while IFS='|' read -r mount text; do
        printf 'FROM base:1 AS one\nRUN touch /file && mkdir -p /dir\nFROM one\nRUN --mount=%s true\n' "$mount" | dockerfile
        build_fails
        says "$text"
        has log ">>> RUN --mount=$mount true"
    done <<'END'
source=none,target=/m|failed to compute cache key: failed to calculate checksum of ref context: "/none": not found
from=one,source=/none,target=/m|failed to compute cache key: failed to calculate checksum of ref one: "/none": not found
target=/|invalid mount target "/"
type=tmpfs,target=/x/..|invalid mount target "/"
source=other,target=/dir|cannot mount a file on '/dir': a directory is there
source=src,target=/file|cannot mount a directory on '/file': a file is there
type=cache,target=/c,from=one,source=/file|a cache cannot begin with '/file': it is not a directory
type=cache,target=/c,source=/none|cache '/c': open /none: No such file or directory
type=ssh,source=/x|ssh does not support source
type=tmpfs,target=/proc/x|cannot mount on '/proc/x'
END
}

t_mounts_lie_in_each_other_and_the_last_of_one_target_is_seen() {
    files
    dockerfile <<'END'
FROM base:1
RUN --mount=source=src,target=/m/in/src --mount=type=tmpfs,target=/m ls /m/in/src >/nested && touch /m/in/x
RUN --mount=target=/m --mount=source=other,target=/m/src/a cat /m/src/a >/over
RUN --mount=source=src,target=/m --mount=type=tmpfs,target=/m ls -A /m >/first
RUN --mount=type=tmpfs,target=/m --mount=source=src,target=/m ls -A /m >/second
END
    build -t t
    eq $'a\nsub' "$(inside cat /nested)"
    eq three "$(inside cat /over)"
    eq '' "$(inside cat /first)"
    eq $'a\nsub' "$(inside cat /second)"
}

t_a_link_in_a_mount_leads_no_mount_and_no_directory_out_of_it() {
    mkdir -p ctx/d/real ctx/d/real/sub
    ln -s /proc ctx/d/p
    ln -s ../proc/sys ctx/d/q
    ln -s /proc/self/fd/7 ctx/d/f
    ln -s real ctx/d/in
    for target in p/sys p q/kernel f in/../proc/sys; do
        for type in tmpfs cache bind,source=d/real; do
            printf 'FROM base:1\nRUN --mount=source=d,target=/m,rw --mount=type=%s,target=/m/%s true\n' \
                "$type" "$target" | dockerfile
            case $target in
            in*) build ;; # /m/proc/sys
            *) build_fails && says "a link leads out of the mount on '/m'" ;;
            esac
        done
    done
    for cwd in f q p/self; do
        printf 'FROM base:1\nWORKDIR /m/%s\nRUN --mount=source=d,target=/m true\n' $cwd | dockerfile
        build_fails
        says "cannot use '/m/$cwd': a link leads out of the mount on '/m'"
    done
    printf 'FROM base:1\nWORKDIR /m/in\nRUN --mount=source=d,target=/m,rw --mount=type=tmpfs,target=/m/in/sub %s\n' \
        'test "$(pwd -P)" = /m/real && grep -q " /m/real/sub tmpfs" /proc/mounts' | dockerfile
    build
}

t_a_tmpfs_has_its_size_and_the_mode_of_what_it_is_on() {
    dockerfile <<'END'
FROM base:1
RUN mkdir -m 700 /old
RUN --mount=type=tmpfs,target=/new --mount=type=tmpfs,target=/old --mount=type=tmpfs,target=/small,size=64k \
    stat -c %a /new /old >/modes; ! head -c 200000 /dev/zero >/small/x; stat -c %s /small/x >/size
RUN --mount=type=tmpfs,target=/dev/shm,size=128m grep /dev/shm /proc/mounts >/shm
RUN --mount=type=tmpfs,target=/t,ro ! touch /t/x
END
    build -t t
    eq $'1777\n700' "$(inside cat /modes)"
    eq 65536 "$(inside cat /size)"
    eq 1 "$(inside sh -c 'wc -l </shm')"
    inside grep -q size=131072k /shm
}

t_variables_are_expanded_in_mount_options() {
    files
    dockerfile <<'END'
FROM base:1
ARG KIND=cache
ENV AT=/here NAME=x
RUN --mount=type=$KIND,target=$AT,id=$NAME touch $AT/made
RUN --mount=type=cache,target=/other,id=x test -e /other/made
RUN --mount=target=${AT}/${NONE:-ctx} cat /here/ctx/other >/o
END
    build -t t
    eq three "$(inside cat /o)"
}

t_a_cache_outlives_builds_and_is_in_no_image() {
    dockerfile <<'END'
FROM base:1
ARG N
RUN --mount=type=cache,target=/c echo $N >>/c/log && cp /c/log /seen
END
    build --build-arg N=1 -t t
    build --build-arg N=2 -t t
    eq $'1\n2' "$(inside cat /seen)"
    inside test ! -e /c
    # What is in it is not in the key.
    build --build-arg N=1 -t t
    all_cached
    eq 1 "$(inside cat /seen)"
    inside find / -xdev -name log | grep -q . && fail "the cache is in the image"
    # Names of the directories are digests, never a path of the Dockerfile's.
    eq 1 "$(find "$SHALE_ROOT/cache-mounts" -mindepth 1 -maxdepth 1 -type d | wc -l)"
    find "$SHALE_ROOT/cache-mounts" -mindepth 1 -maxdepth 1 -type d | grep -qE '/[0-9a-f]{64}$'
}

t_caches_are_told_apart_by_id_owner_mode_and_namespace() {
    dockerfile <<'END'
FROM base:1
RUN --mount=type=cache,target=/c touch /c/1
RUN --mount=type=cache,target=/x/../c/ ls /c >/same
RUN --mount=type=cache,target=/d,id=/c ls /d >/by_id
RUN --mount=type=cache,target=/e --mount=type=cache,target=/c,uid=7 --mount=type=cache,target=/m,id=/c,mode=0700 ls -A /e /c /m >/others
RUN --mount=type=cache,target=/c,uid=1001,gid=1002,mode=0751 stat -c '%u %g %a' /c >/owner
END
    build -t t
    eq 1 "$(inside cat /same)"
    eq 1 "$(inside cat /by_id)"
    eq '/c: /e: /m:' "$(inside cat /others | tr -s '\n' ' ' | sed 's/ $//')"
    eq '1001 1002 751' "$(inside cat /owner)"
    printf 'FROM base:1\nARG N\nRUN --mount=type=cache,target=/c ls /c >/seen; echo $N\n' | dockerfile
    build --build-arg BUILDKIT_CACHE_MOUNT_NS=mine --build-arg N=1 -t t
    eq '' "$(inside cat /seen)"
    build --build-arg N=2 -t t
    eq 1 "$(inside cat /seen)"
}

t_a_new_cache_begins_with_what_from_has() {
    dockerfile <<'END'
FROM base:1 AS seed
RUN mkdir -p /s/t && echo 1 >/s/t/u && ln /s/t/u /s/t/v && ln -s u /s/t/w && chown 5:6 /s/t && chmod 711 /s/t
FROM base:1
RUN --mount=type=cache,target=/c,from=seed,source=/s/t stat -c '%u %g %a' /c >/begun; ls /c >>/begun; cat /c/w >>/begun; touch /c/more
RUN --mount=type=cache,target=/c,from=seed,source=/s/t ls /c >/again
RUN --mount=type=cache,target=/c,from=seed,source=/s/t,ro ! touch /c/x
RUN --mount=type=cache,target=/c,from=seed,source=/s/t,mode=0700 ls /c >/own
END
    build -t t
    eq '5 6 711 u v w 1' "$(inside cat /begun | tr '\n' ' ' | sed 's/ $//')"
    eq 'more u v w' "$(inside cat /again | tr '\n' ' ' | sed 's/ $//')"
    eq 'u v w' "$(inside cat /own | tr '\n' ' ' | sed 's/ $//')"
}

t_source_of_a_cache_without_from_is_a_place_in_it() {
    dockerfile <<'END'
FROM base:1
RUN --mount=type=cache,id=x,target=/c mkdir -p /c/sel && echo in >/c/sel/f && ln -s /sel /c/link && ln -s /etc /c/out
RUN --mount=type=cache,id=x,target=/m,source=sel cat /m/f >/one
RUN --mount=type=cache,id=x,target=/m,source=/link cat /m/f >/two
END
    build -t t
    eq $'in\nin' "$(inside cat /one /two)"
    printf 'FROM base:1\nRUN --mount=type=cache,id=x,source=out,target=/m cat /m/hostname\n' | dockerfile
    build_fails
    says "cache 'x': open /out: No such file or directory"
}

t_no_cache_makes_a_cache_anew_once_a_build() {
    dockerfile <<'END'
FROM base:1
ARG FOO
RUN --mount=type=cache,target=/cache,mode=0773 touch /cache/$FOO && ls /cache >/out
RUN --mount=type=cache,target=/cache,mode=0773 ls /cache >/out2; echo $FOO
END
    build --build-arg FOO=abc -t t
    eq abc "$(inside cat /out)"
    build --no-cache --build-arg FOO=def -t t
    eq def "$(inside cat /out)"
    eq def "$(inside cat /out2)" "the cache of an earlier step of the build"
    build --build-arg FOO=hij -t t
    eq $'def\nhij' "$(inside cat /out)"
}

# two ID: the Dockerfile's build, twice at the same time; what they say is in log.1 and log.2.
two() {
    local pids=() n status=0
    for n in 1 2; do
        "$SHALE" build --progress=plain --load=false --build-arg N=$n -t "t$n" ctx >"log.$n" 2>&1 &
        pids+=($!)
    done
    for n in "${pids[@]}"; do wait "$n" || status=$?; done
    [ $status -eq 0 ] || { sed 's/^/  | /' log.1 log.2 >&2; return $status; }
}

t_two_builds_use_a_shared_cache_at_the_same_time() {
    dockerfile <<'END'
FROM base:1
ARG N
RUN --mount=type=cache,target=/c touch /c/$N; i=0; \
    while [ ! -e /c/1 ] || [ ! -e /c/2 ]; do i=$((i + 1)); [ $i -lt 300 ] || exit 9; sleep 0.1; done
END
    two
}

t_two_builds_take_turns_with_a_locked_cache() {
    dockerfile <<'END'
FROM base:1
ARG N
RUN --mount=type=cache,target=/c,sharing=locked echo $N; [ ! -e /c/inside ] && touch /c/inside && sleep 1 && rm /c/inside && echo $N >>/c/log
RUN --mount=type=cache,target=/c,sharing=locked sort /c/log >/log; echo $N
END
    two
    printf 'FROM base:1\nRUN --mount=type=cache,target=/c sort /c/log >/log\n' | dockerfile
    build -t t
    eq $'1\n2' "$(inside cat /log)"
}

t_two_builds_have_a_private_cache_each() {
    dockerfile <<'END'
FROM base:1
ARG N
RUN --mount=type=cache,target=/c,sharing=private --mount=type=cache,target=/meet touch /c/$N /meet/$N; i=0; \
    while [ ! -e /meet/1 ] || [ ! -e /meet/2 ]; do i=$((i + 1)); [ $i -lt 300 ] || exit 9; sleep 0.1; done; \
    eq=$(ls /c); [ "$eq" = $N ]
END
    two
    eq 3 "$(find "$SHALE_ROOT/cache-mounts" -mindepth 1 -maxdepth 1 -type d | wc -l)"
}

t_mounts_of_one_cache_in_a_step_show_one_directory() {
    dockerfile <<'END'
FROM base:1
RUN --mount=type=cache,id=x,target=/p,sharing=private --mount=type=cache,id=x,target=/s \
    --mount=type=cache,id=x,target=/q,sharing=private --mount=type=cache,id=x,target=/l,sharing=locked \
    touch /s/f && test -e /p/f && test -e /q/f && test -e /l/f
RUN --mount=type=cache,id=y,target=/p,sharing=private --mount=type=cache,id=y,target=/s touch /p/f && test -e /s/f
END
    build
    ran 'id=x' 'id=y'
}

t_a_killed_build_leaves_its_cache_usable_and_unlocked() {
    dockerfile <<'END'
FROM base:1
ARG N
RUN --mount=type=cache,target=/c,sharing=locked [ $N = 2 ] || { touch /c/half; echo started; sleep 100; }; ls /c >/seen
END
    "$SHALE" build --progress=plain --load=false --build-arg N=1 ctx >first 2>&1 &
    local pid=$! i=0
    until grep -q ' started$' first; do
        i=$((i + 1))
        [ $i -lt 200 ] || { cat first >&2; fail "the first build does not come to its step"; }
        sleep 0.1
    done
    kill -KILL $pid
    wait $pid || true
    build --build-arg N=2 -t t
    eq half "$(inside cat /seen)"
}

t_an_unknown_user_fails_the_step_as_docker_says_it() {
    printf 'FROM base:1\nUSER nosuch\nRUN echo "a"\n' | dockerfile
    build_fails
    says 'process "/bin/sh -c echo \"a\"" did not complete successfully: unable to find user nosuch: no matching entries in passwd file'
    eq ERROR "$(how 'RUN echo')"
    printf 'FROM base:1\nUSER 77:nosuch\nRUN id\n' | dockerfile
    build_fails
    says 'unable to find group nosuch: no matching entries in group file'
}

t_a_command_that_is_not_there_is_said_once() {
    printf 'FROM base:1\nRUN ["nosuch"]\n' | dockerfile
    build_fails
    eq 1 "$(grep -c '^#.*"nosuch"[^]]*executable file.* not found' log)" "times that it is said"
    says 'process "nosuch" did not complete successfully: exit code: 1'
}

t_a_step_has_the_host_name_and_hosts_that_were_asked_for() {
    printf 'FROM base:1\nRUN hostname >/name; cat /etc/hosts >/hosts; echo "$BUILDKIT_SANDBOX_HOSTNAME" >/variable\n' | dockerfile
    build -t t
    eq buildkitsandbox "$(inside cat /name)"
    build --build-arg BUILDKIT_SANDBOX_HOSTNAME=other --add-host db:10.1.2.3 -t t
    ran 'RUN hostname'
    eq other "$(inside cat /name)"
    inside grep -q $'^10.1.2.3\tdb$' /hosts
    inside grep -q 'localhost other$' /hosts
    eq '' "$(inside cat /variable)"
}

t_mounts_and_flags_are_not_in_the_history() {
    files
    dockerfile <<'END'
FROM base:1
RUN --mount=type=cache,target=/a --mount=target=/b --network=none true
END
    oci
    eq 'RUN /bin/sh -c true # buildkit' "$(config '.history[-1].created_by')"
}

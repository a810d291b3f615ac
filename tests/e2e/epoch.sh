# SOURCE_DATE_EPOCH and where it is read from; variables that builds have without being told.
# shellcheck shell=bash disable=SC2016,SC2153,SC2154 # what is in single quotes is for the container; build_fails sets sentence

# Files of www, without the times that a server of files would tell: sets URL.
serve() {
    needs python3
    coproc SERVER { exec python3 "$PROJECT/tests/e2e/lib/fileserver.py" "$W/www" "$W/requests"; }
    server_pid=$SERVER_PID
    trap 'kill $server_pid 2>/dev/null || :' EXIT
    read -r PORT <&"${SERVER[0]}" || fail "the server does not start"
    URL=http://127.0.0.1:$PORT
}

created() { # created FLAG...: of the image that ctx becomes
    oci "$@"
    config .created
}

t_the_time_may_be_declared_before_the_first_from_and_the_command_line_wins() {
    printf 'ARG SOURCE_DATE_EPOCH=1445412480\nFROM scratch\nCOPY Dockerfile /\n' >ctx/Dockerfile
    eq 2015-10-21T07:28:00Z "$(created)" "the declared time"
    eq 2023-11-14T22:13:22Z "$(created --build-arg SOURCE_DATE_EPOCH=1700000002)" "the given time"
    sed -i s/1445412480/not-a-timestamp/ ctx/Dockerfile
    build_fails
    says "invalid SOURCE_DATE_EPOCH: not-a-timestamp"
}

t_a_stage_of_one_remote_add_says_the_time() {
    mkdir -p www src
    echo a >src/a
    touch -d @1700000402 src/a
    tar -C src -cf www/src.tar a
    touch -d @1700000777 www/src.tar
    serve
    cat >ctx/Dockerfile <<END
ARG SOURCE_DATE_EPOCH=Times
FROM scratch AS times
ARG NAME=src.tar
ADD $URL/\$NAME /
FROM base:1
ARG SOURCE_DATE_EPOCH
RUN echo -n "\$SOURCE_DATE_EPOCH" >/epoch
END
    tree files
    eq 1700000777 "$(cat files/epoch)" "what the server tells"
    has log "[internal] resolve SOURCE_DATE_EPOCH source stage"
    sed -i "s|^ADD.*|COPY Dockerfile /|" ctx/Dockerfile
    build_fails
    says "SOURCE_DATE_EPOCH stage does not meet source-only requirements: unsupported COPY instruction"
    sed -i -e "s|^COPY.*|ADD $URL/src.tar /|" -e "s|^FROM scratch|FROM base:1|" ctx/Dockerfile
    build_fails
    says "SOURCE_DATE_EPOCH stage must use FROM scratch"
}

t_a_context_says_the_time_unless_it_is_a_directory() {
    mkdir -p src
    printf 'FROM base:1\nARG SOURCE_DATE_EPOCH\nRUN echo -n "[$SOURCE_DATE_EPOCH]" >/epoch\n' >src/Dockerfile
    cp src/Dockerfile ctx
    touch -d @1700000302 src/Dockerfile
    tar -C src -cf in.tar Dockerfile
    "$SHALE" build -q --build-arg SOURCE_DATE_EPOCH=context -o type=local,dest=tar - <in.tar >out
    eq "[1700000302]" "$(cat tar/epoch)" "the newest file of the archive"
    tree files --build-arg SOURCE_DATE_EPOCH=context
    eq "[]" "$(cat files/epoch)" "of a directory"
    tree files --build-arg SOURCE_DATE_EPOCH=named --build-context named=src
    eq "[]" "$(cat files/epoch)" "of a named directory"
}

t_the_commit_of_a_git_context_says_the_time() {
    needs git
    printf 'FROM base:1\nARG SOURCE_DATE_EPOCH\nRUN echo -n "$SOURCE_DATE_EPOCH" >/epoch\n' >ctx/Dockerfile
    cp -r ctx repo
    (cd repo && git init -q -b main && git add -A &&
        GIT_COMMITTER_DATE=@1700000101 git -c user.name=a -c user.email=a@b commit -qm 1 && git update-server-info)
    mkdir www && mv repo/.git www/repo.git
    git -C www/repo.git update-server-info
    serve
    "$SHALE" build -q --build-arg SOURCE_DATE_EPOCH=context -o type=local,dest=files "$URL/repo.git" >out
    eq 1700000101 "$(cat files/epoch)"
    tree named --build-arg SOURCE_DATE_EPOCH=source --build-context "source=$URL/repo.git"
    eq 1700000101 "$(cat named/epoch)" "of a named context"
}

t_a_default_that_is_replaced_is_not_looked_at() {
    printf 'FROM scratch\nARG FOO\nARG BAR=${FOO:?"foo missing"}\nLABEL bar=$BAR\n' >ctx/Dockerfile
    build_fails
    says "FOO: foo missing"
    oci --build-arg BAR=123
    eq 123 "$(config .config.Labels.bar)"
}

t_the_target_has_the_name_of_the_last_stage_unless_another_is_asked_for() {
    printf 'FROM base:1 AS base\nARG TARGETSTAGE\nRUN echo -n "$TARGETSTAGE" >/name\nFROM base AS %s\nFROM base%s\n' \
        other " AS final" >ctx/Dockerfile
    tree files
    eq final "$(cat files/name)"
    tree files --target other
    eq other "$(cat files/name)"
    sed -i 's/ AS final//' ctx/Dockerfile
    tree files
    eq default "$(cat files/name)"
}

t_a_proxy_that_is_given_has_both_its_names() {
    printf 'FROM base:1\nRUN echo "$HTTP_PROXY $http_proxy $NO_PROXY $no_proxy" >/names\n' >ctx/Dockerfile
    tree files --build-arg http_proxy=http://p --build-arg NO_PROXY=n
    eq "http://p http://p n n" "$(cat files/names)"
    build --build-arg HTTP_PROXY=http://q
    all_cached
}

t_a_socket_of_the_context_is_an_empty_file() {
    needs python3
    python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("ctx/s")'
    printf 'FROM scratch\nCOPY s /\n' >ctx/Dockerfile
    tree files
    eq "regular empty file" "$(stat -c %F files/s)"
    build
    all_cached
}

# One digest: on two machines, at two times, under two umasks. What may differ between machines differs here: the store,
# the directory, times, order and modes of the checkout, umask, time zone, language, host name, number of processors, the
# clock, what the store knows already.

project() { # project DIR: what is checked out
    mkdir -p "$1/src/deep"
    seq 50 | while read -r i; do echo "file $i" >"$1/src/deep/$i"; done
    printf '#!/bin/sh\necho run\n' >"$1/src/run"
    chmod 755 "$1/src/run"
    ln -s deep/7 "$1/src/link"
    mkdir unpacked && echo archived >unpacked/a && touch -d @1234567890 unpacked/a unpacked &&
        tar --owner=5 --group=6 --numeric-owner -cf "$1/files.tar" -C unpacked . && rm -r unpacked
    cat >"$1/Dockerfile" <<'END'
FROM base:1 AS made
ARG SOURCE_DATE_EPOCH
COPY --chown=app src /src
RUN mkdir -p /out/d && cp -r /src/deep /out/d && ln /out/d/deep/1 /out/hard && echo $SOURCE_DATE_EPOCH >/out/now && touch -d @1000000000 /out/old && touch -d @3000000000 /out/future
FROM base:1
LABEL a=b
WORKDIR /app/work
ADD files.tar /unpacked
COPY src .
COPY --from=made /out /out
COPY --from=made --chown=7:8 /src/run /usr/local/bin/
COPY <<EOF /etc/motd
hello
EOF
RUN rm /opt/full/one && chmod 600 /out/old && stat -c '%n %Y' /app/work/run /out/now /out/d /etc/motd >/times && touch /src-less
CMD ["/app/work/run"]
END
}

# The same as another machine would have it.
checkout() { # checkout DIR UMASK TIME: files come in the other order, and directories too
    (
        umask "$2"
        (cd "$W/project" && find . -type f -o -type l | sort -r | tar -cf - -T -) |
            (mkdir -p "$1" && tar -C "$1" --no-same-permissions -xmf -)
        find "$1" -exec touch -h -d "@$3" {} +
    )
}

machine() { # machine NAME [VARIABLE...] [--] COMMAND...: runs with a store of its own
    local root=$W/machine.$1
    shift
    [ -d "$root" ] || cp -a "$TEMPLATE/store" "$root"
    SHALE_ROOT=$root "$@"
}

digest_of_index() { # digest_of_index FILE.tar
    tar -xOf "$1" index.json | jq -r '.manifests[0].digest'
}

SDE=1700000000
one_digest() { # one_digest UMASK FLAG...: of the second checkout; its build's is 077 in any case
    project project
    checkout here 022 1600000000 # older than the epoch
    checkout there "$1" 1750000000
    shift
    (
        cd here
        machine a "$SHALE" build --no-cache --progress=plain --load=false "$@" --build-arg SOURCE_DATE_EPOCH=$SDE \
            -o type=oci,dest="$W/a.tar" . >"$W/log.a" 2>&1
    ) || { cat log.a; fail "the first machine"; }
    (
        cd there
        umask 077
        machine b unshare -u sh -c 'hostname elsewhere; exec "$0" "$@"' env TZ=Asia/Tokyo LANG=de_DE.UTF-8 LC_ALL=C.UTF-8 \
            taskset 1 "$SHALE" build --progress=plain --load=false "$@" --build-arg SOURCE_DATE_EPOCH=$SDE \
            -o type=oci,dest="$W/b.tar" "$W/there" >"$W/log.b" 2>&1
    ) || { cat log.b; fail "the second machine"; }
    differ a.tar b.tar
}

differ() { # differ A.tar B.tar: fails, with what differs, when the images are not one
    local x y layer
    x=$(digest_of_index "$1") y=$(digest_of_index "$2")
    [ "$x" != "$y" ] || return 0
    for layer in "$1" "$2"; do
        rm -rf "$layer.d"
        mkdir "$layer.d"
        tar -C "$layer.d" -xf "$layer"
        jq . "$layer.d/blobs/sha256/$(jq -r .config.digest "$layer.d/blobs/sha256/$(digest_of_index "$layer" | cut -d : -f 2)" | cut -d : -f 2)" >"$layer.config"
        for blob in $(jq -r '.layers[].digest' "$layer.d/blobs/sha256/$(digest_of_index "$layer" | cut -d : -f 2)"); do
            tar --full-time --numeric-owner -tvf "$layer.d/blobs/sha256/${blob#sha256:}"
        done >"$layer.files" 2>&1
    done
    diff "$1.config" "$2.config" >&2 || :
    diff "$1.files" "$2.files" >&2 || :
    fail "$x and $y"
}

t_one_digest_on_two_machines_at_two_times_under_two_umasks() {
    needs unshare
    one_digest 077 --normalize-modes
    # A machine that has made all of it before, at another time and without the variable, and one that goes on to another.
    (
        cd here
        machine c "$SHALE" build --normalize-modes --progress=plain --load=false -o type=oci,dest="$W/without.tar" . >"$W/log" 2>&1
        touch src/deep/3
        machine c "$SHALE" build --normalize-modes --progress=plain --load=false --build-arg SOURCE_DATE_EPOCH=$((SDE + 1)) \
            -o type=oci,dest="$W/later.tar" . >"$W/log" 2>&1
        machine c "$SHALE" build --normalize-modes --progress=plain --load=false --build-arg SOURCE_DATE_EPOCH=$SDE \
            -o type=oci,dest="$W/c.tar" . >"$W/log" 2>&1
    ) || fail "$(cat log)"
    cached 'COPY src .' 'COPY <<EOF' 'WORKDIR'
    differ a.tar c.tar
    [ "$(digest_of_index a.tar)" != "$(digest_of_index later.tar)" ] || fail "another time gives the same image"
    [ "$(digest_of_index a.tar)" != "$(digest_of_index without.tar)" ] || fail "no time gives the same image"
    # No time is later than the epoch; what an archive said stays, and what was copied up.
    (cd here && machine c "$SHALE" build --normalize-modes -q --load=false --build-arg SOURCE_DATE_EPOCH=$SDE -o type=tar,dest="$W/c.rootfs" . >"$W/log" 2>&1)
    mkdir c && tar -C c --numeric-owner -xpf c.rootfs
    eq "" "$(find c -newermt @$SDE -not -path c)" "files later than the epoch"
    eq 1234567890 "$(stat -c %Y c/unpacked/a)"
    eq 1000000000 "$(stat -c %Y c/out/old)"
    eq "/app/work/run $SDE /out/now $SDE /out/d $SDE /etc/motd $SDE" "$(xargs <c/times)" "what a later step saw"
    eq $SDE "$(stat -c %Y c/times)"
}

t_one_digest_under_two_umasks_of_builds_whose_files_have_equal_modes() {
    needs unshare
    one_digest 022
}

t_one_digest_under_two_clocks() {
    command -v faketime >/dev/null || not_here "no faketime"
    ! grep -q __asan_init "$SHALE" || not_here "faketime and ASan both want to be loaded first"
    printf 'FROM base:1\nRUN date >/dev/null; echo x >/x\nCOPY f /f\n' | dockerfile
    echo f >ctx/f
    machine a "$SHALE" build -q --load=false --build-arg SOURCE_DATE_EPOCH=$SDE -o type=oci,dest=a.tar ctx >out 2>log || fail "$(cat log)"
    # shale's own clock; the kernel's, which dates the files of the step, is 25 years further on than its own
    machine b env NO_FAKE_STAT=1 faketime -f '-9000d' "$SHALE" build -q --load=false --build-arg SOURCE_DATE_EPOCH=$SDE -o type=oci,dest=b.tar ctx >out 2>log || fail "$(cat log)"
    differ a.tar b.tar
}

# Without the variable a layer tells when its files were made; the bytes of one layer are the same wherever they are packed.
t_layers_of_equal_files_are_equal_bytes_on_one_processor_and_on_two() {
    project project
    cp -a project here
    printf 'FROM base:1\nWORKDIR /app\nADD files.tar /unpacked\nCOPY . .\nCOPY --link src /src\n' >here/Dockerfile
    touch -d @1650000000 here/Dockerfile
    head -c 3000000 /dev/zero | tr '\0' 'x' >here/big
    head -c 3000000 "$SHALE" >here/program
    touch -d @1650000001 here/big here/program
    checkout_as() { mkdir -p "$1" && (cd here && find . | sort -r | tar --no-recursion -cf - -T -) | tar -C "$1" -xpf -; }
    checkout_as there
    local kind
    for kind in gzip zstd uncompressed; do
        machine "a.$kind" taskset 1 "$SHALE" build -q --load=false -o "type=oci,compression=$kind,force-compression=true,dest=$W/a.tar" here >out 2>log || fail "$(cat log)"
        machine "b.$kind" "$SHALE" build -q --load=false -o "type=oci,compression=$kind,force-compression=true,dest=$W/b.tar" there >out 2>log || fail "$(cat log)"
        for x in a b; do
            tar -xOf $x.tar "blobs/sha256/$(digest_of_index $x.tar | cut -d : -f 2)" | jq -r '.layers[] | .mediaType + .digest' >$x.layers
        done
        eq 5 "$(wc -l <a.layers)" "layers"
        diff a.layers b.layers >&2 || fail "$kind: other layers"
    done
}

t_two_machines_push_one_manifest() {
    needs skopeo
    start_registry
    project project
    checkout here 022 1600000000
    checkout there 022 1750000000
    local x
    for x in here there; do
        machine "$x" "$SHALE" build --progress=plain --load=false --push --build-arg SOURCE_DATE_EPOCH=$SDE -t "$REGISTRY/app:$x" "$x" >out 2>log ||
            fail "$(cat log)"
    done
    manifest() { skopeo inspect --raw --tls-verify=false "docker://$REGISTRY/app:$1"; }
    manifest here >here.json
    manifest there >there.json
    eq 8 "$(jq '.layers | length' here.json)" "layers"
    diff here.json there.json >&2 || fail "two manifests"
    # What both have is the image that loads into an engine, too: the configuration does not know how layers are packed.
    machine here "$SHALE" build -q --load=false --build-arg SOURCE_DATE_EPOCH=$SDE -o type=oci,dest=here.tar here >out 2>log || fail "$(cat log)"
    eq "$(jq -r .config.digest here.json)" "$(tar -xOf here.tar "blobs/sha256/$(digest_of_index here.tar | cut -d : -f 2)" | jq -r .config.digest)" "configuration"
}

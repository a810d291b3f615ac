# Where files come from: the context as a tar, behind a URL or in a git repository, named contexts, other stages.
# shellcheck shell=bash disable=SC2015,SC2016,SC2154 # both or fail; what is in single quotes is for the container; $sentence

# from_stdin FILE [FLAG...]: builds with FILE on standard input as the context.
from_stdin() {
    local file=$1 status=0
    shift
    "$SHALE" build --progress=plain --load=false "$@" - <"$file" >out 2>log || status=$?
    [ $status -eq 0 ] || { sed 's/^/  | /' log >&2; return $status; }
}

# serve DIR: by HTTP on loopback; sets URL. Ends with the test.
serve() {
    needs python3
    : >"$W/http.out" # it is looked at before the server may have opened it
    (cd "$1" && exec python3 -u -m http.server --bind 127.0.0.1 0 >"$W/http.out" 2>"$W/http.log") &
    http_pid=$!
    trap 'kill $http_pid 2>/dev/null || :' EXIT
    for _ in $(seq 100); do
        URL=$(sed -n 's|.*(\(http://127.0.0.1:[0-9]*\)/).*|\1|p' "$W/http.out")
        [ -z "$URL" ] || return 0
        sleep 0.1
    done
    fail "no HTTP server: $(cat "$W/http.log")"
}

sample() { # sample DIR: files of somebody else, links, names out of order
    mkdir -p "$1/sub/deep" "$1/empty"
    echo a >"$1/a"
    ln "$1/a" "$1/b"
    ln -s sub/deep "$1/link"
    echo d >"$1/sub/deep/d"
    chmod 750 "$1/sub"
    printf 'FROM scratch\nCOPY . /c/\n' >"$1/Dockerfile"
    printf 'a\nDockerfile\n' >"$1/.dockerignore"
}

t_a_tar_on_standard_input_is_the_context_with_its_owners_and_no_ignore_rules() {
    sample in
    printf 'FROM base:1\nCOPY . /c/\nRUN test "$(stat -c %%h /c/a)" = 2\n' >in/Dockerfile
    tar -C in --owner=1000 --group=1001 -cf in.tar .
    from_stdin in.tar -o type=tar,dest=tree.tar
    mkdir tree && tar -C tree --numeric-owner -xpf tree.tar
    eq "1000 1001" "$(stat -c '%u %g' tree/c/a)" "a file"
    eq "1000 1001 750" "$(stat -c '%u %g %a' tree/c/sub)" "a directory"
    eq "sub/deep" "$(readlink tree/c/link)"
    [ -d tree/c/empty ] || fail "the empty directory is not there"
    [ -f tree/c/Dockerfile ] && [ -f tree/c/.dockerignore ] || fail "ignore rules were followed"
    has log "[internal] load remote build context"
    has log "copy /context /"
    hasnt log "load .dockerignore"
    from_stdin in.tar
    all_cached
}

t_every_compression_of_a_context_gives_the_same_image() {
    local tool id=
    sample in
    tar -C in --sort=name -cf in.tar .
    for tool in cat gzip bzip2 xz zstd; do
        needs $tool
        $tool <in.tar >in.packed
        from_stdin in.packed --iidfile id --build-arg SOURCE_DATE_EPOCH=1
        [ -z "$id" ] || eq "$id" "$(cat id)" "the image of $tool"
        id=$(cat id)
    done
}

t_a_context_tar_is_read_as_it_comes_whatever_its_names_look_like() {
    mkdir -p one/dir two
    printf 'FROM scratch\nCOPY . /\n' >one/Dockerfile
    echo old >one/file
    echo x >one/dir/x
    echo new >two/file
    tar -C one -cf in.tar Dockerfile ./file .//dir/../dir/x
    tar -C two -rf in.tar file
    from_stdin in.tar -o type=local,dest=files
    eq new "$(cat files/file)" "the later member"
    eq x "$(cat files/dir/x)"
}

t_names_of_whiteouts_in_a_context_hide_nothing() {
    mkdir in
    printf 'FROM base:1\nCOPY . /\nRUN ls /etc/passwd\n' >in/Dockerfile
    mkdir in/etc
    touch in/etc/.wh.passwd in/etc/.wh..wh..opq
    echo y >in/etc/y
    tar -C in -cf in.tar .
    from_stdin in.tar
    has log "/etc/passwd"
    has log "'etc/.wh.passwd' of the build context is left out"
}

t_minus_f_names_a_file_of_the_context_tar() {
    mkdir -p in/sub
    echo 'FROM scratch' >in/Dockerfile
    printf 'FROM scratch\nCOPY sub /other/\n' >in/sub/my
    ln -s sub/my in/link
    tar -C in -cf in.tar .
    for name in sub/my ./sub/my link; do
        rm -rf files
        from_stdin in.tar -f $name -o type=local,dest=files
        [ -f files/other/my ] || fail "-f $name was not taken"
    done
    from_stdin in.tar -f nope && fail "-f nope was found"
    has log "ERROR: failed to build: failed to solve: failed to read dockerfile: open nope: no such file or directory"
    rm in/Dockerfile && mv in/sub/my in/dockerfile
    tar -C in -cf in.tar .
    from_stdin in.tar
}

t_a_context_tar_that_is_damaged_or_leads_out_fails_and_leaves_nothing() {
    sample in
    echo bad >outside
    tar -C in -czf in.tar.gz .
    head -c 150 in.tar.gz >cut.tar.gz
    from_stdin cut.tar.gz && fail "a cut archive was taken"
    has log "failed to unpack the build context"
    tar -C in -P -cf out.tar ../outside Dockerfile
    from_stdin out.tar && fail "a name that leads out was taken"
    has log "leads out of the root"
    nothing_left out.tar
}

t_a_bind_mount_and_add_see_the_context_tar() {
    mkdir -p in/src
    echo data >in/src/data
    tar -C in -cf in/x.tar src
    cat >in/Dockerfile <<'END'
FROM base:1
ADD x.tar /unpacked/
RUN --mount=source=src,target=/m cat /m/data /unpacked/src/data && touch /done
END
    tar -C in -cf in.tar .
    from_stdin in.tar
    eq 2 "$(grep -c ' data$' log)" "lines of the mounted and the unpacked file"
}

t_a_dockerfile_is_not_looked_for_outside_of_its_directory() {
    mkdir -p outside ctx/sub
    echo secret-word >outside/file
    echo x >ctx/x
    ln -s ../outside/file ctx/Dockerfile
    build_fails
    says "failed to read dockerfile: open Dockerfile: no such file or directory"
    hasnt log secret-word
    ln -s ../x ctx/sub/link
    build_fails -f ctx/sub/link
    says "open link: no such file or directory"
    # A link in its directory is followed, also one that is absolute; so is the ignore file's.
    printf 'FROM scratch\nCOPY . /\n' >ctx/sub/real
    ln -sf /sub/real ctx/Dockerfile
    echo x >outside/ignore
    ln -s ../outside/ignore ctx/Dockerfile.dockerignore
    tree got
    [ -f got/x ] || fail "an ignore file outside was read"
    build -f /dev/stdin <ctx/sub/real
    (cd ctx && "$SHALE" build --load=false -f sub/real . >/dev/null 2>&1) || fail "a path without a directory before it"
}

# Named contexts.

t_a_named_directory_is_copied_from_through_its_own_ignore_file() {
    mkdir -p extra/sub
    echo f >extra/f
    echo s >extra/secret
    echo y >extra/sub/y
    echo secret >extra/.dockerignore
    printf 'FROM scratch\nCOPY --from=foo / /all/\nCOPY --from=foo:latest sub/y /one\n' | dockerfile
    tree got --build-context foo=extra
    [ -f got/all/f ] && [ -f got/all/sub/y ] && [ -f got/one ] || fail "files are missing"
    [ ! -e got/all/secret ] || fail "the ignored file was copied"
    eq "0 0" "$(stat -c '%u %g' got/all/f)" "the owner"
    has log "[context foo] load .dockerignore"
    has log "[context foo] load from client"
    has log "[stage-0 1/2] COPY --from=foo / /all/"
    build --build-context docker.io/library/foo:latest=extra
    all_cached
    echo z >extra/f
    build --build-context foo=extra
    ran "COPY --from=foo / /all/"
    cached "COPY --from=foo:latest sub/y /one"
}

t_a_named_context_that_nobody_asks_for_is_not_opened() {
    mkdir extra
    printf 'FROM scratch\nCOPY Dockerfile /\n' | dockerfile
    build --build-context foo=extra --build-context bar=docker-image://no.such.host/x
    hasnt log "[context"
}

t_from_a_named_directory_has_its_files_and_no_configuration() {
    mkdir -p root/bin ctx
    cp "$(command -v busybox)" root/bin/busybox
    ln -s busybox root/bin/sh
    printf 'FROM tools AS x\nRUN /bin/busybox ls /bin >/list\nENV A=b\n' | dockerfile
    oci --build-context tools=root -t t
    eq '["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin","A=b"]' "$(config .config.Env)"
    eq "$(layer_ids | wc -l)" "$(config '[.history[] | select(.empty_layer != true)] | length')" "history and layers"
    eq "busybox sh" "$(inside busybox cat /list | tr -d '\r' | xargs)"
    build --build-context tools=root
    all_cached
}

t_a_named_image_replaces_a_base_and_brings_its_configuration() {
    printf 'FROM base:1\nENV WHO=image\nRUN echo i >/i\n' | dockerfile
    build -t other:1
    printf 'FROM no.such.host/base:9\nRUN test "$WHO" = image && cat /i\nCOPY --from=again /i /j\n' | dockerfile
    build --build-context no.such.host/base:9=docker-image://other:1 --build-context again=docker-image://other:1
    has log "[context no.such.host/base:9] load metadata for other:1"
    hasnt log "load metadata for no.such.host"
    build_fails --offline --build-context no.such.host/base:9=docker-image://nope:1
    says "failed to resolve source metadata for docker.io/library/nope:1"
}

t_a_named_context_goes_before_a_stage_and_the_stage_is_not_built() {
    mkdir extra
    echo of the context >extra/f
    cat <<'END' | dockerfile
FROM base:1 AS dep
COPY $nothing /x
RUN exit 3
FROM dep AS child
COPY --from=dep /f /g
COPY --from=0 /f /h
END
    build --build-context dep=extra -o type=local,dest=files
    eq "of the context" "$(cat files/f)" "what FROM gave"
    eq "of the context" "$(cat files/g)" "what --from gave"
    eq "of the context" "$(cat files/h)" "what --from by number gave"
    hasnt log "exit 3"
    hasnt log UndefinedVar
    rm -rf files
    build --build-context dep=extra --target dep -o type=local,dest=files
    eq f "$(ls files)" "the replaced stage as target"
}

t_scratch_and_context_cannot_be_named() {
    mkdir extra
    echo f >extra/f
    printf 'FROM scratch\nCOPY Dockerfile /\n' | dockerfile
    build --build-context scratch=extra --build-context context=extra -o type=local,dest=files
    eq Dockerfile "$(ls files)"
    printf 'FROM e\nCOPY Dockerfile /\n' | dockerfile
    rm -rf files
    build --build-context e=docker-image://scratch -o type=local,dest=files
    eq Dockerfile "$(ls files)"
}

t_a_context_for_one_platform_goes_before_one_for_all() {
    local arch
    case $(uname -m) in x86_64) arch=amd64 ;; aarch64) arch=arm64 ;; *) not_here "no name for $(uname -m)" ;; esac
    mkdir all mine
    echo all >all/f
    echo mine >mine/f
    printf 'FROM scratch\nCOPY --from=foo f /\n' | dockerfile
    build --build-context foo::linux/$arch=mine --build-context foo=all -o type=local,dest=files
    eq mine "$(cat files/f)"
    rm -rf files
    build --build-context foo::linux/s390x=mine --build-context foo=all -o type=local,dest=files
    eq all "$(cat files/f)"
}

t_an_oci_layout_is_taken_by_tag_and_by_digest_and_verified() {
    local digest layer
    printf 'FROM base:1\nENV X=layout\nRUN echo l >/l\n' | dockerfile
    oci -t lay:7
    mv oci layout
    digest=$(jq -r '.manifests[0].digest' layout/index.json)
    printf 'FROM lay\nRUN test "$X" = layout && cat /l\n' | dockerfile
    export SHALE_ROOT=$W/other-store
    for ref in layout layout:7 "layout@$digest" "layout:none@$digest"; do
        build --build-context lay="oci-layout://$ref"
        has log "[context lay] OCI load from client"
    done
    rm -rf "$SHALE_ROOT"
    layer=layout/blobs/sha256/$(jq -r '.layers[-1].digest | ltrimstr("sha256:")' "layout/blobs/sha256/${digest#*:}")
    printf x >>"$layer"
    build_fails --build-context lay=oci-layout://layout
    says 'oci-layout reference "oci-layout://layout" could not be resolved'
    build_fails --build-context lay=oci-layout://nowhere
    says 'oci-layout reference "oci-layout://nowhere" could not be resolved'
    printf x >>"layout/blobs/sha256/${digest#*:}"
    build_fails --build-context lay=oci-layout://layout
    says "is not what its name and size say"
}

t_a_stage_of_the_dockerfile_can_be_a_named_context() {
    cat <<'END' | dockerfile
FROM base:1 AS one
COPY --from=dep /made /made
FROM base:1 AS unused
RUN exit 4
FROM base:1 AS maker
RUN echo made >/made
FROM one
END
    build --build-context dep=target:maker -o type=local,dest=files
    eq made "$(cat files/made)"
    hasnt log "exit 4"
    build_fails --build-context dep=target:nope
    says "failed to find target nope for context dep"
    build_fails --build-context dep=target:one
    says "circular dependency detected on stage: one"
}

t_triggers_of_a_base_see_named_contexts() {
    mkdir extra
    echo e >extra/e
    printf 'FROM base:1\nONBUILD COPY --from=foo /e /e\n' | dockerfile
    build -t trigger:1
    printf 'FROM trigger:1\n' | dockerfile
    build --build-context foo=extra -o type=local,dest=files
    eq e "$(cat files/e)"
    printf 'FROM scratch AS other\nFROM trigger:1 AS mine\nFROM mine AS last\n' | dockerfile
    build_fails --build-context foo=target:last
    says "circular dependency detected on stage: "
}

t_a_mount_shows_a_named_context_a_stage_and_an_image() {
    mkdir -p extra/sub
    echo of the context >extra/sub/f
    cat <<'END' | dockerfile
FROM base:1 AS made
RUN echo of the stage >/f
FROM base:1
RUN --mount=from=foo,source=sub,target=/c --mount=from=made,target=/s --mount=from=base:1,target=/i \
    cat /c/f /s/f && ls /i/bin/busybox && touch /done
END
    build --build-context foo=extra
    has log "of the context"
    has log "of the stage"
    has log "/i/bin/busybox"
    build --build-context foo=extra
    all_cached
    echo changed >extra/sub/f
    build --build-context foo=extra
    has log "changed"
}

t_wrong_named_contexts_are_refused_as_buildx_refuses_them() {
    printf 'FROM scratch\nCOPY Dockerfile /\n' | dockerfile
    touch file
    build_fails --build-context foo
    says "invalid context value: foo, expected key=value"
    build_fails --build-context 'a b=.'
    says "invalid context name a b: invalid reference format"
    build_fails --build-context Foo/BAR=.
    says "invalid context name Foo/BAR: invalid reference format: repository name (BAR) must be lowercase"
    build_fails --build-context foo=nowhere
    says "failed to get build context foo: stat nowhere: no such file or directory"
    build_fails --build-context foo=file
    says "not a directory"
}

# Stages.

t_what_stages_cannot_take_from_each_other_is_said_in_the_words_of_docker() {
    local rows=(
        'FROM base:1 AS one\nCOPY --from=one / /x\n|circular dependency detected on stage: one'
        'FROM base:1 AS one\nCOPY --from=0 / /x\n|circular dependency detected on stage: one'
        'FROM base:1 AS one\nRUN --mount=from=one,target=/m true\n|circular dependency detected on stage: one'
        'FROM base:1 AS one\nCOPY --from=9 / /x\n|invalid stage index 9'
        'FROM base:1 AS one\nCOPY --from=two / /x\nFROM scratch AS two\nFROM one\n|cannot copy from stage "two", it needs to be defined before current stage "one"'
        'FROM base:1 AS one\nCOPY --from=1 / /x\nFROM scratch\nFROM one\n|cannot copy from stage "1", it needs to be defined before current stage "one"'
        'FROM base:1 AS one\nRUN --mount=from=two,target=/m true\nFROM base:1 AS two\nFROM one\n|cannot mount from stage "two" to "/m", stage needs to be defined before current command'
    )
    for row in "${rows[@]}"; do
        # shellcheck disable=SC2059 # it is one
        printf "${row%|*}" | dockerfile
        build_fails
        eq "ERROR: failed to build: failed to solve: ${row##*|}" "$sentence"
    done
}

t_an_image_that_is_only_copied_from_is_looked_up_once_and_first() {
    printf 'FROM base:1\nRUN echo slow\nCOPY --from=nope:1 / /\n' | dockerfile
    build_fails --offline
    says "nope:1: failed to resolve source metadata for docker.io/library/nope:1"
    hasnt log "] RUN echo slow"
    printf 'FROM scratch\nCOPY --from=base:1 /bin/sh /a\nCOPY --from=base:1 /bin/sh /b\n' | dockerfile
    build
    eq 1 "$(grep -c 'load metadata for docker.io/library/base:1' log)" "look-ups"
    eq 1 "$(grep -c ' FROM docker.io/library/base:1' log)" "shown"
}

# URLs and git.

t_a_url_is_a_context_when_it_gives_an_archive_and_a_dockerfile_otherwise() {
    sample www/in
    tar -C www/in --owner=7 --group=8 -czf www/in.tar.gz .
    printf 'FROM base:1\nCOPY context /c\nRUN false\n' >www/plain
    serve www
    "$SHALE" build --load=false --progress=plain -o type=tar,dest=tree.tar "$URL/in.tar.gz" 2>log || { cat log; fail "no"; }
    mkdir tree && tar -C tree --numeric-owner -xpf tree.tar
    eq "7 8" "$(stat -c '%u %g' tree/c/a)" "the owner"
    "$SHALE" build --load=false --progress=plain "$URL/plain" 2>log && fail "RUN false passed"
    has log "[internal] load remote build context"
    has log "context:3"
    "$SHALE" build --check "$URL/in.tar.gz" >out 2>log || { cat log; fail "--check of a URL"; }
    has out "no warnings found"
    "$SHALE" build --load=false --progress=plain "$URL/nothing" 2>log && fail "a missing URL passed"
    has log "invalid response status 404"
}

t_a_dockerfile_from_a_url_builds_the_local_context() {
    mkdir www
    printf 'FROM scratch\nCOPY f /\n' >www/plain
    echo f >ctx/f
    serve www
    build -f "$URL/plain" -o type=local,dest=files
    eq f "$(cat files/f)"
    has log "[internal] load $URL/plain"
    has log "[internal] load build definition from Dockerfile"
}

t_a_git_repository_is_a_context_main_and_named() {
    needs git
    sample repo
    rm repo/b
    printf 'FROM scratch\nCOPY . /s/\n' >repo/sub/Dockerfile
    (cd repo && git init -q -b main && git add -A && git -c user.name=a -c user.email=a@b commit -qm 1) || fail "git"
    mkdir www
    git clone -q --bare repo www/repo.git
    git -C www/repo.git update-server-info
    serve www
    "$SHALE" build --load=false --progress=plain -o type=local,dest=files "$URL/repo.git" 2>log || { cat log; fail "no"; }
    [ -f files/c/a ] || fail "the repository's files are not there"
    has log "[internal] load git source $URL/repo.git"
    "$SHALE" build --load=false --progress=plain -o type=local,dest=sub "$URL/repo.git#main:sub" 2>log ||
        { cat log; fail "no"; }
    [ -f sub/s/deep/d ] || fail "the subdirectory is not the context"
    "$SHALE" build --load=false --progress=plain -f sub/Dockerfile -o type=local,dest=other "$URL/repo.git" 2>log ||
        { cat log; fail "no"; }
    [ -f other/s/sub/deep/d ] || fail "-f of the repository was not taken"
    printf 'FROM scratch\nCOPY --from=src a /\n' | dockerfile
    build --build-context src="$URL/repo.git" -o type=local,dest=named
    [ -f named/a ] || fail "the named context is not there"
}

# Ignore files.

t_the_dockerfiles_own_ignore_file_goes_first_wherever_the_dockerfile_is() {
    mkdir elsewhere
    echo x >ctx/x
    echo y >ctx/y
    echo x >ctx/.dockerignore
    printf 'FROM scratch\nCOPY . /\n' >elsewhere/my
    echo y >elsewhere/my.dockerignore
    build -f elsewhere/my -o type=local,dest=files
    [ -e files/x ] && [ ! -e files/y ] || fail "elsewhere/my.dockerignore was not followed"
    rm -r files
    : >elsewhere/my.dockerignore
    build -f elsewhere/my -o type=local,dest=files
    [ -e files/x ] && [ -e files/y ] || fail "an empty ignore file of its own goes first too"
}

t_an_ignore_file_may_be_a_link_in_the_context_and_what_is_none_counts_for_nothing() {
    printf 'FROM scratch\nCOPY . /\n' | dockerfile
    echo x >ctx/x
    echo x >ctx/rules
    ln -s /rules ctx/.dockerignore
    build -o type=local,dest=files
    [ ! -e files/x ] || fail "a linked ignore file was not followed"
    rm -r files ctx/.dockerignore
    chmod 000 ctx/rules
    mv ctx/rules ctx/.dockerignore
    build -o type=local,dest=files
    [ ! -e files/x ] || fail "an ignore file of mode 000 was not followed"
    rm -rf files ctx/.dockerignore
    mkdir ctx/.dockerignore
    build -o type=local,dest=files
    [ -e files/x ] || fail "a directory was taken for an ignore file"
}

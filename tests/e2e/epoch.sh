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

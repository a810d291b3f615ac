# ADD of URLs and git repositories, from servers on loopback.
# shellcheck shell=bash disable=SC2016,SC2153,SC2154 # what is in single quotes is for the container

# A server of the files in www: sets URL; requests are lines of requests.
start_server() {
    needs python3
    mkdir -p www
    : >requests
    coproc SERVER { exec python3 "$PROJECT/tests/e2e/lib/fileserver.py" "$W/www" "$W/requests"; }
    server_pid=$SERVER_PID
    trap 'kill $server_pid 2>/dev/null || :' EXIT
    read -r PORT <&"${SERVER[0]}" || fail "the server does not start"
    URL=http://127.0.0.1:$PORT
}

stop_server() {
    kill "$server_pid"
    wait "$server_pid" 2>/dev/null || :
}

git_() { # git with nobody's settings
    GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null git -c user.name=t -c user.email=t@example.com \
        -c init.defaultBranch=main -c protocol.file.allow=always "$@"
}

# A repository www/NAME.git: tags v1, v2 (annotated, on the next commit), branch main one further; src/NAME is its tree.
make_repository() { # make_repository NAME
    needs git
    mkdir -p "src/$1"
    (
        cd "src/$1" || exit
        git_ init -q
        mkdir sub
        printf 'foo of v1\n' >foo
        printf '#!/bin/sh\n' >sub/run
        chmod 755 sub/run
        ln -s foo link
        ln -s sub subdir-link
        git_ add . && git_ commit -qm one && git_ tag v1
        printf 'foo of v2\n' >foo && git_ commit -qam two && git_ tag -a v2 -m second
        printf 'foo of main\n' >foo && git_ commit -qam three
    )
    publish "$1"
}

publish() { # publish NAME: what src/NAME has now
    rm -rf "www/$1.git"
    git_ clone -q --bare "src/$1" "www/$1.git"
    git_ -C "www/$1.git" update-server-info
}

commit_of() { # commit_of NAME REF
    git_ -C "src/$1" rev-parse "$2^{commit}"
}

mode_of() { # mode_of PATH
    stat -c %a "$1"
}

t_a_url_becomes_a_file_with_its_name_and_time() {
    start_server
    echo content >www/foo
    touch -d @1500000000 www/foo
    echo index >www/index.html
    printf 'FROM scratch\nADD %s/foo /dest/\nADD %s/foo /as\nADD %s/foo?x=/y#z /query/\nADD %s/a%%2Fb%%2f/../index.html /up/\n' \
        "$URL" "$URL" "$URL" "$URL" | dockerfile
    tree got
    eq content "$(cat got/dest/foo)"
    eq "600 0:0 1500000000" "$(stat -c '%a %u:%g %Y' got/dest/foo)"
    eq content "$(cat got/as)"
    eq content "$(cat got/query/foo)"
    eq index "$(cat got/up/index.html)"
    has requests "agent=shale/"
}

t_files_of_any_size_come_whole() {
    start_server
    : >www/empty
    head -c 70000 /dev/urandom >www/some
    head -c 20000000 /dev/zero | tr '\0' x >www/much
    printf 'FROM scratch\nADD %s/empty %s/some %s/much /\n' "$URL" "$URL" "$URL" | dockerfile
    tree got
    cmp www/empty got/empty
    cmp www/some got/some
    cmp www/much got/much
}

t_a_url_without_a_name_is_unnamed() {
    start_server
    echo index >www/index.html
    echo root >www/root
    printf 'FROM scratch\nADD %s/ /a/\nADD %s /b/\nADD %s/to/302?/root /c/\nADD %s/x/%%2e%%2e /d/\n' \
        "$URL" "$URL" "$URL" "$URL" | dockerfile
    tree got
    eq "index index root index" "$(cat got/a/__unnamed__ got/b/__unnamed__ got/c/302 got/d/__unnamed__ | tr '\n' ' ' | sed 's/ $//')"
}

t_an_etag_saves_the_transfer() {
    start_server
    echo one >www/foo
    echo '"e1"' >www/foo.etag
    printf 'FROM scratch\nADD %s/foo /dest/\n' "$URL" | dockerfile
    build
    build
    all_cached
    has requests 'GET /foo 304 auth=- inm="e1"'
    echo two >www/foo
    echo '"e2"' >www/foo.etag
    tree got
    eq two "$(cat got/dest/foo)"
}

t_an_etag_holds_for_the_place_that_gave_it() {
    start_server
    echo one >www/one
    echo two >www/two
    echo '"e"' | tee www/one.etag >www/two.etag
    echo /one >www/where
    printf 'FROM scratch\nADD %s/moving/where /dest/\n' "$URL" | dockerfile
    build
    build
    has requests 'GET /one 304 auth=- inm="e"'
    echo /two >www/where
    tree got
    eq two "$(cat got/dest/where)"
}

t_a_date_alone_saves_nothing() {
    start_server
    echo one >www/foo
    touch -d @1500000000 www/foo
    printf 'FROM scratch\nADD %s/foo /dest/\n' "$URL" | dockerfile
    build
    echo two >www/foo
    touch -d @1500000000 www/foo
    tree got
    eq two "$(cat got/dest/foo)"
    hasnt requests 'GET /foo 304'
}

t_a_file_and_a_ref_of_one_spelling_are_two_things() {
    start_server
    make_repository app
    git_ -C src/app branch %zz v1
    publish app
    echo page >www/app.git.page
    # "%zz" is no fragment for git, so this is a file; "%25zz" is the branch.
    printf 'FROM scratch\nADD %s/app.git#%%zz /file/\nADD %s/app.git#%%25zz /tree/\n' "$URL" "$URL" | dockerfile
    tree got
    eq "page foo of v1" "$(cat got/file/app.git got/tree/foo | tr '\n' ' ' | sed 's/ $//')"
    printf 'FROM scratch\nADD %s/app.git#%%25zz /tree/\nADD %s/app.git#%%zz /file/\n' "$URL" "$URL" | dockerfile
    tree again --no-cache
    eq "page foo of v1" "$(cat again/file/app.git again/tree/foo | tr '\n' ' ' | sed 's/ $//')"
}

t_same_size_and_time_do_not_hide_an_edit() {
    start_server
    echo one >www/foo
    touch -d @1500000000 www/foo
    printf 'FROM scratch\nADD %s/foo /dest/\n' "$URL" | dockerfile
    echo '"a"' >www/foo.etag
    build
    echo two >www/foo
    touch -d @1500000000 www/foo
    echo '"b"' >www/foo.etag
    tree got
    eq two "$(cat got/dest/foo)"
}

t_damage_to_what_was_fetched_costs_another_fetch() {
    start_server
    head -c 300000 /dev/urandom | base64 >www/foo
    echo '"e"' >www/foo.etag
    printf 'FROM scratch\nADD %s/foo /dest/\n' "$URL" | dockerfile
    build
    local blob
    find "$SHALE_ROOT/blobs" -type f -size +100k >blobs
    while read -r blob; do
        chmod u+w "$blob"
        printf XXXX | dd of="$blob" bs=1 seek=5000 conv=notrunc status=none
    done <blobs
    [ -s blobs ] || fail "no blobs to damage"
    printf 'FROM scratch\nADD --chmod=700 %s/foo /dest/\n' "$URL" | dockerfile
    tree got
    cmp www/foo got/dest/foo
}

t_a_checksum_is_verified_before_anything_is_kept() {
    start_server
    echo content >www/foo
    local algorithm sum wrong=0000000000000000000000000000000000000000000000000000000000000000
    for algorithm in sha256 sha384 sha512; do
        sum=$(${algorithm}sum www/foo | cut -d' ' -f1)
        printf 'FROM scratch\nADD --checksum=%s:%s %s/foo /%s\n' $algorithm "$sum" "$URL" $algorithm | dockerfile
        tree got
        eq content "$(cat got/$algorithm)"
    done
    sum=$(sha256sum www/foo | cut -d' ' -f1)
    printf 'FROM scratch\nADD --checksum=sha256:%s %s/foo /dest\n' $wrong "$URL" | dockerfile
    build_fails
    says "digest mismatch sha256:$sum: sha256:$wrong"
    # A wrong sum is not made right by what is remembered of the URL.
    echo '"e"' >www/foo.etag
    printf 'FROM scratch\nADD %s/foo /dest\n' "$URL" | dockerfile
    build
    printf 'FROM scratch\nADD --checksum=sha256:%s %s/foo /dest\n' $wrong "$URL" | dockerfile
    build_fails
    says "digest mismatch"
}

t_what_a_checksum_names_needs_no_server() {
    start_server
    echo content >www/foo
    local sum
    sum=$(sha512sum www/foo | cut -d' ' -f1)
    printf 'FROM scratch\nADD --checksum=sha512:%s %s/foo /one\n' "$sum" "$URL" | dockerfile
    build
    stop_server
    printf 'FROM scratch\nADD --checksum=sha512:%s %s/foo /two\n' "$sum" "$URL" | dockerfile
    tree got
    eq content "$(cat got/two)"
    printf 'FROM scratch\nADD %s/foo /two\n' "$URL" | dockerfile
    build_fails
    says "cannot reach"
    build --offline
}

t_wrong_checksums_and_sources_are_told() {
    echo x >ctx/foo
    local instruction message
    while IFS='|' read -r instruction message; do
        printf 'FROM scratch\n%s\n' "$instruction" | dockerfile
        build_fails
        says "$message"
        has log "Dockerfile:2"
    done <<'END'
ADD --checksum=md5:7e55db001d319a94b0b713529a756623 http://127.0.0.1:1/x /|unsupported digest algorithm
ADD --checksum=unknown:7e55db001d http://127.0.0.1:1/x /|unsupported digest algorithm
ADD --checksum=7e55db001d http://127.0.0.1:1/x /|invalid checksum digest format
ADD --checksum=sha256:zz http://127.0.0.1:1/x /|invalid checksum digest length
ADD --checksum=sha256:7e55 foo /|checksum requires HTTP(S) or Git sources
ADD --checksum=sha256:7e55 http://127.0.0.1:1/x http://127.0.0.1:1/y /|checksum can't be specified for multiple sources
ADD --checksum=foobar http://127.0.0.1:1/x.git /|invalid checksum foobar for Git URL, expected hex commit hash
ADD http://127.0.0.1:1/x.git?foo=bar /|unexpected query "foo"
ADD http://127.0.0.1:1/x.git#-x /|invalid git ref "-x"
ADD --keep-git-dir=true http://127.0.0.1:1/x.git?keep-git-dir=false /|inconsistent keep-git-dir configuration
ADD git@127.0.0.1:x /|unset ssh forward key default
COPY http://127.0.0.1:1/x /|source can't be a URL for COPY
COPY http://127.0.0.1:1/x.git /|source can't be a git ref for COPY
END
}

t_refusals_of_a_server_are_told_and_leave_nothing() {
    start_server
    printf 'FROM scratch\nADD %s/nope /\n' "$URL" | dockerfile
    build_fails
    eq "ERROR: failed to build: failed to solve: failed to load cache key: invalid response status 404" "$sentence"
    printf 'FROM scratch\nADD %s/status/500 /\n' "$URL" | dockerfile
    build_fails
    says "invalid response status 500"
    printf 'FROM scratch\nADD %s/lies/x /\n' "$URL" | dockerfile
    build_fails
    says "invalid response status 304"
    printf 'FROM scratch\nADD %s/loop /\n' "$URL" | dockerfile
    build_fails
    says "redirects without end"
    printf 'FROM scratch\nADD %s/short /\n' "$URL" | dockerfile
    build_fails
    says "lost the connection"
    eq 3 "$(grep -c 'GET /short' requests)" "tries"
    nothing_left fileserver-of-nobody
}

t_secrets_open_their_host_and_no_other() {
    start_server
    echo secret >www/foo
    printf 'FROM scratch\nADD %s/auth/foo /dest/\n' "$URL" | dockerfile
    build_fails
    says "invalid response status 401"
    printf 'let-me-in\n' >token
    build --secret id=HTTP_AUTH_TOKEN_127.0.0.1,src=token
    printf 'Bearer let-me-in' >header
    printf 'FROM scratch\nADD %s/auth/foo /other/\n' "$URL" | dockerfile
    build --secret id=HTTP_AUTH_HEADER_127.0.0.1,src=header
    # Another name of the same machine is another host, also at the end of a redirect.
    : >requests
    printf 'FROM scratch\nADD %s/to/307?http://localhost:%s/auth/foo /third/\n' "$URL" "$PORT" | dockerfile
    build_fails --secret id=HTTP_AUTH_TOKEN_127.0.0.1,src=token
    says "invalid response status 401"
    has requests "GET /auth/foo 401 auth=-"
    printf 'two\nlines' >bad
    build_fails --secret id=HTTP_AUTH_TOKEN_127.0.0.1,src=bad
    says "it is no value for a header"
}

t_credentials_in_urls_are_shown_and_kept_nowhere() {
    start_server
    make_repository app
    echo secret >www/foo
    printf 'FROM scratch\nADD http://me:let-me-in@127.0.0.1:%s/basic/foo /dest/\nADD http://me:let-me-in@127.0.0.1:%s/basic/app.git#v1 /app\n' \
        "$PORT" "$PORT" | dockerfile
    oci
    has requests "GET /basic/foo 200 auth=Basic "
    hasnt log let-me-in
    eq "ADD http://xxxxx:xxxxx@127.0.0.1:$PORT/basic/foo /dest/ # buildkit" "$(config '.history[0].created_by')"
    if grep -rql "let-me-in\|$(printf 'me:let-me-in' | base64)" "$SHALE_ROOT" oci oci.tar; then fail "it is in the store"; fi
    # The second time they are asked for again: nothing of them is remembered.
    printf 'FROM scratch\nADD http://127.0.0.1:%s/basic/app.git#v1 /app\n' "$PORT" | dockerfile
    build_fails
    says "failed to fetch remote http://127.0.0.1:$PORT/basic/app.git"
}

t_git_gets_credentials_by_secret_and_never_by_argument() {
    start_server
    make_repository app
    mkdir bin
    printf '#!/bin/sh\n{ echo "$@"; env; } >>%s/calls\nGIT_TRACE=%s/trace exec %s "$@"\n' "$W" "$W" "$(command -v git)" >bin/git
    chmod 755 bin/git
    printf 'basic %s\n' "$(printf 'me:let-me-in' | base64)" >header
    printf 'FROM scratch\nADD %s/basic/app.git#v1 /app\n' "$URL" | dockerfile
    PATH=$W/bin:$PATH build --secret id=GIT_AUTH_HEADER,src=header
    has calls ls-remote
    has trace fetch
    if grep -q "$(printf 'me:let-me-in' | base64)" calls trace log; then fail "the secret was to be seen"; fi
    printf 'FROM scratch\nADD %s/basic/app.git#v2 /app\n' "$URL" | dockerfile
    build --secret "id=GIT_AUTH_HEADER.127.0.0.1:$PORT,src=header"
}

t_owner_and_mode_of_what_is_fetched_can_be_set() {
    start_server
    make_repository app
    echo content >www/foo
    printf 'FROM scratch\nADD --chmod=755 --chown=1:2 %s/foo /foo\nADD --chown=3:4 --chmod=u=rwX,go= %s/smart/app.git#v1 /app\n' \
        "$URL" "$URL" | dockerfile
    tree got
    eq "755 1:2" "$(stat -c '%a %u:%g' got/foo)"
    eq "600 3:4" "$(stat -c '%a %u:%g' got/app/foo)"
    eq "700 3:4" "$(stat -c '%a %u:%g' got/app/sub)"
}

t_a_fetched_archive_is_unpacked_only_when_asked() {
    start_server
    mkdir in && echo inside >in/file
    tar -C in -czf www/a.tar.gz file
    printf 'FROM scratch\nADD %s/a.tar.gz /plain/\nADD --unpack=true %s/a.tar.gz /unpacked/\nADD --unpack=false %s/a.tar.gz /kept/\n' \
        "$URL" "$URL" "$URL" | dockerfile
    tree got
    cmp www/a.tar.gz got/plain/a.tar.gz
    cmp www/a.tar.gz got/kept/a.tar.gz
    eq inside "$(cat got/unpacked/file)"
}

t_remote_and_local_sources_go_together() {
    start_server
    make_repository app
    echo far >www/far
    echo near >ctx/near
    printf 'FROM scratch\nARG V=v1\nADD near %s/far %s/smart/app.git#${V} /dest/\nADD --link %s/far /linked\n' "$URL" "$URL" "$URL" | dockerfile
    tree got
    eq "near far foo of v1 far" "$(cat got/dest/near got/dest/far got/dest/foo got/linked | tr '\n' ' ' | sed 's/ $//')"
    build --build-arg V=v1
    all_cached
    tree got --build-arg V=v2
    eq "foo of v2" "$(cat got/dest/foo)"
}

t_refs_of_a_repository_are_found() {
    start_server
    make_repository app
    local server ref want
    git_ -C src/app branch twin v1
    git_ -C src/app tag twin
    publish app
    # The server that runs git, and one of plain files.
    for server in "$URL/smart/app.git" "$URL/app.git"; do
        while IFS='|' read -r ref want; do
            printf 'FROM scratch\nADD %s%s /x\n' "$server" "$ref" | dockerfile
            tree got
            eq "$want" "$(cat got/x/foo)" "$server$ref"
            [ ! -e got/x/.git ] || fail ".git is there"
        done <<END
|foo of main
#v1|foo of v1
#v2|foo of v2
#main|foo of main
#refs/heads/main|foo of main
#refs/tags/v1|foo of v1
#$(commit_of app v1)|foo of v1
?tag=v2|foo of v2
?branch=main|foo of main
?ref=v1|foo of v1
?branch=twin|foo of v1
?tag=twin|foo of main
#twin|foo of v1
?ref=v2&checksum=$(commit_of app v2)|foo of v2
?checksum=$(commit_of app v1)&fetch-by-commit=true|foo of v1
END
    done
    printf 'FROM scratch\nADD %s/smart/app.git#nosuch /x\n' "$URL" | dockerfile
    build_fails
    says "repository does not contain ref nosuch"
    printf 'FROM scratch\nADD %s/smart/none.git /x\n' "$URL" | dockerfile
    build_fails
    says "failed to fetch remote $URL/smart/none.git: git stderr: "
}

t_files_of_a_repository_have_gits_modes() {
    start_server
    make_repository app
    umask 077
    printf 'FROM scratch\nADD %s/smart/app.git#v1 /x\nADD %s/smart/app.git#v1:sub /y\n' "$URL" "$URL" | dockerfile
    tree got
    eq "644 755 755 755" "$(mode_of got/x/foo) $(mode_of got/x/sub/run) $(mode_of got/x/sub) $(mode_of got/x)"
    eq foo "$(readlink got/x/link)"
    eq run "$(ls -A got/y)"
    eq "0:0" "$(stat -c %u:%g got/x/foo)"
    printf 'FROM scratch\nADD %s/smart/app.git?ref=v1&mtime=commit /z\n' "$URL" | dockerfile
    tree got
    eq "$(git_ -C src/app show -s --format=%ct v1)" "$(stat -c %Y got/z/foo)"
}

t_a_known_commit_is_not_fetched_again() {
    start_server
    make_repository app
    printf 'FROM scratch\nADD %s/smart/app.git#%s /x\n' "$URL" "$(commit_of app v1)" | dockerfile
    build
    printf 'FROM scratch\nADD %s/smart/app.git#v1 /y\n' "$URL" | dockerfile
    : >requests
    tree got
    eq "foo of v1" "$(cat got/y/foo)"
    eq 1 "$(grep -c 'POST' requests)" "questions (the refs alone)"
    stop_server
    printf 'FROM scratch\nADD %s/smart/app.git#%s /z\n' "$URL" "$(commit_of app v1)" | dockerfile
    build
    printf 'FROM scratch\nADD --checksum=%s %s/smart/app.git#v1 /z\n' "$(commit_of app v1)" "$URL" | dockerfile
    build
    printf 'FROM scratch\nADD %s/smart/app.git#v1 /z\n' "$URL" | dockerfile
    build_fails
}

t_a_branch_that_moved_is_seen() {
    start_server
    make_repository app
    printf 'FROM scratch\nADD %s/smart/app.git#main /x\n' "$URL" | dockerfile
    build
    build
    all_cached
    echo moved >src/app/foo
    git_ -C src/app commit -qam four
    publish app
    tree got
    eq moved "$(cat got/x/foo)"
}

t_one_build_sees_one_state_of_what_is_elsewhere() {
    start_server
    make_repository app
    echo content >www/far
    printf 'FROM scratch AS one\nADD %s/far %s/smart/app.git /one/\nFROM scratch\nCOPY --from=one / /\nADD %s/far %s/smart/app.git /two/\n' \
        "$URL" "$URL" "$URL" "$URL" | dockerfile
    tree got
    same_tree got/one got/two
    eq 1 "$(grep -c 'GET /far ' requests)" "questions for the file"
    eq 2 "$(grep -c 'GET /smart/app.git/info/refs' requests)" "questions for refs, one of them to fetch"
}

t_a_commit_is_checked_against_its_checksum() {
    start_server
    make_repository app
    local commit
    commit=$(commit_of app v2)
    printf 'FROM scratch\nADD --checksum=%s %s/smart/app.git#v2 /x\n' "${commit:0:10}" "$URL" | dockerfile
    build
    printf 'FROM scratch\nADD --checksum=deadbeef %s/smart/app.git#v2 /x\n' "$URL" | dockerfile
    build_fails
    says "expected checksum to match deadbeef, got $commit"
    printf 'FROM scratch\nADD --checksum=deadbeef %s/smart/app.git#%s /x\n' "$URL" "$commit" | dockerfile
    build_fails
    says "expected checksum to match deadbeef, got $commit"
}

t_the_repository_can_be_kept() {
    start_server
    make_repository app
    printf 'FROM scratch\nADD --keep-git-dir=true %s/smart/app.git#v2 /x\nADD %s/smart/app.git?ref=main&keep-git-dir=1 /y\nADD --keep-git-dir %s/smart/app.git?ref=main&subdir=sub /z\n' \
        "$URL" "$URL" "$URL" | dockerfile
    tree got
    eq "$(commit_of app v2)" "$(cat got/x/.git/HEAD)"
    eq two "$(git_ -C got/x log --format=%s)"
    eq "" "$(git_ -C got/x status -s)"
    eq v2 "$(git_ -C got/x describe)"
    eq "$URL/smart/app.git" "$(git_ -C got/x remote get-url origin)"
    eq "$(commit_of app main)" "$(git_ -C got/y rev-parse refs/heads/main)"
    [ ! -e got/z/.git ] || fail ".git in a subdirectory"
    # The same bytes when it is fetched anew.
    tree first
    SHALE_ROOT=$W/other tree second
    same_tree first second
}

t_submodules_come_along() {
    start_server
    make_repository lib
    make_repository app
    git_ -C src/app submodule --quiet add ../../www/lib.git mod 2>/dev/null
    git_ -C src/app config -f .gitmodules submodule.mod.url ../lib.git
    git_ -C src/app commit -qam 'with a submodule'
    publish app
    printf 'FROM scratch\nADD %s/smart/app.git /x\nADD %s/smart/app.git?submodules=false /y\nADD %s/smart/app.git?keep-git-dir=true /z\n' \
        "$URL" "$URL" "$URL" | dockerfile
    tree got
    SHALE_ROOT=$W/other tree again
    same_tree got again
    eq "foo of main" "$(cat got/x/mod/foo)"
    [ ! -e got/x/mod/.git ] || fail ".git of a submodule"
    eq "" "$(ls -A got/y/mod)"
    eq "" "$(git_ -C got/z status -s)"
    eq three "$(git_ -C got/z/mod log --format=%s)"
    eq "" "$(git_ -C got/z/mod status -s)"
}

t_a_hostile_repository_gets_nothing_of_this_machine() {
    start_server
    make_repository app
    git_ clone -q --bare src/app private.git
    # A submodule that is a directory of this machine, and hooks or programs that it would like to be run.
    git_ -C src/app submodule --quiet add "$W/private.git" mod 2>/dev/null
    git_ -C src/app config -f .gitmodules submodule.mod.url "file://$W/private.git"
    git_ -C src/app commit -qam local
    publish app
    printf 'FROM scratch\nADD %s/smart/app.git /x\n' "$URL" | dockerfile
    build_fails
    says "failed to update submodules"
    git_ -C src/app config -f .gitmodules submodule.mod.url "ext::sh -c touch% $W/ran"
    git_ -C src/app commit -qam ext
    publish app
    build_fails
    [ ! -e ran ] || fail "its program ran"
    ln -s /etc src/app/etc
    git_ -C src/app add etc
    git_ -C src/app commit -qm links
    publish app
    local subdir
    for subdir in etc subdir-link foo .git/refs nosuch; do
        printf 'FROM scratch\nADD %s/smart/app.git?submodules=0&subdir=%s /x\n' "$URL" "$subdir" | dockerfile
        build_fails
        says "invalid subdir /$subdir"
    done
    printf 'FROM scratch\nADD %s/smart/app.git?submodules=0&subdir=../../sub /x\n' "$URL" | dockerfile
    tree got
    eq run "$(ls -A got/x)"
}

t_a_submodule_cannot_use_the_ssh_keys_of_whoever_builds() {
    start_server
    make_repository app
    git_ clone -q --bare src/app private.git
    mkdir bin
    printf '#!/bin/sh\ntouch %s/ran\nexec git-upload-pack %s/private.git\n' "$W" "$W" >bin/ssh
    chmod 755 bin/ssh
    git_ -C src/app submodule --quiet add "$W/private.git" mod 2>/dev/null
    git_ -C src/app config -f .gitmodules submodule.mod.url git@example.com:private.git
    git_ -C src/app commit -qam ssh
    publish app
    printf 'FROM scratch\nADD %s/smart/app.git /x\n' "$URL" | dockerfile
    local git_core
    git_core=$(git --exec-path)
    PATH=$W/bin:$git_core:$PATH build_fails
    says "transport 'ssh' not allowed"
    [ ! -e ran ] || fail "ssh was called"
}

t_settings_of_the_user_do_not_reach_git() {
    start_server
    make_repository app
    mkdir -p home/.config/git hooks
    printf '#!/bin/sh\ntouch %s/ran\n' "$W" | tee hooks/post-checkout >hooks/reference-transaction
    chmod 755 hooks/*
    printf '[core]\n\thooksPath = %s/hooks\n[url "%s/nowhere/"]\n\tinsteadOf = %s/\n' "$W" "$URL" "$URL" >home/.gitconfig
    printf 'FROM scratch\nADD %s/smart/app.git#v1 /x\n' "$URL" | dockerfile
    HOME=$W/home GIT_DIR=/nowhere GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=core.hooksPath GIT_CONFIG_VALUE_0=$W/hooks build
    [ ! -e ran ] || fail "a hook ran"
}

t_without_git_the_package_is_named() {
    mkdir bin
    ln -s "$(command -v runc || command -v crun)" bin/
    printf 'FROM scratch\nADD http://127.0.0.1:1/x.git /x\n' | dockerfile
    PATH=$W/bin build_path_fails
    says "git repositories need the program 'git', which is not here (package git)"
}

build_path_fails() { # as build_fails, whose helpers need the usual PATH
    local status=0
    "$SHALE" build --progress=plain --load=false ctx >out 2>log || status=$?
    export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
    eq 1 $status
    sentence=$(tail -n 1 log)
}

t_an_interrupt_ends_git_and_its_helpers() {
    mkdir bin
    printf '#!/bin/sh\nsleep 98765 &\ntouch %s/started\nwait\n' "$W" >bin/git
    chmod 755 bin/git
    printf 'FROM scratch\nADD http://127.0.0.1:1/x.git /x\n' | dockerfile
    PATH=$W/bin:$PATH "$SHALE" build --progress=plain --load=false ctx >out 2>log &
    local pid=$! status=0
    for _ in $(seq 100); do
        [ ! -e started ] || break
        sleep 0.1
    done
    kill -TERM $pid
    wait $pid || status=$?
    eq 143 $status
    nothing_left "sleep 98765"
}

t_git_over_ssh_uses_the_agent_that_the_build_was_given() {
    needs ssh-agent
    make_repository app
    mkdir bin
    # Stands for ssh: says whom it would call and with which agent, and is the other side itself.
    printf '#!/bin/sh\necho "$@" >>%s/calls\nssh-add -l >>%s/keys 2>&1\nexec git-upload-pack %s/www/app.git\n' \
        "$W" "$W" "$W" >bin/ssh
    chmod 755 bin/ssh
    ssh-keygen -q -t ed25519 -N '' -C that-key -f key
    local git_core
    git_core=$(git --exec-path)
    printf 'FROM scratch\nADD ssh://git@example.com:2222/app.git#v1 /x\nADD git@example.com:app.git#v2 /y\n' | dockerfile
    PATH=$W/bin:$git_core:$PATH build -o type=local,dest=got --ssh "default=$W/key"
    eq "foo of v1 foo of v2" "$(cat got/x/foo got/y/foo | tr '\n' ' ' | sed 's/ $//')"
    has calls "-p 2222 git@example.com git-upload-pack '/app.git'"
    has calls "git@example.com git-upload-pack 'app.git'"
    has calls "BatchMode=yes"
    has keys that-key
    eq "" "$(find /tmp -maxdepth 1 -name 'shale-??????' -newer key)" "links to sockets"
    PATH=$W/bin:$git_core:$PATH build_fails --no-cache
    says "unset ssh forward key default"
}

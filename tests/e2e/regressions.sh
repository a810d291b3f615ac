# Bugs of caching that other builders shipped. Each test has the name of the builder and the number of the issue where
# there is one; kaniko_fork is osscontainertools/kaniko (was mzihlmann/kaniko). Tests of others among them are elsewhere:
#
#   two writers of one key                          single_flight/four_builds_that_need_a_step_run_it_once_...
#   a reservation whose owner has died (GitHub)     single_flight/a_killed_holder_does_not_block_the_others
#   what --no-cache made is not found (podman#21310)  no_cache/what_ran_without_the_cache_is_known_to_the_next_build
#   keys that differ by umask (buildkit#4374)       modes/two_checkouts_under_umask_002_and_022_share_everything
#   a build argument that no step has (buildah#3007)  cache/a_build_arg_counts_from_its_declaration_on
#   times alone (Charliecloud)                      cache/a_new_time_alone_is_no_change
# shellcheck shell=bash disable=SC2016 # what is in single quotes is for the container

# The image that a build without the cache gives, out of ANOTHER store: what is known here has to be the same.
same_without_cache() {
    tree kept.files
    cp -a "$TEMPLATE/store" "$W/other.store"
    SHALE_ROOT=$W/other.store tree fresh.files --no-cache
    rm -rf "$W/other.store"
    same_tree kept.files fresh.files
}

# A RUN that prints "started" and waits until open_gate; what stands behind it is what it does then.
gate='--mount=type=cache,id=gate,target=/gate echo started; until test -e /gate/go; do sleep 0.1; done;'

# background LOG: builds ctx beside the test, which ends it should it fail; sets pid
background() {
    "$SHALE" build --progress=plain --load=false -t t ctx >out 2>"$1" &
    pid=$!
    trap 'open_gate; kill $(jobs -p) 2>/dev/null || :' EXIT
}

wait_for() { # wait_for PID LOG TEXT
    for _ in $(seq 300); do
        ! grep -q -- "$3" "$2" || return 0
        kill -0 "$1" 2>/dev/null || { cat "$2" >&2; fail "the build ended by itself"; }
        sleep 0.1
    done
    cat "$2" >&2
    fail "no '$3' in $2"
}

open_gate() {
    local dir
    for dir in "$SHALE_ROOT"/cache-mounts/*/; do touch "$dir/go" 2>/dev/null || :; done
}

# The files of the layers that steps with such a text made: blobs and tree.
forget_layers() { # forget_layers TEXT
    local diff blob
    sqlite3 "$SHALE_ROOT/shale.db" "SELECT lower(hex(layer)) FROM records WHERE step LIKE '%$1%'" >diffs
    [ -s diffs ] || fail "no record of '$1'"
    while read -r diff; do
        sqlite3 "$SHALE_ROOT/shale.db" "SELECT lower(hex(blob)) FROM layer_blobs WHERE hex(diff) = upper('$diff')" >blobs
        [ -s blobs ] || fail "no blob of '$1'"
        while read -r blob; do rm "$SHALE_ROOT/blobs/sha256/${blob:0:2}/$blob"; done <blobs
        rm -rf "${SHALE_ROOT:?}/trees/$diff"
    done <diffs
}

# ---- what the files are ----

# mzihlmann/kaniko#62: digests of the files without their names
t_kaniko_fork_62_a_rename_inside_a_copied_directory() {
    mkdir -p ctx/d/sub
    echo 1 >ctx/d/a
    echo 2 >ctx/d/m
    printf 'FROM base:1\nCOPY d /d\nRUN find /d | sort >/names\n' | dockerfile
    build -t t
    mv ctx/d/a ctx/d/b # the order stays as it was
    build -t t
    ran 'COPY d /d' 'RUN find'
    eq $'/d\n/d/b\n/d/m\n/d/sub' "$(inside cat /names)"
    mv ctx/d/b ctx/d/sub/b
    build -t t
    ran 'COPY d /d' 'RUN find'
    eq $'/d\n/d/m\n/d/sub\n/d/sub/b' "$(inside cat /names)"
    same_without_cache
}

# moby/buildkit#2008: the digest of what a wildcard finds
t_buildkit_2008_a_rename_that_a_wildcard_finds_too() {
    echo 1 >ctx/a.txt
    echo 2 >ctx/m.txt
    printf 'FROM base:1\nCOPY *.txt /o/\n' | dockerfile
    build -t t
    mv ctx/a.txt ctx/b.txt
    build -t t
    ran 'COPY *.txt /o/'
    eq $'b.txt\nm.txt' "$(inside ls /o)"
}

# moby/buildkit#853, moby/buildkit#894, moby/moby#38964: only the first source was looked at
t_buildkit_853_the_second_of_several_sources_changed() {
    mkdir ctx/d
    local source
    for source in one two three.txt d/four; do echo first >"ctx/$source"; done
    printf 'FROM base:1\nCOPY one two *.txt d /o/\nADD one two /p/\n' | dockerfile
    build -t t
    for source in two three.txt d/four one; do
        echo "second $source" >"ctx/$source"
        build -t t
        ran 'COPY one two'
        eq "second $source" "$(inside cat "/o/${source#d/}")"
        [ -e "ctx/${source#d/}" ] || continue
        case $source in one | two) ran 'ADD one two' ;; *) cached 'ADD one two' ;; esac
    done
    eq "second two" "$(inside cat /p/two)"
}

# moby/buildkit#4950: a file of the same size and time has other bytes
t_buildkit_4950_an_edit_of_the_same_size_and_time() {
    local i stamp
    echo 0 >ctx/f
    printf 'FROM base:1\nCOPY . /o/\nRUN cat /o/f >/read\n' | dockerfile
    echo Dockerfile >ctx/.dockerignore
    stamp=$(stat -c %y ctx/f)
    for i in 1 2 3 4 5; do
        build -t t
        echo "$i" >ctx/f
        touch -d "$stamp" ctx/f
        build -t t
        ran 'COPY . /o/' 'RUN cat'
        eq "$i" "$(inside cat /read)"
    done
}

# GoogleContainerTools/kaniko: user and group of the checkout were in the key, so that two agents shared nothing
t_kaniko_the_owner_of_a_checkout_is_no_change() {
    mkdir ctx/d
    echo f >ctx/d/f
    printf 'FROM base:1\nCOPY d /d\nRUN --mount=target=/m cat /m/d/f >/f\n' | dockerfile
    build -t t
    chown -R 1234:5678 ctx
    build -t t
    all_cached
    eq 0:0 "$(inside stat -c %u:%g /d/f)"
}

# makisu: modes are in no key
t_makisu_a_mode_alone_is_a_change() {
    echo f >ctx/f
    chmod 644 ctx/f
    printf 'FROM base:1\nCOPY f /f\nRUN --mount=source=f,target=/m stat -c %%a /f /m >/modes\n' | dockerfile
    build -t t
    chmod 4755 ctx/f
    build -t t
    ran 'COPY f /f' 'RUN --mount'
    eq $'4755\n4755' "$(inside cat /modes)"
}

# Charliecloud: files are known by their times, so that a new checkout, or one beside it, finds nothing
t_charliecloud_another_checkout_finds_what_the_first_one_made() {
    mkdir -p ctx/d
    echo f >ctx/d/f
    printf 'FROM base:1\nCOPY . /d\nRUN cat /d/d/f >/f\n' | dockerfile
    build -t t
    mkdir elsewhere
    mv ctx elsewhere/first
    mkdir -p ctx/d
    echo f >ctx/d/f
    cp elsewhere/first/Dockerfile ctx/
    build -t t
    all_cached
}

# ccache's guard, which builders lack: what a file's digest was taken of is not what is copied
t_ccache_a_file_that_changes_between_being_hashed_and_copied() {
    mkdir ctx/d
    echo early >ctx/d/f
    printf 'FROM base:1\nCOPY d /one\nRUN %s true\nCOPY d /two\n' "$gate" | dockerfile
    local pid status=0
    background log
    wait_for "$pid" log ' started$'
    echo other >ctx/d/f # of the same size
    open_gate
    wait "$pid" || status=$?
    # An image is of one state of the context: the build begins again.
    eq 0 $status "status of the build"
    has log 'the context has changed, the build begins again: '
    has log 'a file changed while it was copied'
    eq other "$(inside cat /one/f)"
    eq other "$(inside cat /two/f)"
    echo early >ctx/d/f
    build -t t
    cached 'COPY d /one'
    eq early "$(inside cat /one/f)" "what was kept as the early file"
    eq early "$(inside cat /two/f)"
}

t_ccache_a_build_that_begins_again_makes_no_step_twice() {
    mkdir ctx/d
    echo early >ctx/d/f
    echo other >ctx/o
    tar -C ctx -cf ctx/a.tar o
    printf 'FROM base:1\nCOPY o /o\nRUN %s true\nCOPY d /two\nADD a.tar /a\n' "$gate" | dockerfile
    local pid status=0
    "$SHALE" build --progress=plain --load=false --no-cache -t t ctx >out 2>log &
    pid=$!
    trap 'open_gate; kill $(jobs -p) 2>/dev/null || :' EXIT
    wait_for "$pid" log ' started$'
    echo later >ctx/d/f
    tar -C ctx -cf ctx/a.tar o d
    open_gate
    wait "$pid" || status=$?
    eq 0 $status "status of the build"
    has log 'the context has changed, the build begins again: '
    eq 1 "$(grep -c ' started$' log)" "runs of the step that does not see the files"
    eq later "$(inside cat /two/f)"
    eq later "$(inside cat /a/d/f)"
}

t_ccache_a_file_that_is_written_all_the_time_never_gives_another_image() {
    mkdir ctx/d
    echo 0 >ctx/d/f
    head -c 100000000 /dev/zero >ctx/d/large
    printf 'FROM base:1\nCOPY d /one\n' | dockerfile
    (n=0; while :; do n=$((n + 1)); echo $n >ctx/d/f; done) &
    local writer=$!
    # shellcheck disable=SC2064 # now
    trap "kill $writer 2>/dev/null || :" EXIT
    local status=0
    "$SHALE" build --progress=plain --load=false -t t ctx >out 2>log || status=$?
    kill $writer
    wait $writer 2>/dev/null || :
    # Which of the two depends on the moment; never is it another file than the image says.
    [ $status -eq 0 ] || has log 'chang'
    build -t t
    eq "$(cat ctx/d/f)" "$(inside cat /one/f)"
}

# ---- what a key is made of ----

# GoogleContainerTools/kaniko#875, #912 in the fork: inputs were joined without frames
t_kaniko_875_what_reads_the_same_when_joined() {
    mkdir ctx/d
    printf ab >ctx/d/1
    : >ctx/d/2
    printf 'FROM base:1\nCOPY d /d\nRUN cat /d/2 >/2\n' | dockerfile
    build -t t
    printf a >ctx/d/1
    printf b >ctx/d/2
    build -t t
    ran 'COPY d /d' 'RUN cat'
    eq b "$(inside cat /2)"
    mv ctx/d/1 ctx/d/1b # names and contents: "1" "bx", "1b" "x"
    printf x >ctx/d/1b
    build -t t
    mv ctx/d/1b ctx/d/1
    printf bx >ctx/d/1
    build -t t
    ran 'COPY d /d'
    eq bx "$(inside cat /d/1)"
}

t_kaniko_912_words_and_variables_that_read_the_same_when_joined() {
    local line said
    while IFS='|' read -r line said; do
        printf 'FROM base:1\n%b\n' "$line" | dockerfile
        build -t t
        eq "$said" "$(inside cat /said)" "the result of '$line'"
    done <<'END'
RUN ["sh","-c","echo $0,$1 >/said","a","b c"]|a,b c
RUN ["sh","-c","echo $0,$1 >/said","a b","c"]|a b,c
RUN ["sh","-c","echo $0,$1 >/said","a b c"]|a b c,
ENV a="1 b=2"\nRUN echo $a,$b >/said|1 b=2,
ENV a=1 b=2\nRUN echo $a,$b >/said|1,2
ENV a=1b b==2\nRUN echo $a,$b >/said|1b,=2
ENV a=1\nENV ab=\nRUN echo $a,$ab >/said|1,
ENV a=\nENV ab=1\nRUN echo $a,$ab >/said|,1
END
}

# containers/buildah#4522, containers/podman#17119
t_buildah_4522_a_stage_that_a_run_mounts_changed() {
    echo 1 >ctx/f
    dockerfile <<'END'
FROM base:1 AS made
COPY f /f
RUN cp /f /out
FROM base:1
RUN --mount=from=made,target=/m cat /m/out >/whole
RUN --mount=from=made,source=/out,target=/m cat /m >/part
END
    build -t t
    echo 2 >ctx/f
    build -t t
    ran 'RUN --mount=from=made,target' 'RUN --mount=from=made,source'
    eq $'2\n2' "$(inside cat /whole /part)"
    # The stage itself is known by then.
    echo 1 >ctx/f
    build -t t
    all_cached
    eq $'1\n1' "$(inside cat /whole /part)"
}

# containers/buildah#5692: the reverse, steps with a mount of an image or of the context were never known
t_buildah_5692_steps_with_mounts_are_known() {
    echo f >ctx/f
    dockerfile <<'END'
FROM base:1
RUN --mount=from=base:1,target=/m head -n 1 /m/etc/passwd >/p
RUN --mount=source=f,target=/m cat /m >/f
END
    build -t t
    build -t t
    all_cached
}

# makisu: FROM is in the key by the image's name
t_makisu_the_base_moved_under_its_name() {
    printf 'FROM base:1\nRUN echo new >/opt/full/one\n' | dockerfile
    build -t two
    shale tag base:1 moved:1
    printf 'FROM moved:1 AS a\nRUN cat /opt/full/one >/one\nFROM base:1\nCOPY --from=a /one /one\nCOPY --from=moved:1 /opt/full/one /two\n' |
        dockerfile
    build -t t
    eq $'one\none' "$(inside cat /one /two)"
    shale tag two moved:1
    build -t t
    ran 'RUN cat' 'COPY --from=a' 'COPY --from=moved:1'
    eq $'new\nnew' "$(inside cat /one /two)"
    shale tag base:1 moved:1
    build -t t
    all_cached
    eq $'one\none' "$(inside cat /one /two)"
}

# buildah, podman: created times and history of the base are in the key
t_buildah_a_base_that_was_made_anew_is_no_change() {
    printf 'FROM base:1\nRUN echo 1 >/1\n' | dockerfile
    build -t t
    shale images -q base:1 >before
    sleep 1.1 # so that it has another created time
    shale import --change 'ENV PATH=/usr/local/bin:/bin' --change 'CMD ["/bin/sh"]' --message again "$TEMPLATE/base.tar" base:1 >after
    cmp -s before after && fail "the base is the same image"
    build -t t
    all_cached
}

# osscontainertools/kaniko#623
t_kaniko_fork_623_an_arg_of_another_stage_does_not_leak() {
    dockerfile <<'END'
FROM base:1 AS one
ARG v=of-one
ARG w
RUN echo "[$v$w]" >/said
FROM base:1 AS two
RUN echo "[$v$w]" >/said
FROM base:1
ARG v
RUN echo "[$v$w]" >/said
COPY --from=one /said /one
COPY --from=two /said /two
END
    build -t t --build-arg w=given
    eq $'[of-onegiven]\n[]\n[]' "$(inside cat /one /two /said)"
    build -t t --build-arg w=other
    ran '[one 2/2] RUN echo'
    cached '[two 2/2] RUN echo' '[stage-2 2/4] RUN echo'
    eq $'[of-oneother]\n[]\n[]' "$(inside cat /one /two /said)"
}

# osscontainertools/kaniko#792 ... #837
t_kaniko_fork_792_the_text_of_a_here_document_counts() {
    local text
    for text in one two; do
        dockerfile <<END
FROM base:1
COPY <<f <<g /o/
same
f
$text
g
RUN <<e
echo $text >/run
e
RUN cat <<e >/cat
$text
e
RUN <<e
#!/bin/sh
echo $text >/script
e
END
        build -t t
        ran 'COPY <<f' 'RUN <<e (echo'
        eq "$text $text $text $text" "$(inside cat /o/g /run /cat /script | tr '\n' ' ' | sed 's/ $//')"
    done
}

t_kaniko_fork_837_a_variable_in_a_path_of_copy_counts() {
    echo a >ctx/a
    echo b >ctx/b
    dockerfile <<'END'
FROM base:1
ARG from=a
ARG to=x
COPY $from /$to
COPY <<f /here
$from
f
COPY --chown=${to#x}7 --chmod=6${to#x}44 a /owned
RUN --mount=source=$from,target=/m cat /m >/mounted
END
    build -t t
    build -t t --build-arg from=b
    ran 'COPY b /x' 'COPY <<f' 'RUN --mount'
    eq "b b b" "$(inside cat /x /here /mounted | tr '\n' ' ' | sed 's/ $//')"
    build -t t --build-arg to=x1
    ran 'COPY a /x1' 'COPY --chown'
    eq "a 17" "$(inside cat /x1) $(inside stat -c %u /owned)"
    build -t t
    all_cached
}

# osscontainertools/kaniko#1, #2, #209: labels, annotations and created times were in the key
t_kaniko_fork_209_labels_and_times_are_in_no_key() {
    printf 'FROM base:1\nLABEL a=1\nRUN echo 1 >/1\nCOPY --from=base:1 /etc/group /g\n' | dockerfile
    SOURCE_DATE_EPOCH=1000 build -t t --label revision=1
    sed -i 's/a=1/a=2/; 3iLABEL created=now\nEXPOSE 80' ctx/Dockerfile
    SOURCE_DATE_EPOCH=2000 build -t t --label revision=2
    all_cached
    build -t t
    all_cached
}

# ---- what is known of a step ----

# osscontainertools/kaniko#796: the cached layers of a stage were unpacked one over the other, with their whiteouts
t_kaniko_fork_796_whiteouts_of_a_cached_stage_are_no_files() {
    dockerfile <<'END'
FROM base:1 AS made
RUN mkdir -p /d/gone /d/opaque && touch /d/gone/f /d/opaque/old /d/kept
RUN rm -r /d/gone && rm -r /d/opaque && mkdir /d/opaque && touch /d/opaque/new
FROM base:1
COPY --from=made /d /d
RUN --mount=from=made,source=/d,target=/m find /m | sort >/seen
END
    local lost
    for lost in nothing trees; do
        [ $lost != trees ] || rm -rf "$SHALE_ROOT"/trees/*
        build -t t
        eq "/d /d/kept /d/opaque /d/opaque/new" "$(inside find /d | LC_ALL=C sort | tr '\n' ' ' | sed 's/ $//')"
        eq "/m /m/kept /m/opaque /m/opaque/new" "$(inside cat /seen | tr '\n' ' ' | sed 's/ $//')"
        sed -i "s,^RUN --mount,RUN echo $lost >/lost\n&," ctx/Dockerfile # makes the stage's files be needed
    done
}

# osscontainertools/kaniko#19; makisu has a mark of its own for it
t_kaniko_fork_19_a_run_that_changes_nothing_is_known() {
    printf 'FROM base:1\nRUN mkdir -p /dev /proc /sys\nRUN echo noise\nRUN true\nRUN echo 1 >/1\n' | dockerfile
    oci
    layer_ids >before
    oci
    all_cached
    layer_ids | cmp - before
    sed -i 's/noise/other/' ctx/Dockerfile
    oci
    ran 'RUN echo other'
    cached 'RUN true' 'RUN echo 1'
    layer_ids | cmp - before
}

# kaniko, buildah: after the first step that is not known no other is looked up
t_kaniko_a_miss_does_not_end_the_looking_up() {
    echo f >ctx/f
    printf 'FROM base:1\nRUN echo one >/dev/null\nCOPY f /f\nRUN cat /f >/g\n' | dockerfile
    build -t t
    sed -i 's/echo one/echo two/' ctx/Dockerfile
    build -t t
    ran 'RUN echo two'
    cached 'COPY f /f' 'RUN cat'
}

# makisu: a stage's seed is the last step of the stage before it, so that all after a change were made again
t_makisu_a_change_in_one_stage_leaves_the_others_known() {
    echo 1 >ctx/f
    dockerfile <<'END'
FROM base:1 AS one
COPY f /f
RUN cat /f >/one
FROM base:1 AS two
RUN echo 2 >/two
FROM base:1
COPY --from=two /two /two
RUN cat /two >/three
COPY --from=one /one /one
END
    build -t t
    echo changed >ctx/f
    build -t t
    ran 'COPY f /f' 'RUN cat /f' 'COPY --from=one'
    cached 'RUN echo 2' 'COPY --from=two' 'RUN cat /two'
    eq changed "$(inside cat /one)"
}

# ---- what is taken away ----

# Charliecloud: collecting garbage beside a build breaks it. What is taken away while a build counts on it is made again.
t_charliecloud_layers_that_go_during_a_build_cost_steps_only() {
    echo f >ctx/f
    dockerfile <<END
FROM base:1 AS made
COPY f /f
RUN cat /f >/made
FROM base:1 AS slow
RUN $gate echo slow >/slow
FROM base:1
COPY --from=slow /slow /slow
COPY --from=made /made /made
RUN cat /made /slow >/all
END
    build --target made
    local pid status=0
    background log
    wait_for "$pid" log ' started$'
    wait_for "$pid" log ' CACHED$'
    forget_layers 'RUN cat /f'
    forget_layers 'COPY f /f'
    open_gate
    wait "$pid" || status=$?
    [ $status -eq 0 ] || { cat log >&2; fail "the build ended with $status"; }
    eq $'f\nslow' "$(inside cat /all)"
    build -t t
    all_cached
}

# GitHub's and registries' caches: the index names what is not there any more. bazel-remote checks that before it answers.
t_bazel_remote_a_recorded_layer_that_is_gone_is_made_again() {
    echo f >ctx/f
    printf 'FROM base:1\nCOPY f /f\nRUN cat /f >/g\nRUN cat /g >/h\n' | dockerfile
    build -t t
    forget_layers 'RUN cat /f'
    build -t t
    cached 'COPY f /f' 'RUN cat /g'
    ran 'RUN cat /f'
    eq $'f\nf' "$(inside cat /g /h)"
    forget_layers 'COPY f'
    forget_layers 'RUN cat'
    build -t t -o type=local,dest=files
    eq f "$(cat files/h)"
    build -t t
    all_cached
}

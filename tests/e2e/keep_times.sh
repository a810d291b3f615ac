# A file that is as it was in the last build's image keeps the time that it has there.
# shellcheck shell=bash disable=SC2016 # what is in single quotes is for the container

# A context of some files at a time of their own, and what is built of it.
sources() { # sources SECONDS [EDITED...]: those are a little newer
    local seconds=$1
    shift
    mkdir -p ctx/src/sub
    [ -e ctx/src/a ] || printf a >ctx/src/a
    [ -e ctx/src/b ] || printf b >ctx/src/b
    [ -e ctx/src/sub/c ] || printf c >ctx/src/sub/c
    ln -sfn a ctx/src/l
    find ctx/src -exec touch -h -d "@$seconds.25" {} +
    [ $# -eq 0 ] || (cd ctx/src && touch -d "@$seconds.75" "$@")
}

# times: what the image t has: "PATH SECONDS", a line each.
times() {
    inside sh -c 'cd /s && stat -c "%n %Y" a b l sub sub/c'
}

of() { # of PATH: its time in the image
    times | awk -v path="$1" '$1 == path { print $2 }'
}

copied() {
    dockerfile <<'END'
FROM base:1
COPY src /s
END
}

t_only_what_was_edited_has_another_time() {
    copied
    sources 1000000000
    build -t t
    times >first
    eq 5 "$(grep -c ' 1000000000$' first)" "files with their own time"
    printf B >ctx/src/b
    sources 1100000000 b # as after a fresh checkout
    build -t t
    ran 'COPY src /s'
    sed 's/^b .*/b 1100000000/' first >want
    times | diff want - >&2 || fail "another time"
    eq B "$(inside cat /s/b)" "the file that was edited"
    eq "2001-09-09 01:46:40.250000000" "$(inside sh -c 'TZ=UTC stat -c %y /s/a' | cut -d' ' -f1,2)" "a whole time"
    # what was edited keeps its time from then on
    printf C >ctx/src/sub/c
    sources 1200000000 sub/c
    build -t t
    eq "1000000000 1100000000 1200000000" "$(of a) $(of b) $(of sub/c)" "after a third build"
}

t_what_another_mode_or_owner_has_takes_its_new_time() {
    copied
    sources 1000000000
    build -t t
    chmod 700 ctx/src/a
    sources 1100000000 a
    build -t t
    eq "1100000000 1000000000" "$(of a) $(of b)" "after a chmod"
    dockerfile <<'END'
FROM base:1
COPY --chown=7 src /s
END
    sources 1200000000
    build -t t
    eq "1200000000 1200000000" "$(of a) $(of b)" "after a chown of all"
}

t_a_directory_in_which_a_name_is_new_takes_its_new_time() {
    copied
    sources 1000000000
    build -t t
    echo new >ctx/src/sub/new
    sources 1100000000 sub/new
    build -t t
    eq "1100000000 1000000000" "$(of sub) $(of sub/c)" "with a new file in sub"
    rm ctx/src/sub/new
    printf B >ctx/src/b
    sources 1200000000 b
    build -t t
    eq "1200000000 1000000000" "$(of sub) $(of sub/c)" "without it again"
    printf C >ctx/src/sub/c
    sources 1300000000 sub/c
    build -t t
    eq "1200000000 1300000000" "$(of sub) $(of sub/c)" "with a file in it edited"
}

t_without_the_cache_all_times_are_the_contexts() {
    dockerfile <<'END'
FROM base:1 AS one
COPY src /s
FROM base:1 AS two
COPY --from=one /s /s
END
    sources 1000000000
    build -t t
    sources 1100000000
    build -t t --no-cache
    eq 5 "$(times | grep -c ' 1100000000$')" "with --no-cache"
    printf B >ctx/src/b
    sources 1200000000 b
    build -t t --target one --no-cache-filter one
    eq "1200000000 1200000000" "$(of a) $(of b)" "of a stage that is filtered"
    printf b2 >ctx/src/b
    sources 1300000000 b
    build -t t --target one --no-cache-filter two
    eq "1200000000 1300000000" "$(of a) $(of b)" "of one that is not"
}

t_files_of_another_stage_keep_theirs_too() {
    dockerfile <<'END'
FROM base:1 AS made
COPY src/b /b
RUN mkdir /s && echo a >/s/a && sleep 1.1 && cp /b /s/b
FROM base:1
COPY --from=made /s /s
END
    sources 1000000000
    build -t t
    local a
    a=$(inside stat -c %Y /s/a)
    sleep 1.1 # times are compared in seconds
    printf B >ctx/src/b
    build -t t
    ran 'RUN mkdir' 'COPY --from=made'
    eq "$a" "$(inside stat -c %Y /s/a)" "what the other stage made again, the same"
    eq B "$(inside cat /s/b)" "what it made anew"
}

t_an_unpacked_archive_keeps_them_too() {
    dockerfile <<'END'
FROM base:1
ADD src.tar /s
END
    sources 1000000000
    tar -C ctx/src -cf ctx/src.tar .
    build -t t
    printf B >ctx/src/b
    sources 1100000000
    touch -d @1100000001 ctx/src/b # an archive has whole seconds
    tar -C ctx/src -cf ctx/src.tar .
    build -t t
    ran 'ADD src.tar /s'
    eq "1000000000 1100000001" "$(of a) $(of b)" "members of the archive"
}

t_with_an_epoch_there_is_one_time_for_all() {
    copied
    sources 1000000000
    SOURCE_DATE_EPOCH=900000000 build -t t
    printf B >ctx/src/b
    sources 1100000000
    SOURCE_DATE_EPOCH=900000000 build -t t
    eq "900000000 900000000" "$(of a) $(of b)" "with SOURCE_DATE_EPOCH"
    build -t t
    eq "1100000000 1100000000" "$(of a) $(of b)" "without it, in the next build"
}

t_another_store_knows_nothing_of_it() {
    copied
    sources 1000000000
    build -t t
    printf B >ctx/src/b
    sources 1100000000 b
    cp -a "$TEMPLATE/store" fresh
    SHALE_ROOT=$PWD/fresh build -t t
    eq 5 "$(SHALE_ROOT=$PWD/fresh times | grep -c ' 1100000000$')" "in a store without an earlier build"
    build -t t
    eq "1000000000 1100000000" "$(of a) $(of b)" "in the one that has it"
}

# make goes by which of two files is the newer one.
t_what_is_newer_than_what_changed_stays_newer() {
    copied
    sources 1000000000
    build -t t
    printf B >ctx/src/b
    sources 1100000000
    touch -d @1100000005 ctx/src/b
    touch -d @1100000009 ctx/src/a # as generated from b, with the same bytes
    build -t t
    eq "1100000009 1100000005 1000000000" "$(of a) $(of b) $(of sub/c)" "times"
}

t_where_nothing_is_observed_no_time_is_kept() {
    copied
    sources 1000000000
    build -t t
    printf B >ctx/src/b
    sources 1100000000 b
    build -t t --trace=off
    eq "1100000000 1100000000" "$(of a) $(of b)"
}

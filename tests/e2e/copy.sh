# COPY and ADD of local files: --parents, --link, --exclude, archives, and what a layer holds.
# shellcheck shell=bash

# files PATH...: what is below them in the image t, one a line, sorted
files() {
    inside find "$@" ! -type d | LC_ALL=C sort | tr '\n' ' '
}

# layer_names N: the names in the N-th layer of oci (from 0; negative from the end), sorted
layer_names() {
    tar -tf "$(oci_blob "$(jq -r ".layers[$1].digest" "$(oci_manifest)")")" | LC_ALL=C sort | tr '\n' ' '
}

parents_context() {
    mkdir -p ctx/x/y ctx/x/z ctx/q
    echo xa >ctx/x/a.txt
    echo ya >ctx/x/y/a.txt
    echo yb >ctx/x/y/b.md
    echo za >ctx/x/z/a.txt
    echo qa >ctx/q/a.txt
    chmod 700 ctx/x/y
    ln -s x ctx/link
}

t_copy_parents_keeps_the_path_of_the_source() {
    parents_context
    dockerfile <<'END'
FROM base:1
COPY --parents x/a.txt ./q/a.txt /files/
COPY --parents x/y/ /dir
COPY --parents /x/*/a.txt /wild/
COPY --parents **/b.md /any/
COPY --parents x/y*/./*.txt /pivot/
COPY --parents ./x/./y ./x/./z/a.txt /pivots/
COPY --parents nope* /none/
END
    build -t t
    eq "/files/q/a.txt /files/x/a.txt " "$(files /files)"
    eq "/dir/x/y/a.txt /dir/x/y/b.md " "$(files /dir)"
    eq "/wild/x/y/a.txt /wild/x/z/a.txt " "$(files /wild)"
    eq "/any/x/y/b.md " "$(files /any)"
    eq "/pivot/a.txt " "$(files /pivot)"
    eq "/pivots/y/a.txt /pivots/y/b.md /pivots/z/a.txt " "$(files /pivots)"
    inside test -d /none
    build -t t
    all_cached
}

t_copy_parents_takes_the_directories_on_the_way_as_they_are() {
    parents_context
    dockerfile <<'END'
FROM base:1 AS from
RUN mkdir -p /s/t/u && echo f >/s/t/u/f && chown 7:8 /s/t && chmod 1770 /s/t
FROM base:1
RUN mkdir -p /old/s/t && chown 3:4 /old/s/t
COPY --from=from --parents s/t/u/f /o/
COPY --from=from --parents --chown=5:6 --chmod=u=rwX,go= s/t/u/f /p/
COPY --from=from --parents s/t/u/f /old/
COPY --parents x/y/a.txt /ctx/
END
    build -t t
    eq "1770 7:8" "$(inside stat -c '%a %u:%g' /o/s/t)"
    eq "1700 5:6" "$(inside stat -c '%a %u:%g' /p/s/t)"
    eq "600 5:6" "$(inside stat -c '%a %u:%g' /p/s/t/u/f)"
    eq "1770 3:4" "$(inside stat -c '%a %u:%g' /old/s/t)" "a directory that was there gets the mode alone"
    eq "700 0:0" "$(inside stat -c '%a %u:%g' /ctx/x/y)"
}

t_copy_parents_goes_with_exclude_and_link() {
    parents_context
    dockerfile <<'END'
FROM base:1
COPY --parents --exclude=**/*.md x/y /o/
COPY --parents --exclude=x --exclude=!x/z/a.txt x /p/
COPY --parents --link x/./z /q/
END
    build -t t
    eq "/o/x/y/a.txt " "$(files /o)"
    eq "/p/x/z/a.txt " "$(files /p)"
    eq "/q/z/a.txt " "$(files /q)"
}

t_copy_parents_wants_a_path_without_wildcards_to_be_there() {
    parents_context
    printf 'FROM base:1\nCOPY --parents x/nope /o/\n' | dockerfile
    build_fails
    says '"/x/nope": not found'
    printf 'FROM base:1\nCOPY --parents x/./nope /o/\n' | dockerfile
    build_fails
    says '"/x/nope": not found'
    printf 'FROM base:1\nCOPY --parents ./ /o/\n' | dockerfile
    build_fails
    says '"/": not found'
}

t_copy_link_does_not_look_at_the_image() {
    mkdir ctx/d
    echo a >ctx/a
    echo f >ctx/d/f
    dockerfile <<'END'
FROM base:1
RUN ln -s /tmp /lnk && mkdir -p /dir/a && echo old >/file
COPY --link a /lnk/
COPY --link a /dir/
COPY --link d /file/
COPY --link --chmod=600 a /lnk2/
END
    build -t t
    inside test -d /lnk
    inside test ! -e /tmp/a
    eq a "$(inside cat /dir/a)"
    eq f "$(inside cat /file/f)"
    eq 600 "$(inside stat -c %a /lnk2/a)"
    printf 'FROM base:1\nCOPY --link --chown=root a /\nCOPY --link --chown=bin a /b\n' | dockerfile
    build_fails
    says "invalid user index: -1: --chown=bin"
}

t_copy_link_is_the_same_layer_on_any_base() {
    echo a >ctx/a
    printf 'FROM base:1\nRUN mkdir -m 700 /o\nCOPY --link a /o/\n' | dockerfile
    oci
    local one
    one=$(jq -r '.layers[-1].digest' "$(oci_manifest)")
    printf 'FROM scratch\nCOPY --link a /o/\n' | dockerfile
    oci
    cached "COPY --link a /o/"
    eq "$one" "$(jq -r '.layers[-1].digest' "$(oci_manifest)")"
}

t_add_link_unpacks_beside_the_image() {
    mkdir -p src/etc
    echo new >src/etc/new
    tar -C src -cf ctx/t.tar etc
    printf 'FROM base:1\nRUN ln -s /etc /o\nADD --link t.tar /o/\n' | dockerfile
    build -t t
    eq "/o/etc/new " "$(files /o/)"
}

t_a_layer_holds_only_what_was_not_there() {
    mkdir ctx/d
    echo a >ctx/d/a
    echo b >ctx/d/b
    ln -s a ctx/d/l
    dockerfile <<'END'
FROM base:1
COPY d/a /o/
COPY d /o/
COPY d /o/
COPY --chmod=600 d/a /o/
END
    oci
    eq 4 "$(($(jq '.layers | length' "$(oci_manifest)") - 1))" "layers"
    eq "o/ o/b o/l " "$(layer_names 2)"
    eq "" "$(layer_names 3)"
    eq "o/ o/a " "$(layer_names 4)"
}

t_add_unpacks_as_docker_does() {
    mkdir -p src/p
    echo f >src/p/f
    echo w >src/p/.wh.gone
    ln src/p/f src/p/h
    chmod 4755 src/p/f
    tar -C src --owner=3 --group=4 -cf ctx/t.tar p/f p/h p/.wh.gone
    dockerfile <<'END'
FROM base:1
RUN mkdir -p /o/p && echo kept >/o/p/gone
ADD t.tar /o
ADD --chown=5:6 t.tar /owned
ADD --unpack=false t.tar /plain/
END
    build -t t
    eq "/o/p/f /o/p/gone /o/p/h " "$(files /o)"
    eq "4755 3:4 2" "$(inside stat -c '%a %u:%g %h' /o/p/f)"
    eq "5:6" "$(inside stat -c %u:%g /owned)"
    eq "0:0" "$(inside stat -c %u:%g /owned/p)" "a directory that the archive does not have"
    eq "5:6" "$(inside stat -c %u:%g /owned/p/h)"
    eq "/plain/t.tar " "$(files /plain)"
}

t_add_refuses_archives_that_are_broken_or_lead_out() {
    echo x >ctx/x
    tar -C ctx -cf whole.tar x
    head -c 700 whole.tar >ctx/t.tar
    printf 'FROM base:1\nADD t.tar /o/\n' | dockerfile
    build_fails
    says "cannot unpack 't.tar'"
    tar -C ctx -P --transform='s,^x,../../x,' -cf ctx/t.tar x
    build_fails
    says "leads out of the root"
}

t_copy_says_what_stands_in_the_way() {
    mkdir ctx/d
    echo a >ctx/a
    local line
    while IFS='|' read -r line text; do
        printf 'FROM base:1\nRUN mkdir -p /dir/a && echo x >/file\n%s\n' "$line" | dockerfile
        build_fails
        says "$text"
    done <<'END'
COPY a /file/|mkdir /file: not a directory
COPY a /file/x|mkdir /file: not a directory
COPY d /file|cannot copy to non-directory: /file
COPY a /dir/|cannot replace to directory /dir/a with file
COPY nope/* /o/|lstat /nope: no such file or directory
END
}

t_exclude_follows_exceptions_into_excluded_directories() {
    mkdir -p ctx/d/keep/deep ctx/d/drop
    echo 1 >ctx/d/keep/deep/f
    echo 2 >ctx/d/keep/g
    echo 3 >ctx/d/drop/h
    printf 'FROM base:1\nCOPY --exclude=* --exclude=!keep/deep/f d /o/\n' | dockerfile
    build -t t
    eq "/o/keep/deep/f " "$(files /o)"
    inside test ! -e /o/drop
}

t_names_of_one_file_stay_links_within_a_directory() {
    mkdir ctx/d
    echo one >ctx/d/a
    cp -p ctx/d/a ctx/d/b
    dockerfile <<'END'
FROM base:1
COPY d /d/
COPY d/a d/b /apart/
END
    build -t t
    eq "1 1 1" "$(inside stat -c %h /d/a /d/b /apart/a | xargs)"
    ln -f ctx/d/a ctx/d/b
    build -t t
    ran "COPY d /d/"
    cached "COPY d/a d/b /apart/"
    eq "2 2 1" "$(inside stat -c %h /d/a /d/b /apart/a | xargs)"
}

t_what_unpacks_over_an_opaque_directory_leaves_the_rest() {
    mkdir -p src/opt/full
    echo new >src/opt/full/new
    tar -C src -cf ctx/t.tar opt
    dockerfile <<'END'
FROM base:1
RUN rm -rf /opt/full && mkdir /opt/full && echo keep >/opt/full/keep
ADD t.tar /
END
    build -t t
    eq "/opt/full/keep /opt/full/new " "$(files /opt/full)"
}

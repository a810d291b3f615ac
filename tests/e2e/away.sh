# Bases of which nothing is fetched: their listings come from beside the image, their bytes stay in the registry until
# something needs them. What the registry is asked for is counted in its access log.
# shellcheck shell=bash disable=SC2016,SC2154 # what is in single quotes is for the container

# A base with a link, a directory with a mode of its own and a user, in two layers; in the registry as $BASE.
push_base() {
    local compression=${1:-gzip}
    start_registry
    BASE=$REGISTRY/base:1
    mkdir -p base
    cat >base/Dockerfile <<'END'
FROM base:1
RUN mkdir -p /srv/real /data && chmod 0750 /data && ln -s real /srv/app && echo 'svc:x:77:78::/:/bin/sh' >> /etc/passwd
RUN head -c 300000 /dev/urandom > /big && echo of-the-base > /srv/real/old
END
    shale build --progress=plain --load=false -o "type=registry,compression=$compression" -t "$BASE" base 2>push.log ||
        { cat push.log; fail "pushing the base"; }
}

a_fresh_store() {
    export SHALE_ROOT=$W/fresh.$RANDOM$RANDOM
    : >registry.log
}

# GETs of the base's layers since a_fresh_store.
fetched() {
    local layer n=0
    for layer in $(manifest base 1 | jq -r '.layers[].digest'); do
        n=$((n + $(grep -cE "\"GET /v2/base/blobs/$layer HTTP[^\"]*\" 200" registry.log || :)))
    done
    echo $n
}

manifest() { # manifest REPOSITORY TAG
    skopeo --insecure-policy inspect --raw --tls-verify=false "docker://$REGISTRY/$1:$2"
}

unpacked() { # unpacked DIR REPOSITORY TAG: what others see in the image
    rm -rf "$1" pulled
    skopeo_copy "docker://$REGISTRY/$2:$3" oci:pulled:t
    umoci unpack --image pulled:t "$1" >umoci.log 2>&1 || { cat umoci.log; fail "umoci unpack"; }
}

oci_is_whole() { # what the archive's manifest names is in it
    local digest
    for digest in $(jq -r '.layers[].digest, .config.digest' "$(oci_manifest)"); do
        eq "${digest#sha256:}" "$(sha256sum <"$(oci_blob "$digest")" | cut -d' ' -f1)"
    done
}

t_a_copy_onto_a_base_is_pushed_without_fetching_it() {
    push_base
    echo new >ctx/file
    printf 'FROM %s\nCOPY --chown=svc file /srv/app/\nCOPY file /data/file\nENV a=b\n' "$BASE" | dockerfile
    a_fresh_store
    build --push -t "$REGISTRY/app:1"
    eq 0 "$(fetched)" "layers of the base that were fetched"
    has log "not kept here: layers of its base are not fetched"
    # what the base is made of decided: through the link, with the user's number, the directory's mode
    unpacked there app 1
    eq new "$(cat there/rootfs/srv/real/file)"
    eq "77 78" "$(stat -c '%u %g' there/rootfs/srv/real/file)"
    eq 750 "$(stat -c %a there/rootfs/data)"
    eq of-the-base "$(cat there/rootfs/srv/real/old)"
    # and it is what a store that has everything makes of it
    export SHALE_ROOT=$W/whole
    printf 'FROM %s\nRUN true\n' "$BASE" | dockerfile ctx/Whole
    build -f ctx/Whole
    build --push -t "$REGISTRY/app:2"
    eq "$(manifest app 1 | jq -c '[.layers[].digest]')" "$(manifest app 2 | jq -c '[.layers[].digest]')"
    eq "$(manifest app 1 | jq -c .annotations)" "$(manifest app 2 | jq -c .annotations)"
}

t_the_layers_of_the_base_are_mounted() {
    push_base
    printf 'FROM %s\nLABEL x=y\n' "$BASE" | dockerfile
    a_fresh_store
    build --push -t "$REGISTRY/team/app:1"
    eq 0 "$(fetched)"
    local layer
    for layer in $(manifest base 1 | jq -r '.layers[].digest'); do
        grep -qE "\"POST /v2/team/app/blobs/uploads/[^ ]*mount=${layer/:/(:|%3A)}[^ ]* HTTP[^\"]*\" 201" registry.log ||
            { cat registry.log; fail "$layer was not mounted"; }
    done
}

t_what_needs_the_bytes_fetches_them() {
    push_base
    printf 'FROM %s AS b\nRUN cat /srv/app/old > /seen\nFROM base:1\nCOPY --from=b /seen /\n' "$BASE" | dockerfile
    local with_base=$SHALE_ROOT
    a_fresh_store
    cp -a "$with_base/." "$SHALE_ROOT" # base:1 alone would do
    rm -rf "$SHALE_ROOT"
    printf 'FROM %s\nRUN cat /srv/app/old > /seen\n' "$BASE" | dockerfile
    build -t t
    eq "$(manifest base 1 | jq '.layers | length')" "$(fetched)"
    eq of-the-base "$(inside cat /seen)"
}

t_a_file_of_the_base_is_copied_by_fetching_its_layer_alone() {
    push_base
    printf 'FROM scratch\nCOPY --from=%s /srv/app/ /old/\nCOPY --from=%s /big /\n' "$BASE" "$BASE" | dockerfile
    a_fresh_store
    build --push -t "$REGISTRY/app:1"
    eq 1 "$(fetched)"
    unpacked there app 1
    eq of-the-base "$(cat there/rootfs/old/old)"
    eq 300000 "$(stat -c %s there/rootfs/big)"
}

t_a_push_without_listings_is_what_an_archive_is() {
    push_base
    echo new >ctx/file
    printf 'FROM base:1\nCOPY file /\n' | dockerfile
    build -o type=registry,listings=false -o type=oci,dest=plain.tar -t "$REGISTRY/app:1"
    eq null "$(manifest app 1 | jq -r .annotations)"
    mkdir plain
    tar -C plain -xf plain.tar
    eq "$(jq -r '.manifests[0].digest' plain/index.json)" "sha256:$(manifest app 1 | sha256sum | cut -d' ' -f1)"
}

t_a_layer_that_came_as_zstd_is_pushed_as_it_came() {
    push_base zstd,force-compression=true
    printf 'FROM %s\nRUN true\nLABEL x=y\n' "$BASE" | dockerfile
    a_fresh_store
    build --push -t "$REGISTRY/app:1" # its bytes are here
    a_fresh_store
    printf 'FROM %s\nLABEL x=y\n' "$BASE" | dockerfile
    build --push -t "$REGISTRY/app:2" # and here not
    eq "$(manifest base 1 | jq -c '[.layers[].digest]')" "$(manifest app 2 | jq -c '[.layers[].digest]')"
    eq "$(manifest base 1 | jq -c '[.layers[].digest]')" "$(manifest app 1 | jq -c "[.layers[:$(manifest base 1 | jq '.layers | length')][].digest]")"
    eq "application/vnd.oci.image.layer.v1.tar+zstd" "$(manifest app 1 | jq -r '.layers[0].mediaType')"
    build --push -o type=registry,force-compression=true -t "$REGISTRY/app:3"
    eq "application/vnd.oci.image.layer.v1.tar+gzip" "$(manifest app 3 | jq -r '.layers[0].mediaType')"
}

t_without_a_place_for_the_image_it_is_kept_whole() {
    push_base
    echo new >ctx/file
    printf 'FROM %s\nCOPY file /srv/app/\n' "$BASE" | dockerfile
    a_fresh_store
    build -t t
    eq "$(manifest base 1 | jq '.layers | length')" "$(fetched)"
    eq new "$(inside cat /srv/real/file)"
}

t_every_output_is_whole() {
    push_base
    echo new >ctx/file
    printf 'FROM %s\nCOPY file /srv/app/\n' "$BASE" | dockerfile
    a_fresh_store
    build -o type=tar,dest=t.tar
    a_fresh_store
    oci -t t
    mkdir files
    tar -C files -xf t.tar
    eq new "$(cat files/srv/real/file)"
    eq of-the-base "$(cat files/srv/real/old)"
    oci_is_whole
}

t_a_name_that_is_not_kept_does_not_stay_what_it_was() {
    push_base
    printf 'FROM scratch\nCOPY Dockerfile /\n' | dockerfile
    a_fresh_store
    build -t "$REGISTRY/app:1"
    printf 'FROM %s\nLABEL x=y\n' "$BASE" | dockerfile
    build --push -t "$REGISTRY/app:1"
    shale images >images
    hasnt images "$REGISTRY/app"
}

t_a_foreign_base_is_known_by_an_image_that_is_trusted() {
    push_base
    # without its annotation it is like any other's
    skopeo_copy "docker://$BASE" "docker://$REGISTRY/foreign:1" --format v2s2
    BASE=$REGISTRY/base:1
    echo one >ctx/file
    printf 'FROM %s/foreign:1\nCOPY file /srv/app/\n' "$REGISTRY" | dockerfile
    a_fresh_store
    build --push -t "$REGISTRY/app:1"
    grep -qE '"GET /v2/foreign/blobs/' registry.log || fail "nothing was fetched: the test shows nothing"
    echo two >ctx/file
    a_fresh_store
    build --push -t "$REGISTRY/app:1" --cache-from "type=registry,ref=$REGISTRY/app:1"
    local config
    config=$(manifest foreign 1 | jq -r .config.digest)
    ! grep -E '"GET /v2/foreign/blobs/' registry.log | grep -vF "$config" || fail "layers of the base were fetched"
    unpacked there app 1
    eq two "$(cat there/rootfs/srv/real/file)"
}

# The listing of one base, put beside another: /srv/app leads elsewhere there.
t_a_lie_is_found_when_the_bytes_come() {
    push_base
    local true_listings lie artifact made
    true_listings=$(manifest base 1 | jq -r '.annotations["dev.shale.listings"]')
    mkdir -p lying
    printf 'FROM %s\nRUN rm /srv/app && ln -s /data /srv/app\n' "$BASE" | dockerfile lying/Dockerfile
    shale build --progress=plain --load=false --push -t "$REGISTRY/lying:1" lying 2>push.log || fail "pushing the lie"
    # lying:2 has the layers of base:1 and says of the uppermost what lying:1's has
    lie=$(manifest lying 1 | jq -r '.annotations["dev.shale.listings"]')
    artifact base "$true_listings" >true.json
    artifact lying "$lie" >lie.json
    jq -c --slurpfile lie lie.json '
        .layers[-1].digest = $lie[0].layers[-1].digest | .layers[-1].size = $lie[0].layers[-1].size' \
        true.json | tr -d '\n' >made.json
    for artifact in $({ manifest base 1; cat true.json; } | jq -r '.layers[].digest, .config.digest' | sort -u); do mount_into lying "$artifact" base; done
    made=sha256:$(sha256sum <made.json | cut -d' ' -f1)
    put_manifest lying "$made" application/vnd.oci.image.manifest.v1+json made.json
    manifest base 1 | jq -c --arg d "$made" '.annotations["dev.shale.listings"] = $d' | tr -d '\n' >image.json
    put_manifest lying 2 application/vnd.oci.image.manifest.v1+json image.json
    echo new >ctx/file
    printf 'FROM %s/lying:2\nCOPY file /srv/app/\nRUN cat /srv/app/file > /seen\n' "$REGISTRY" | dockerfile
    a_fresh_store
    build -t t
    eq new "$(inside cat /srv/real/file)"
    inside test ! -e /data/file || fail "the lie was believed"
    # it says nothing about the same layer of another image, not even in one build
    printf 'FROM %s/lying:2 AS lying\nFROM %s\nCOPY file /srv/app/\n' "$REGISTRY" "$BASE" | dockerfile
    a_fresh_store
    build --push -t "$REGISTRY/app:1"
    unpacked there app 1
    eq new "$(cat there/rootfs/srv/real/file)"
}

artifact() { # artifact REPOSITORY DIGEST
    skopeo --insecure-policy inspect --raw --tls-verify=false "docker://$REGISTRY/$1@$2"
}

mount_into() { # mount_into REPOSITORY DIGEST FROM
    eq 201 "$(registry_ask POST "$1/blobs/uploads/?mount=$2&from=$3")" "mounting $2"
}

t_a_layer_that_came_in_another_encoding_is_sent_as_the_image_names_it() {
    push_base
    shale build --progress=plain --load=false -o type=registry,compression=zstd,force-compression=true \
        -t "$REGISTRY/zst:1" base 2>push.log || { cat push.log; fail "pushing the other base"; }
    printf 'FROM %s/zst:1 AS z\nRUN cat /srv/app/old > /seen\nFROM %s\nCOPY --from=z /seen /\n' "$REGISTRY" "$BASE" | dockerfile
    a_fresh_store
    oci -t t
    oci_is_whole
}

t_a_size_that_is_not_true_is_found_out() {
    push_base
    local listings made
    listings=$(manifest base 1 | jq -r '.annotations["dev.shale.listings"]')
    artifact base "$listings" | jq -c '.layers[].annotations["dev.shale.tar-size"] = "5"' | tr -d '\n' >made.json
    made=sha256:$(sha256sum <made.json | cut -d' ' -f1)
    put_manifest base "$made" application/vnd.oci.image.manifest.v1+json made.json
    manifest base 1 | jq -c --arg d "$made" '.annotations["dev.shale.listings"] = $d' | tr -d '\n' >image.json
    put_manifest base 2 application/vnd.oci.image.manifest.v1+json image.json
    printf 'FROM scratch AS c\nCOPY --from=%s/base:2 /big /big\nFROM %s/base:2\nCOPY --from=c /big /big2\nRUN cat /srv/app/old > /seen\n' \
        "$REGISTRY" "$REGISTRY" | dockerfile
    a_fresh_store
    build -t t
    eq of-the-base "$(inside cat /seen)"
    eq 1 "$(grep -c 'begins again' log)"
    has log 'what an image says of its layers is not true'
    hasnt log forgotten
    eq "$(manifest base 1 | jq '.layers | length')" "$(fetched)"
}

t_what_was_heard_elsewhere_is_not_passed_on() {
    push_base
    skopeo_copy "docker://$BASE" "docker://$REGISTRY/foreign:1" --format v2s2
    printf 'FROM %s/foreign:1\nLABEL a=b\n' "$REGISTRY" | dockerfile
    a_fresh_store
    build --push -t "$REGISTRY/app:1" --cache-from "type=registry,ref=$BASE"
    eq 0 "$(artifact app "$(manifest app 1 | jq -r '.annotations["dev.shale.listings"]')" | jq '.layers | length')"
    a_fresh_store
    build --push -t "$REGISTRY/base:3" --cache-from "type=registry,ref=$BASE" # who may push there could say it himself
    eq "$(manifest base 1 | jq '.layers | length')" \
        "$(artifact base "$(manifest base 3 | jq -r '.annotations["dev.shale.listings"]')" | jq '.layers | length')"
}

t_an_image_that_is_to_be_kept_is_kept() {
    push_base
    printf 'FROM %s\nLABEL x=y\n' "$BASE" | dockerfile
    a_fresh_store
    build -o type=image -o type=registry -t "$REGISTRY/app:1"
    shale images >images
    has images "$REGISTRY/app"
}

t_two_builds_fetch_a_base_once() {
    push_base
    printf 'FROM %s\nRUN cat /srv/app/old > /seen\n' "$BASE" | dockerfile
    a_fresh_store
    local a b
    shale build --progress=plain --load=false -t a ctx >/dev/null 2>a.log & a=$!
    shale build --progress=plain --load=false -t b --build-arg x=y ctx >/dev/null 2>b.log & b=$!
    wait $a || { cat a.log; fail "the first build"; }
    wait $b || { cat b.log; fail "the second build"; }
    eq "$(manifest base 1 | jq '.layers | length')" "$(fetched)"
}

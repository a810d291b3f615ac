# FROM a registry: docker-registry on loopback, filled by skopeo from our own OCI output.
# shellcheck shell=bash disable=SC2016,SC2154 # what is in single quotes is for the container

# push NAME COMPRESSION: an image of two layers into the registry, its content made unlike any other by NAME.
push() {
    mkdir -p pushed
    printf 'FROM base:1\nENV pushed=%s\nRUN echo %s > /pushed && rm /opt/full/one\n' "$1" "$1" >pushed/Dockerfile
    shale build --progress=plain -o "type=oci,dest=$1.tar,compression=$2,force-compression=true" pushed 2>push.log ||
        { cat push.log; fail "building $1"; }
    skopeo_copy "oci-archive:$1.tar" "docker://$REGISTRY/$1:1"
}

forget() { # a store that has never seen the images
    export SHALE_ROOT=$W/empty.$RANDOM
}

t_images_of_every_layer_encoding_are_pulled() {
    local compression
    start_registry
    for compression in gzip zstd uncompressed; do push "$compression" "$compression"; done
    forget
    for compression in gzip zstd uncompressed; do
        printf 'FROM %s/%s:1\nRUN cat /pushed > /seen && ls /opt/full > /left && echo $pushed >> /seen\n' \
            "$REGISTRY" "$compression" | dockerfile
        build -t t
        eq "$compression $compression" "$(inside cat /seen | tr '\n' ' ' | sed 's/ $//')"
        eq two "$(inside cat /left)"
    done
}

t_an_image_is_pulled_by_digest_and_through_an_index() {
    start_registry
    push app gzip
    local digest
    digest=$(skopeo --insecure-policy inspect --tls-verify=false "docker://$REGISTRY/app:1" | jq -r .Digest)
    forget
    printf 'FROM %s/app@%s\nRUN cat /pushed\n' "$REGISTRY" "$digest" | dockerfile
    build -t t
    # An index of two platforms, of which ours is the second.
    local size arch
    size=$(skopeo --insecure-policy inspect --raw --tls-verify=false "docker://$REGISTRY/app:1" | wc -c)
    arch=$(dpkg --print-architecture)
    [ "$arch" = arm64 ] || arch=amd64
    jq -nc --arg d "$digest" --argjson s "$size" --arg arch "$arch" '{
        schemaVersion: 2, mediaType: "application/vnd.oci.image.index.v1+json",
        manifests: [
            { mediaType: "application/vnd.oci.image.manifest.v1+json", digest: $d, size: $s,
              platform: { os: "linux", architecture: "s390x" } },
            { mediaType: "application/vnd.oci.image.manifest.v1+json", digest: $d, size: $s,
              platform: { os: "linux", architecture: $arch } } ] }' >index.json
    put_manifest app multi application/vnd.oci.image.index.v1+json index.json
    forget
    printf 'FROM %s/app:multi\nRUN cat /pushed > /seen\n' "$REGISTRY" | dockerfile
    build -t t
    eq app "$(inside cat /seen)"
    # The index's own digest and that of what was taken from it are known now.
    kill "$registry_pid"
    wait "$registry_pid" || :
    local known
    for known in "sha256:$(sha256sum <index.json | cut -d' ' -f1)" "$digest"; do
        printf 'FROM %s/app@%s\nRUN cat /pushed > /seen\n' "$REGISTRY" "$known" | dockerfile
        build -t t --pull
        all_cached
    done
}

t_a_pulled_base_is_not_fetched_again() {
    start_registry
    push app gzip
    forget
    printf 'FROM %s/app:1\nRUN cat /pushed > /seen\n' "$REGISTRY" | dockerfile
    build -t t
    build -t t
    all_cached
    # With the registry gone what is known stays known.
    kill "$registry_pid"
    wait "$registry_pid" || :
    build -t t
    all_cached
}

t_a_moved_tag_is_seen_with_pull() {
    start_registry
    push app gzip
    forget
    printf 'FROM %s/app:1\nRUN cat /pushed > /seen\n' "$REGISTRY" | dockerfile
    build -t t
    (export SHALE_ROOT=$W/store && push other gzip)
    skopeo_copy oci-archive:other.tar "docker://$REGISTRY/app:1"
    build -t t --pull
    eq other "$(inside cat /seen)"
}

t_a_blob_with_wrong_bytes_is_refused() {
    start_registry
    push app gzip
    local blob
    # The layer that the RUN made is the last of the manifest; its bytes are turned, its size is not.
    blob=$(skopeo --insecure-policy inspect --tls-verify=false "docker://$REGISTRY/app:1" | jq -r '.Layers[-1]')
    blob=${blob#sha256:}
    printf '\xff\xff' | dd of="$W/registry/docker/registry/v2/blobs/sha256/${blob:0:2}/$blob/data" \
        bs=1 seek=20 conv=notrunc status=none
    forget
    printf 'FROM %s/app:1\nRUN cat /pushed\n' "$REGISTRY" | dockerfile
    build_fails
    says "$REGISTRY/app:1"
    shale images >list
    hasnt list app
}

t_layers_are_shared_between_images_and_with_what_was_built() {
    start_registry
    push app gzip
    forget
    printf 'FROM %s/app:1\nCOPY --from=%s/app:1 /pushed /copied\n' "$REGISTRY" "$REGISTRY" | dockerfile
    build -t t
    eq app "$(inside cat /copied)"
}

unpacked_as_they_came() { # how many layers
    grep -c 'was unpacked as it came' log || :
}

t_a_base_is_unpacked_as_it_comes_when_a_run_stands_on_it() {
    start_registry
    push app gzip
    export SHALE_LOG=debug
    forget
    printf 'FROM %s/app:1\nCOPY Dockerfile /\n' "$REGISTRY" | dockerfile
    build -t t
    eq 0 "$(unpacked_as_they_came)"
    [ -z "$(ls "$SHALE_ROOT/trees")" ] || fail "a base below a COPY was unpacked"
    forget
    printf 'FROM %s/app:1 AS below\nCOPY Dockerfile /\nFROM below\nRUN cat /pushed > /seen && ls /opt/full > /left\n' "$REGISTRY" | dockerfile
    build -t t
    eq 2 "$(unpacked_as_they_came)"
    eq app "$(inside cat /seen)"
    eq two "$(inside cat /left)"
}

t_a_base_whose_bytes_were_away_is_unpacked_as_it_comes() {
    start_registry
    push app gzip
    forget
    printf 'FROM %s/app:1\nRUN cat /pushed > /seen\n' "$REGISTRY" | dockerfile
    build -t t
    # Listings, documents and layers that were made here stay; what was pulled goes, with the trees.
    local blob
    rm -rf "$SHALE_ROOT"/trees/*
    skopeo --insecure-policy inspect --tls-verify=false "docker://$REGISTRY/app:1" | jq -r '.Layers[]' | while read -r blob; do
        blob=${blob#sha256:}
        rm "$SHALE_ROOT/blobs/sha256/${blob:0:2}/$blob"
    done
    printf 'FROM %s/app:1\nRUN cat /pushed > /seen2\n' "$REGISTRY" | dockerfile
    SHALE_LOG=debug build -t t
    eq 2 "$(unpacked_as_they_came)"
    eq app "$(inside cat /seen2)"
}

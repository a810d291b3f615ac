# Pushing: docker-registry on loopback, what it was asked counted by its log; what was pushed is read by skopeo, umoci.
# Each layer has a listing beside it, and these an empty configuration (docs/listings-in-registries.md): they count.
# shellcheck shell=bash disable=SC2016,SC2154 # what is in single quotes is for the container

some_image() { # two layers upon the base
    echo "${1:-one}" >ctx/one
    printf 'FROM base:1\nRUN echo made > /made\nCOPY one /one\n' | dockerfile
}

# requests METHOD PATTERN [STATUS]: how many the registry has answered so; the pattern is of the path.
requests() {
    grep -cE "\"$1 [^ ]*$2[^ ]* HTTP/1.1\" ${3:-2}" "$W/registry.log" || :
}

forget_requests() {
    : >"$W/registry.log"
}

uploads() { # blobs whose bytes were sent
    requests PUT "/blobs/uploads/" 201
}

raw() { # raw NAME: the document
    skopeo --insecure-policy inspect --raw --tls-verify=false "docker://$REGISTRY/$1"
}

digest_of() { # digest_of NAME: of what the registry has under it
    echo "sha256:$(raw "$1" | sha256sum | cut -d' ' -f1)"
}

no_tag() { # no_tag REPOSITORY
    [ ! -e "$W/registry/docker/registry/v2/repositories/$1/_manifests/tags" ] || fail "$1 has a tag"
}

# Each upload that was begun was finished or given up. What is left of one then is docker-registry's own affair: it may
# still be reading what the proxy had taken.
no_session() { # no_session REPOSITORY
    local begun ended
    begun=$(requests POST "/$1/blobs/uploads/" 202)
    [ "$begun" -gt 0 ] || fail "no upload was begun"
    ended=$(grep -cE '"(DELETE [^"]*" [0-9]+|PUT [^ ]*/blobs/uploads/[^"]*" 201) ' registry.log)
    eq "$begun" "$ended" "uploads that were finished or given up, of those begun"
}

wait_for() { # wait_for WHAT COMMAND...: until it is true
    local what=$1
    shift
    for _ in $(seq 600); do
        ! "$@" || return 0
        sleep 0.1
    done
    fail "it never was: $what"
}

t_what_was_pushed_is_the_image() {
    needs umoci
    start_registry
    some_image
    build --push -t "$REGISTRY/app:1" --metadata-file meta.json
    has log 'exporting to image'
    has log 'pushing layers'
    has log "pushing manifest for $REGISTRY/app:1@$(digest_of app:1)"
    eq "$(digest_of app:1)" "$(jq -r '."containerimage.digest"' meta.json)" "the digest in the metadata file"
    raw app:1 | jq -r '.layers[].mediaType' | sort -u >types
    eq application/vnd.oci.image.layer.v1.tar+gzip "$(cat types)"
    skopeo_copy "docker://$REGISTRY/app:1" oci:pulled:1
    umoci unpack --image pulled:1 bundle 2>umoci.log || { cat umoci.log; fail "umoci does not take it"; }
    tree wanted
    rm -rf wanted/dev bundle/rootfs/dev # a container's
    same_tree wanted bundle/rootfs
}

t_a_second_push_sends_nothing() {
    start_registry
    some_image
    build -o type=registry -t "$REGISTRY/app:1"
    eq 8 "$(uploads)" "blobs sent: three layers, three listings, two configurations"
    forget_requests
    build --push -t "$REGISTRY/app:1"
    all_cached
    eq 0 "$(requests POST '' '')" "uploads that were begun"
    eq 0 "$(requests PUT /blobs/ '')" "blobs that were sent"
    forget_requests
    shale push "$REGISTRY/app:1" >out
    eq 3 "$(grep -c 'Layer already exists$' out)"
    eq 0 "$(requests POST '' '')" "uploads that were begun"
}

t_one_changed_file_sends_one_layer() {
    start_registry
    some_image
    build --push -t "$REGISTRY/app:1"
    forget_requests
    some_image two
    build --push -t "$REGISTRY/app:1"
    eq 3 "$(uploads)" "blobs sent: a layer, its listing and the configuration"
    eq 1 "$(requests PUT /manifests/1)" "manifests under the name"
}

t_layers_of_another_repository_are_mounted() {
    start_registry
    some_image
    build --push -t "$REGISTRY/app:1"
    forget_requests
    build --push -t "$REGISTRY/other:1"
    eq 3 "$(requests POST 'mount=sha256.*from=app' 201)" "layers that were mounted"
    eq 5 "$(uploads)" "blobs sent: three listings and two configurations"
    eq "$(digest_of app:1)" "$(digest_of other:1)"
}

t_all_names_get_the_image_and_it_is_sent_once() {
    start_registry
    some_image
    build --push -t "$REGISTRY/app:1" -t "$REGISTRY/app:2" -t "$REGISTRY/deep/path:x"
    eq 8 "$(uploads)" "blobs sent"
    eq 8 "$(requests POST 'mount=sha256' 201)" "blobs mounted"
    eq "$(digest_of app:1)" "$(digest_of app:2)"
    eq "$(digest_of app:1)" "$(digest_of deep/path:x)"
    # Tags come after all else, in all repositories.
    awk '/"(PUT|POST)/ { if ($0 ~ /PUT [^ ]*\/manifests\/[^s]/) tags = 1; else if (tags) bad = 1 } END { exit bad }' \
        registry.log || fail "a tag was set before everything was there"
}

t_several_registries_get_it() {
    mkdir first
    W=$W/first start_registry
    local first=$REGISTRY first_pid=$registry_pid first_log=$W/first/registry.log
    start_registry
    pids=("$first_pid")
    trap end_all EXIT
    some_image
    build --push -t "$first/app:1" -t "$REGISTRY/app:1"
    eq 8 "$(grep -c '"PUT [^ ]*/blobs/uploads/' "$first_log")" "blobs sent to the first"
    eq 8 "$(uploads)" "blobs sent to the second"
    eq 0 "$(requests POST mount= '')" "mounts between two registries"
}

t_a_push_by_digest_sets_no_tag() {
    start_registry
    some_image
    build -o "type=image,name=$REGISTRY/app,push-by-digest=true,name-canonical=true,push=true" --metadata-file meta.json
    local digest
    digest=$(jq -r '."containerimage.digest"' meta.json)
    no_tag app
    eq "$digest" "sha256:$(raw "app@$digest" | sha256sum | cut -d' ' -f1)"
    has log "pushing manifest for $REGISTRY/app@$digest"
    eq "$REGISTRY/app" "$(jq -r '."image.name"' meta.json)"
    build_fails -o "type=image,name=$REGISTRY/app:1,push-by-digest=true,push=true"
    says "can't push tagged ref $REGISTRY/app:1 by digest"
}

t_the_compression_is_as_asked() {
    start_registry
    some_image
    build -o type=registry,compression=zstd -t "$REGISTRY/app:1"
    raw app:1 | jq -r '.layers[].mediaType' | sort -u >types
    eq application/vnd.oci.image.layer.v1.tar+zstd "$(cat types)"
    skopeo_copy "docker://$REGISTRY/app:1" oci:pulled:1
}

t_an_image_of_the_store_is_pushed() {
    start_registry
    some_image
    build -t "$REGISTRY/app:1" -t "$REGISTRY/app:2"
    shale push "$REGISTRY/app:1" >out
    eq "The push refers to repository [$REGISTRY/app]" "$(head -n 1 out)"
    eq 3 "$(grep -cE '^[0-9a-f]{12}: Pushed$' out)" "layers pushed"
    eq "1: digest: $(digest_of app:1) size: $(raw app:1 | wc -c)" "$(tail -n 1 out)"
    forget_requests
    shale push -a "$REGISTRY/app" >out
    eq "$(digest_of app:1)" "$(digest_of app:2)"
    has out "2: digest: $(digest_of app:1)"
    eq 0 "$(uploads)" "blobs sent again"
    shale tag "$REGISTRY/app:1" "$REGISTRY/new:1"
    shale push "$REGISTRY/new:1" >out
    eq 3 "$(grep -cE '^[0-9a-f]{12}: Mounted from app$' out)" "layers mounted"
    eq "$REGISTRY/new:1" "$(shale push -q "$REGISTRY/new:1")"
}

t_a_base_of_the_registry_is_mounted() {
    start_registry
    some_image
    build --push -t "$REGISTRY/app:1"
    export SHALE_ROOT=$W/another
    printf 'FROM %s/app:1\nCOPY one /again\n' "$REGISTRY" | dockerfile
    forget_requests
    build --push -t "$REGISTRY/next:1"
    eq 3 "$(requests POST 'mount=sha256.*from=app' 201)" "layers of the base, mounted"
    eq 7 "$(uploads)" "blobs sent: the new layer, four listings, two configurations"
    eq "$(raw app:1 | jq -c '[.layers[].digest]')" "$(raw next:1 | jq -c '[.layers[:-1][].digest]')"
}

# A step that waits until somebody serves at $gate.
gated_image() { # gated_image BYTES COMMAND
    gate=$((40000 + RANDOM % 10000))
    head -c "$1" /dev/urandom >ctx/large
    printf 'FROM base:1\nCOPY large /large\nRUN until wget -q -O /dev/null http://127.0.0.1:%s/; do sleep 0.1; done; %s\n' "$gate" "$2" |
        dockerfile
}

open_gate() {
    mkdir -p gate
    python3 -m http.server --bind 127.0.0.1 --directory gate "$gate" >gate.log 2>&1 &
    pids+=($!)
}

end_all() { # what a test has started
    kill "${pids[@]}" "$registry_pid" 2>/dev/null || :
}

t_layers_are_sent_while_a_later_step_runs() {
    start_registry
    gated_image 100000 true
    build --push -t "$REGISTRY/app:1" &
    local pid=$!
    pids=($pid)
    trap end_all EXIT
    # The base's layer and the copied file's; the step cannot end before this does.
    wait_for "two blobs are there while the step runs" eval '[ "$(uploads)" -ge 2 ]'
    no_tag app
    eq 0 "$(requests PUT /manifests/ '')" "manifests while the step runs"
    open_gate
    wait $pid
    eq 8 "$(uploads)" "blobs sent in the end"
    raw app:1 >/dev/null
}

start_slow_registry() { # REGISTRY is a slow way there
    start_registry
    local port=$((30000 + RANDOM % 10000))
    python3 "$PROJECT/tests/e2e/lib/slow_proxy.py" "${REGISTRY#*:}" $port "$W/slow" 50000 2>proxy.log &
    pids=($!)
    trap end_all EXIT
    REGISTRY=localhost:$port
    wait_for "the proxy listens" eval "(exec 3<>/dev/tcp/127.0.0.1/$port) 2>/dev/null"
}

t_a_build_that_fails_ends_its_uploads() {
    start_slow_registry
    gated_image 20000000 false
    (build_fails --push -t "$REGISTRY/app:1"; says 'did not complete successfully') &
    local pid=$!
    pids+=($pid)
    wait_for "an upload is under way" test -e slow
    open_gate
    wait $pid
    no_tag app
    no_session app
}

t_a_push_that_is_interrupted_sets_no_tag() {
    local status=0
    start_slow_registry
    head -c 20000000 /dev/urandom >ctx/large
    printf 'FROM base:1\nCOPY large /large\n' | dockerfile
    env --default-signal=INT,TERM "$SHALE" build --progress=plain --load=false --push -t "$REGISTRY/app:1" ctx \
        >out 2>log &
    local pid=$!
    pids+=($pid)
    wait_for "an upload is under way" test -e slow
    kill -INT $pid
    wait $pid || status=$?
    eq 130 $status "exit status"
    no_tag app
    no_session app
    nothing_left "$REGISTRY/app:1"
}

t_a_plan_sends_nothing() {
    start_registry
    some_image
    "$SHALE" plan --push -t "$REGISTRY/app:1" ctx >out
    eq 0 "$(requests '[A-Z]+' '' '')" "requests"
}

t_a_registry_that_is_not_there_is_named() {
    some_image
    build_fails --push -t localhost:1/app:1
    says 'failed to push localhost:1/app:1: '
}

t_push_and_another_output_are_both_done() {
    start_registry
    some_image
    build --push -o type=oci,dest=x.tar -t "$REGISTRY/app:1"
    local manifest
    manifest=$(tar -xOf x.tar index.json | jq -r '.manifests[0].digest')
    tar -xOf x.tar "blobs/sha256/${manifest#sha256:}" | jq -c '[.config.digest, .layers[].digest]' >written
    eq "$(cat written)" "$(raw app:1 | jq -c '[.config.digest, .layers[].digest]')"
}

t_an_image_of_the_store_for_several_platforms_is_pushed_as_an_index() {
    start_registry
    printf 'FROM scratch\nARG TARGETARCH\nCOPY file-$TARGETARCH /\n' | dockerfile
    echo a >ctx/file-amd64
    echo b >ctx/file-arm64
    build --platform linux/amd64,linux/arm64 -t "$REGISTRY/app:1"
    shale push "$REGISTRY/app:1" >out 2>log
    skopeo --insecure-policy inspect --raw --tls-verify=false "docker://$REGISTRY/app:1" >index.json
    eq "amd64 arm64" "$(jq -r '[.manifests[].platform.architecture] | join(" ")' index.json)"
    has out "digest: sha256:$(sha256sum <index.json | cut -d' ' -f1)"
    skopeo_copy --override-arch arm64 "docker://$REGISTRY/app:1" oci:arm:t
    umoci unpack --image arm:t unpacked >umoci.log 2>&1 || { cat umoci.log; fail "umoci unpack"; }
    eq b "$(cat unpacked/rootfs/file-arm64)"
}

t_two_repositories_of_an_insecure_registry_get_it() {
    start_registry
    some_image
    build -o "type=image,push=true,registry.insecure=true,\"name=$REGISTRY/a:1,$REGISTRY/b:1\""
    local a b
    a=$(skopeo --insecure-policy inspect --raw --tls-verify=false "docker://$REGISTRY/a:1" | sha256sum)
    b=$(skopeo --insecure-policy inspect --raw --tls-verify=false "docker://$REGISTRY/b:1" | sha256sum)
    eq "$a" "$b"
}

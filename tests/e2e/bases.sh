# Where base images come from, and when a registry is asked: tags that move, digests, registries that are gone.
# shellcheck shell=bash disable=SC2016,SC2154 # what is in single quotes is for the container

# push NAME [TAG]: a small image into the registry as app:TAG, its content made unlike any other by NAME.
push() {
    mkdir -p pushed
    printf 'FROM base:1\nRUN echo %s > /pushed\n' "$1" >pushed/Dockerfile
    SHALE_ROOT=$W/store shale build --progress=plain --load=false -o "type=oci,dest=$1.tar" pushed 2>push.log ||
        { cat push.log; fail "building $1"; }
    skopeo_copy "oci-archive:$1.tar" "docker://$REGISTRY/app:${2:-1}"
}

digest_of() { # of app:TAG in the registry
    skopeo --insecure-policy inspect --tls-verify=false --format '{{.Digest}}' "docker://$REGISTRY/app:$1"
}

begin() { # a registry with app:1, a store that has never seen it, a Dockerfile on it
    start_registry
    push first
    export SHALE_ROOT=$W/empty
    on "app:1"
}

on() { # on NAME: a Dockerfile on that image of the registry
    printf 'FROM %s/%s\nRUN cat /pushed > /seen\n' "$REGISTRY" "$1" | dockerfile
}

stop_registry() {
    kill "$registry_pid"
    wait "$registry_pid" || :
}

# later HOURS: what is remembered of tags is that much older.
later() {
    python3 - "$SHALE_ROOT/shale.db" "$1" <<'END'
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
changed = db.execute("UPDATE remote_names SET seen_s = seen_s - ?", (float(sys.argv[2]) * 3600,)).rowcount
db.commit()
assert changed > 0, "no name is remembered"
END
}

no_answer() { grep -q 'does not answer: going on' log; }

t_a_tag_counts_for_an_hour_and_is_asked_for_again_then() {
    begin
    build -t t
    push second
    later 0.9
    build -t t
    all_cached
    eq first "$(inside cat /seen)"
    later 0.2
    build -t t
    ran 'RUN cat'
    eq second "$(inside cat /seen)"
    # the time of a tag that has not moved begins anew
    later 2
    build -t t
    all_cached
    stop_registry
    later 0.5
    build -t t
    all_cached
    ! no_answer || fail "it was asked again"
}

t_a_tag_that_has_not_moved_is_not_pulled_again() {
    begin
    build -t t
    later 2
    # the registry has nothing but what says which digest the tag is
    local digest
    digest=$(digest_of 1)
    find "$W/registry" -path '*/blobs/sha256/*/data' ! -path "*/${digest#sha256:}/data" -delete
    build -t t
    all_cached
    build -t t --pull
    all_cached
    ! no_answer || fail "the registry was not asked"
}

t_an_unreachable_registry_with_a_known_tag_is_no_error() {
    begin
    build -t t
    stop_registry
    later 48
    build -t t
    all_cached
    no_answer || fail "nothing is said"
    has log "going on with what $REGISTRY/app:1 was before"
    # not every build waits for nobody
    build -t t
    all_cached
    ! no_answer || fail "it was asked again at once"
    later 48
    build -t t --no-cache
    ran 'RUN cat'
    eq first "$(inside cat /seen)"
}

t_a_tag_that_has_moved_to_what_cannot_be_fetched_is_an_error() {
    begin
    build -t t
    push second
    local blob
    blob=$(skopeo --insecure-policy inspect --tls-verify=false "docker://$REGISTRY/app:1" | jq -r '.Layers[-1]')
    blob=$(find "$W/registry" -path "*blobs*${blob#sha256:}/data")
    mv "$blob" "$blob.kept"
    mkdir "$blob" # which the registry can't read
    later 2
    build_fails -t t
    hasnt log 'does not answer'
    rmdir "$blob"
    mv "$blob.kept" "$blob"
    build -t t
    eq second "$(inside cat /seen)"
}

t_pull_wants_the_word_of_the_registry() {
    begin
    build -t t
    push second
    build -t t --pull
    eq second "$(inside cat /seen)"
    printf 'FROM base:1\nCOPY --from=%s/app:1 /pushed /seen\n' "$REGISTRY" | dockerfile
    push third
    export SHALE_ROOT=$W/copies
    cp -a "$TEMPLATE/store" "$SHALE_ROOT"
    build -t t
    eq third "$(inside cat /seen)"
    push fourth
    build -t t
    eq third "$(inside cat /seen)"
    # as with Docker, what is in no registry fails then
    build_fails --pull
    says "docker.io/library/base:1"
    on app:1
    build -t t --pull
    eq fourth "$(inside cat /seen)"
    stop_registry
    build_fails --pull
    says "$REGISTRY/app:1"
    build -t t --pull --offline
    all_cached
}

t_a_known_digest_is_never_asked_for() {
    begin
    local digest
    digest=$(digest_of 1)
    # by the tag that led to it
    build -t t
    stop_registry
    later 1000
    for name in "app@$digest" "app:1@$digest" "app:other@$digest"; do
        on "$name"
        build -t t
        all_cached
        build -t t --pull
        all_cached
        build -t t --offline
        all_cached
        ! no_answer || fail "it was asked"
    done
    on "app@sha256:$(printf x | sha256sum | cut -d' ' -f1)"
    build_fails
    build_fails --offline
    says "--offline forbids asking"
}

t_what_was_pulled_by_digest_says_nothing_of_a_tag() {
    begin
    on "app@$(digest_of 1)"
    build -t t
    stop_registry
    on "app@$(python3 -c 'print("sha256:" + "0" * 64)')"
    build_fails --offline
    on app:1
    build_fails --offline
    says "--offline forbids asking"
}

t_offline_asks_nobody_however_old() {
    begin
    build -t t
    push second
    later 1000
    build -t t --offline
    all_cached
    ! no_answer || fail "it was asked"
    eq first "$(inside cat /seen)"
    on app:2
    build_fails --offline
    says "$REGISTRY/app:2"
    says "--offline forbids asking"
}

t_a_tag_that_is_gone_is_an_error_when_it_is_asked_for() {
    begin
    build -t t
    rm -r "$W/registry/docker/registry/v2/repositories/app/_manifests/tags/1"
    build -t t
    all_cached
    later 2
    local before
    before=$(grep -c '/manifests/1 HTTP' "$W/registry.log" || :)
    build_fails
    says "$REGISTRY/app:1: not found"
    eq 1 "$(($(grep -c '/manifests/1 HTTP' "$W/registry.log" || :) - before))" "times that it was asked"
    build -t t --offline
    all_cached
}

t_images_of_our_own_go_before_a_registry() {
    begin
    printf 'FROM scratch\nCOPY Dockerfile /mine\n' | dockerfile
    build -t "$REGISTRY/app:1"
    printf 'FROM %s/app:1\nCOPY Dockerfile /x\n' "$REGISTRY" | dockerfile
    tree files
    [ -e files/mine ] || fail "the registry's was taken"
    tree files --pull
    [ ! -e files/mine ] || fail "our own was taken with --pull"
}

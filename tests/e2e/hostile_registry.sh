# FROM a registry that misbehaves in each way there is (e2e/lib/hostile_registry.py): one sentence says so, nothing wrong
# stays in the store, nobody else gets a credential, and it ends.
# shellcheck shell=bash disable=SC2016,SC2154 # what is in single quotes is for the container

DEADLINE=120 # seconds for one build, several times what any takes

start_hostile() { # sets PORT, OTHER
    printf 'FROM base:1\nRUN echo pushed > /pushed\n' | dockerfile
    oci
    python3 "$PROJECT/tests/e2e/lib/hostile_registry.py" "$W/oci" "$W/other.log" >ports 2>hostile.err &
    hostile_pid=$!
    trap 'kill $hostile_pid 2>/dev/null || :' EXIT
    for _ in $(seq 100); do
        [ ! -s ports ] || break
        sleep 0.1
    done
    read -r PORT OTHER <ports || fail "the server does not start: $(tail -n 1 hostile.err)"
    : >"$W/other.log"
}

# Builds a step that needs all of the image under that name, with a store that knows nothing.
build_from() { # build_from NAME
    rm -rf "$W/fresh"
    mkdir "$W/fresh"
    printf 'FROM localhost:%s/%s:1\nRUN cat /pushed > /seen\n' "$PORT" "$1" | dockerfile
    SHALE_ROOT=$W/fresh timeout -k 5 $DEADLINE "$SHALE" build --progress=plain --load=false -t t ctx >out 2>log
}

# Every blob has the name of its bytes, and no image is there.
store_is_clean() {
    local file name
    while read -r file; do
        name=$(basename "$(dirname "$file")")$(basename "$file")
        name=${name: -64}
        eq "$name" "$(sha256sum <"$file" | cut -d' ' -f1)" "the bytes of $file"
    done < <(find "$W/fresh" -path '*/sha256/*' -type f)
    eq "" "$(SHALE_ROOT=$W/fresh shale images | sed 1d)" "images"
}

no_credentials_elsewhere() {
    ! grep -v ' authorization=- cookie=-$' "$W/other.log" >&2 || fail "the other server was told who we are"
}

# The one sentence ends so, with HOST, OTHER and DIGEST for what differs from time to time.
refuses() { # refuses NAME SENTENCE
    local status=0
    build_from "$1" || status=$?
    eq 1 $status "$1: exit status"
    eq 1 "$(grep -c '^ERROR: ' log)" "$1: lines that say ERROR"
    hasnt log Sanitizer
    eq "failed to solve: HOST/$1:1: failed to resolve source metadata for HOST/$1:1: $2" "$(tail -n 1 log | sed -e "s/localhost:$PORT/HOST/g" -e "s/127\.0\.0\.1:$OTHER/OTHER/g" \
        -e 's/sha256:[0-9a-f]\{64\}/DIGEST/g' -e 's/[0-9]\+\( of [0-9]\+\)\? bytes/N bytes/; s/ends after N/ends after N of N/' -e 's/^ERROR: failed to build: //')" "$1: the last line"
    store_is_clean
    no_credentials_elsewhere
}

takes() { # takes NAME
    build_from "$1" || { sed 's/^/  | /' log >&2; fail "$1 is not built"; }
    eq pushed "$(SHALE_ROOT=$W/fresh shale run t cat /seen)"
    no_credentials_elsewhere
}

t_a_good_image_is_taken() { # so that the others fail for what is wrong with them
    start_hostile
    takes good
}

t_layers_are_what_the_manifest_says() {
    start_hostile
    local blob='layer DIGEST: blob DIGEST of HOST'
    refuses layer-digest "$blob/layer-digest: what came has digest DIGEST"
    refuses layer-damaged 'layer DIGEST: gzip data is damaged'
    refuses layer-longer "$blob/layer-longer: longer than the N bytes that it should have"
    refuses layer-shorter "$blob/layer-shorter: ends after N of N bytes"
    refuses size-more "$blob/size-more: ends after N of N bytes"
    refuses size-less "$blob/size-less: longer than the N bytes that it should have"
    refuses size-negative "manifest: no usable 'size'"
    refuses foreign "$blob/foreign: download failed: not found (HTTP 404 from HOST)"
    eq "" "$(cat other.log)" "what the other server was asked"
}

t_answers_that_never_end_or_end_too_soon() {
    start_hostile
    local blob='layer DIGEST: blob DIGEST of HOST'
    refuses layer-truncated "$blob/layer-truncated: lost the connection to HOST: transfer closed with N bytes remaining to read"
    refuses layer-endless "$blob/layer-endless: longer than the N bytes that it should have"
    refuses layer-endless-length "$blob/layer-endless-length: longer than the N bytes that it should have"
    refuses headers-endless 'HOST/headers-endless:1: HOST sent too many header lines'
    refuses headers-cut 'HOST/headers-cut:1: lost the connection to HOST: its answer ends within the header lines'
    refuses redirect-loop "$blob/redirect-loop: HOST redirects without end"
}

t_answers_that_pass_or_do_not() {
    start_hostile
    takes busy-twice
    takes failing-twice
    refuses busy "HOST/busy:1: HOST limits how often it may be asked; log in with 'docker login' for a higher limit, or use a mirror (registry-mirror) (HTTP 429)"
    refuses failing 'HOST/failing:1: error of the server (HTTP 500 from HOST)'
    refuses error-twice 'HOST/error-twice:1: the request was refused (HTTP 400 from HOST)'
}

t_credentials_stay_with_the_registry() {
    start_hostile
    local denied='repository does not exist or may require authorization'
    takes to-other
    has other.log 'GET /blob/sha256:'
    refuses to-denied "layer DIGEST: pull access denied for HOST/to-denied, $denied"
    hasnt other.log /token
    refuses token-loop "pull access denied for HOST/token-loop, $denied"
    refuses token-twice 'HOST/token-twice:1: cannot get a token for HOST/token-twice from http://HOST/token/token-twice: the answer has no usable token'
}

t_documents_that_can_be_read_in_two_ways_or_not_at_all() {
    start_hostile
    refuses manifest-twice "manifest: line 1: duplicate object key near '\"layers\"'"
    refuses manifest-both 'manifest: it is an index too'
    refuses manifest-type "the registry answers with 'text/html', which is no image"
    refuses manifest-huge 'HOST/manifest-huge:1: HOST sent more than N bytes'
    refuses manifest-deep "manifest: line 1: maximum parsing depth reached near '['"
    refuses config-twice "image configuration: line 1: duplicate object key near '\"config\"'"
    refuses config-layers 'the manifest has 2 layers, the configuration 3'
}

# push_fails NAME SENTENCE: the image of start_hostile is pushed there, and the last line says so.
push_fails() {
    local status=0
    timeout -k 5 $DEADLINE "$SHALE" tag t "localhost:$PORT/$1:1"
    timeout -k 5 $DEADLINE "$SHALE" push "localhost:$PORT/$1:1" >out 2>log || status=$?
    eq 1 $status "$1: exit status"
    eq 1 "$(grep -ci '^\(error\|shale\): ' log)" "$1: lines that say what is wrong"
    hasnt log Sanitizer
    eq "shale: failed to push HOST/$1:1: $2" "$(tail -n 1 log | sed -e "s/localhost:$PORT/HOST/g" \
        -e "s/127\.0\.0\.1:$OTHER/OTHER/g" -e 's/sha256:[0-9a-f]\{64\}/DIGEST/g' \
        -e 's/\(recv\|send\) failure: .*/reset/')" "$1: the last line" # it depends on who is quicker
    no_credentials_elsewhere
}

t_a_registry_that_is_pushed_to_misbehaves() {
    start_hostile
    build -t t
    shale tag t "localhost:$PORT/push-good:1"
    shale push "localhost:$PORT/push-good:1" >out 2>log
    shale tag t "localhost:$PORT/push-elsewhere:1"
    shale push "localhost:$PORT/push-elsewhere:1" >out 2>log
    has other.log 'PUT /upload?digest=sha256:'
    no_credentials_elsewhere
    local blob='blob DIGEST of HOST'
    push_fails push-digest "$blob/push-digest: HOST took DIGEST instead of DIGEST"
    push_fails push-later "$blob/push-later: upload failed: unexpected answer (HTTP 202 from HOST)"
    push_fails push-413 "$blob/push-413: upload failed: too large (HTTP 413 from HOST)"
    push_fails push-reset "$blob/push-reset: lost the connection to HOST: reset"
    push_fails push-immutable 'HOST/push-immutable:1: what is there may not be changed (HTTP 409 from HOST)'
    push_fails push-manifest 'HOST/push-manifest:1: HOST took DIGEST instead of DIGEST'
}

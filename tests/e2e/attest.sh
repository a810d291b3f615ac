# What is said about an image beside it: provenance, annotations; as other tools see them.
# shellcheck shell=bash disable=SC2016 # what is in single quotes is for the container or jq

app() {
    echo hello >ctx/hello
    dockerfile <<'END'
FROM base:1
ARG token=none
COPY hello /hello
RUN --mount=type=secret,id=s,env=S echo "$token $S" | sha256sum >/sum
END
}

index() { # index JQ: of the image's index in oci
    jq -cr "$1" "$(oci_manifest)"
}

statement() { # statement JQ: of the only attestation in oci
    local digest
    digest=$(index '.manifests[] | select(.annotations["vnd.docker.reference.type"] == "attestation-manifest").digest')
    jq -cr "$1" "$(oci_blob "$(jq -r '.layers[0].digest' "$(oci_blob "$digest")")")"
}

t_nothing_is_said_unless_asked_for() {
    app
    oci --provenance=false
    eq application/vnd.oci.image.manifest.v1+json "$(jq -r '.manifests[0].mediaType' oci/index.json)"
    eq null "$(jq -c .annotations "$(oci_manifest)")"
    oci --attest type=provenance,disabled=true --provenance=mode=max
    eq 1 "$(grep -rl '"schemaVersion"' oci/blobs | wc -l)" "documents"
}

t_provenance_stands_beside_the_image() {
    app
    oci --provenance=true -t example.com/app:1 --build-arg token=not-for-everybody --label l=a-label --metadata-file md.json
    eq 2 "$(index '.manifests | length')"
    eq "$(index '.manifests[0].digest')" "$(index '.manifests[1].annotations["vnd.docker.reference.digest"]')"
    eq '{"architecture":"unknown","os":"unknown"}' "$(index '.manifests[1].platform')"
    eq https://slsa.dev/provenance/v1 "$(statement .predicateType)"
    eq "$(index '.manifests[0].digest')" "sha256:$(statement '.subject[0].digest.sha256')"
    eq "pkg:docker/example.com/app@1?platform=linux%2F$(index '.manifests[0].platform.architecture')" \
        "$(statement '.subject[0].name')"
    eq '{"path":"Dockerfile"}' "$(statement .predicate.buildDefinition.externalParameters.configSource)"
    has <(statement '.predicate.buildDefinition.resolvedDependencies[].uri') pkg:docker/base@1
    eq false "$(statement .predicate.runDetails.metadata.buildkit_completeness.request)"
    eq "$(statement .predicate | jq -cS .)" "$(jq -cS '."buildx.build.provenance"' md.json)"
    statement . >statement.json
    hasnt statement.json not-for-everybody
    hasnt statement.json a-label
    hasnt md.json not-for-everybody
    local blob
    for blob in oci/blobs/sha256/*; do
        eq "$(basename "$blob")" "$(sha256sum "$blob" | cut -d' ' -f1)"
    done
}

t_with_mode_max_arguments_are_said_and_never_secrets() {
    app
    echo "a-canary-$$" >secret
    oci --provenance=mode=max,builder-id=https://example.com/b --build-arg token=told --label l=a-label --secret id=s,src=secret
    eq told "$(statement '.predicate.buildDefinition.externalParameters.request.args["build-arg:token"]')"
    eq a-label "$(statement '.predicate.buildDefinition.externalParameters.request.args["label:l"]')"
    eq https://example.com/b "$(statement .predicate.runDetails.builder.id)"
    eq "$(cat ctx/Dockerfile)" \
        "$(statement '.predicate.runDetails.metadata.buildkit_metadata.source.infos[0].data' | base64 -d)"
    ! grep -rl "a-canary" oci || fail "the secret is in the output"
}

t_the_older_version_can_be_asked_for() {
    app
    oci --provenance=version=v0.2,reproducible=true
    eq https://slsa.dev/provenance/v0.2 "$(statement .predicateType)"
    eq Dockerfile "$(statement .predicate.invocation.configSource.entryPoint)"
    eq true "$(statement .predicate.metadata.reproducible)"
    has <(statement '.predicate.materials[].uri') pkg:docker/base@1
}

t_other_tools_take_an_index_with_attestations() {
    needs skopeo
    app
    oci --provenance=true -t example.com/app:1
    skopeo --insecure-policy inspect oci-archive:oci.tar >inspect.json
    eq "$(index '.manifests[0].platform.architecture')" "$(jq -r .Architecture inspect.json)"
    skopeo_copy oci-archive:oci.tar oci:one:t
    umoci unpack --image one:t bundle >umoci.log 2>&1 || { cat umoci.log; fail "umoci unpack"; }
    eq hello "$(cat bundle/rootfs/hello)"
    skopeo --insecure-policy copy -q --all oci-archive:oci.tar dir:all
    eq "$(index '.manifests | length')" "$(jq '.manifests | length' all/manifest.json)"
    oci --provenance=true -o type=oci,dest=artifact.tar,oci-artifact=true
    skopeo --insecure-policy copy -q --all oci-archive:artifact.tar dir:artifacts
}

t_an_archive_for_docker_has_no_attestations() {
    app
    build --provenance=true -o type=docker,dest=docker.tar -t example.com/app:1
    mkdir docker
    tar -C docker -xf docker.tar
    eq 1 "$(jq '.manifests | length' docker/index.json)"
    eq application/vnd.docker.distribution.manifest.v2+json "$(jq -r '.manifests[0].mediaType' docker/index.json)"
    ! grep -rl in-toto docker || fail "an attestation is in it"
}

t_annotations_stand_where_they_were_meant() {
    app
    oci --provenance=true --annotation plain=1 --annotation 'manifest-descriptor:d=2' --annotation index:i=3 \
        --annotation 'index-descriptor:x=4' --annotation 'manifest[linux/s390x]:other=5'
    eq 4 "$(jq -r '.manifests[0].annotations.x' oci/index.json)"
    eq '{"i":"3"}' "$(index .annotations)"
    eq '{"d":"2"}' "$(index '.manifests[0].annotations')"
    eq '{"plain":"1"}' "$(jq -c .annotations "$(oci_blob "$(index '.manifests[0].digest')")")"
    build_fails --annotation index:i=3 -o type=oci,dest=x.tar
    says "index annotations not supported for single platform export"
    build -o "type=oci,dest=y.tar,annotation.a.b=c"
    eq '{"a.b":"c"}' "$(tar -xOf y.tar "blobs/sha256/$(tar -xOf y.tar index.json | jq -r '.manifests[0].digest' | cut -d: -f2)" |
        jq -c .annotations)"
}

t_an_sbom_that_is_not_made_is_said() {
    app
    build --sbom=true
    has log "no SBOM is made"
}

# A server of the files in www: sets URL.
start_server() {
    needs python3
    coproc SERVER { exec python3 "$PROJECT/tests/e2e/lib/fileserver.py" "$W/www" "$W/requests"; }
    # shellcheck disable=SC2153 # the coprocess sets it
    server_pid=$SERVER_PID
    trap 'kill $server_pid 2>/dev/null || :' EXIT
    # shellcheck disable=SC2154
    read -r PORT <&"${SERVER[0]}" || fail "the server does not start"
    URL=http://127.0.0.1:$PORT
}

t_what_comes_from_elsewhere_is_a_material() {
    needs git
    mkdir -p www repo/sub named
    : >requests
    echo remote >www/file
    echo named >named/n
    start_server
    printf 'FROM base:1\nADD %s/file?token=hidden /file\nCOPY --from=one n /\nCOPY own /\n' "$URL" >repo/sub/Dockerfile
    echo own >repo/sub/own
    (cd repo && git init -q -b main && git add -A && git -c user.name=a -c user.email=a@b commit -qm 1) || fail "git"
    git clone -q --bare repo www/repo.git
    git -C www/repo.git update-server-info
    rm -rf oci
    "$SHALE" build --load=false --progress=plain --provenance=mode=min -o type=oci,dest=oci.tar --build-context one=named \
        "$URL/repo.git#main:sub" 2>log || { cat log; fail "build"; }
    mkdir oci
    tar -C oci -xf oci.tar
    local commit
    commit=$(git -C repo rev-parse HEAD)
    eq "{\"uri\":\"$URL/repo.git#main:sub\",\"digest\":{\"sha1\":\"$commit\"},\"path\":\"Dockerfile\"}" \
        "$(statement .predicate.buildDefinition.externalParameters.configSource)"
    eq "$commit" "$(statement ".predicate.buildDefinition.resolvedDependencies[] | select(.uri == \"$URL/repo.git#main\").digest.sha1")"
    eq "$(sha256sum www/file | cut -d' ' -f1)" \
        "$(statement ".predicate.buildDefinition.resolvedDependencies[] | select(.uri == \"$URL/file\").digest.sha256")"
    eq local:one "$(statement '.predicate.buildDefinition.externalParameters.request.args["context:one"]')"
    statement . >statement.json
    hasnt statement.json hidden
    hasnt statement.json "$W"
}

t_an_attestation_is_pushed_with_its_image() {
    start_registry
    app
    build --provenance=true --annotation index:i=3 --metadata-file md.json --iidfile id -t "$REGISTRY/app:1" \
        -o type=registry
    local manifest
    skopeo --insecure-policy inspect --raw --tls-verify=false "docker://$REGISTRY/app:1" >index.json
    eq '["attestation-manifest"]' "$(jq -c '[.manifests[].annotations["vnd.docker.reference.type"] | select(. != null)]' index.json)"
    eq 3 "$(jq -r .annotations.i index.json)"
    eq "sha256:$(sha256sum index.json | cut -d' ' -f1)" "$(cat id)"
    eq "$(cat id)" "$(jq -r '."containerimage.digest"' md.json)"
    manifest=$(jq -r '.manifests[1].digest' index.json)
    skopeo --insecure-policy inspect --raw --tls-verify=false "docker://$REGISTRY/app@$manifest" >attestation.json
    eq application/vnd.in-toto+json "$(jq -r '.layers[0].mediaType' attestation.json)"
    skopeo --insecure-policy copy -q --all --src-tls-verify=false "docker://$REGISTRY/app:1" dir:all
    export SHALE_ROOT=$W/another
    printf 'FROM %s/app:1\nRUN cat /sum\n' "$REGISTRY" | dockerfile
    build -t t
}

t_the_id_is_the_same_wherever_it_is_said() {
    printf 'FROM scratch\nCOPY Dockerfile /\n' | dockerfile
    shale build -q --load=false --provenance=mode=min -o type=oci,dest=t.tar --iidfile id ctx >said
    eq "$(cat id)" "$(cat said)"
    mkdir t
    tar -C t -xf t.tar
    eq "$(cat id)" "$(jq -r '.manifests[0].digest' t/index.json)"
}

t_an_annotation_of_an_index_that_there_will_not_be_ends_the_build_before_it_begins() {
    printf 'FROM scratch\nCOPY Dockerfile /\n' | dockerfile
    build_fails --annotation index:a=b -o type=oci,dest=t.tar -t t
    says 'index annotations not supported for single platform export'
    hasnt log 'COPY Dockerfile'
    shale images >images
    hasnt images t
    build --annotation index:a=b --provenance=mode=min -o type=oci,dest=t.tar -t t
}

t_what_nothing_would_keep_is_warned_about() {
    printf 'FROM scratch\nCOPY Dockerfile /\n' | dockerfile
    build --annotation a=b -t t
    has log 'annotations and attestations are lost'
    build --annotation a=b -t t -o type=oci,dest=t.tar
    hasnt log 'annotations and attestations are lost'
}

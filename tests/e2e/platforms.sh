# Several platforms in one build, and one that is not this machine's. Nothing here needs an emulator; what one would
# change is asked of the machine.
# shellcheck shell=bash disable=SC2016 # what is in single quotes is for the Dockerfile

HOST=linux/$(dpkg --print-architecture)
case $HOST in */arm64) OTHER=linux/amd64 ;; *) OTHER=linux/arm64 ;; esac
OTHER_ARCH=${OTHER#linux/}

# A program, of which the image has as many as there are platforms: copied, never run.
made_for_each() {
    printf 'FROM scratch\nARG TARGETPLATFORM\nARG TARGETARCH\nLABEL for=$TARGETPLATFORM\nCOPY bin-$TARGETARCH /bin\n' |
        dockerfile
    for arch in amd64 arm64 arm; do echo "for $arch" >ctx/bin-$arch; done
}

# Whether the step of this name is shown as run once, and as known each time else: run_once TEXT TIMES
run_once() {
    local ids
    ids=$(grep -F -- "$1" log | grep -o '^#[0-9]*' | sort -u)
    eq "$2" "$(wc -w <<<"$ids")" "steps with '$1'"
    eq 1 "$(for id in $ids; do grep "^$id DONE" log || :; done | wc -l)" "of them run"
    eq $(($2 - 1)) "$(for id in $ids; do grep "^$id CACHED" log || :; done | wc -l)" "of them known"
}

t_an_index_names_an_image_for_each_platform() {
    made_for_each
    oci --platform "linux/amd64,linux/arm64" --platform "linux/arm/v7,linux/arm64" -t several:1 \
        --iidfile iid --metadata-file meta
    local index manifest config
    index=$(oci_manifest)
    eq 3 "$(jq '.manifests | length' "$index")" "images (one was asked for twice)"
    eq 'linux/amd64 linux/arm64 linux/arm/v7' \
        "$(skopeo --insecure-policy inspect --raw oci:oci:1 |
            jq -r '[.manifests[].platform | [.os, .architecture, .variant // empty] | join("/")] | join(" ")')"
    for arch in amd64 arm64 arm; do
        manifest=$(oci_blob "$(jq -r --arg a $arch '.manifests[] | select(.platform.architecture == $a).digest' "$index")")
        config=$(oci_blob "$(jq -r .config.digest "$manifest")")
        eq $arch "$(jq -r .architecture "$config")"
        eq linux/$arch "$(jq -r .config.Labels.for "$config" | cut -d/ -f1-2)"
        tar -xOf "$(oci_blob "$(jq -r '.layers[0].digest' "$manifest")")" bin >bin
        eq "for $arch" "$(cat bin)"
    done
    eq "$(jq -r '.manifests[0].digest' oci/index.json)" "$(cat iid)"
    eq "$(cat iid)" "$(jq -r '."containerimage.digest"' meta)"
    eq null "$(jq -r '."containerimage.config.digest"' meta)"
}

t_each_image_of_an_index_is_unpacked_by_umoci() {
    made_for_each
    build --platform linux/amd64,linux/arm64 -o type=oci,dest=several.tar
    for arch in amd64 arm64; do
        skopeo --insecure-policy --override-arch $arch copy -q oci-archive:several.tar oci:one:$arch
        umoci unpack --rootless --image one:$arch bundle.$arch
        eq "for $arch" "$(cat bundle.$arch/rootfs/bin)"
    done
}

t_files_go_into_a_directory_for_each_platform() {
    made_for_each
    build --platform linux/amd64,linux/arm/v7 -o out.dir
    eq 'for amd64' "$(cat out.dir/linux_amd64/bin)"
    eq 'for arm' "$(cat out.dir/linux_arm_v7/bin)"
    build --platform linux/amd64,linux/arm/v7 -o type=tar,dest=out.tar
    eq 'linux_amd64/ linux_amd64/bin linux_arm_v7/ linux_arm_v7/bin' "$(tar -tf out.tar | tr '\n' ' ' | sed 's/ $//')"
    build --platform linux/amd64 -o one.dir
    eq 'for amd64' "$(cat one.dir/bin)"
    build --platform linux/amd64 --build-arg BUILDKIT_MULTI_PLATFORM=1 -o split.dir
    eq 'for amd64' "$(cat split.dir/linux_amd64/bin)"
}

t_without_a_split_the_files_stand_side_by_side_or_in_each_others_way() {
    printf 'FROM scratch\nARG TARGETARCH\nCOPY bin-$TARGETARCH /bin/\n' | dockerfile
    echo a >ctx/bin-amd64
    echo b >ctx/bin-arm64
    build --platform linux/amd64,linux/arm64 -o type=local,dest=both,platform-split=false
    eq 'bin-amd64 bin-arm64' "$(cd both/bin && echo *)"
    build --platform linux/amd64,linux/arm64 -o type=tar,dest=both.tar,platform-split=false
    eq 'bin/ bin/bin-amd64 bin/bin-arm64' "$(tar -tf both.tar | tr '\n' ' ' | sed 's/ $//')"
    made_for_each
    build_fails --platform linux/amd64,linux/arm64 -o type=local,dest=clash,platform-split=false
    says 'cannot overwrite bin from linux/amd64 with linux/arm64 when split option is disabled'
    [ ! -e clash/bin ] || fail "files were written all the same"
}

t_a_stage_of_the_build_platform_runs_once() {
    {
        echo 'FROM --platform=$BUILDPLATFORM base:1 AS tools'
        echo 'RUN cat /proc/sys/kernel/random/uuid >/id'
        echo 'FROM --platform=$BUILDPLATFORM tools AS build'
        echo 'ARG TARGETARCH'
        echo 'RUN echo "$TARGETARCH $(cat /id)" >/made'
        echo 'FROM scratch'
        echo 'COPY --from=build /made /made'
    } | dockerfile
    for more in '' --no-cache; do
        build --platform "$HOST,$OTHER" $more -o made
        eq "$(cut -d' ' -f2 "made/${HOST/\//_}/made")" "$(cut -d' ' -f2 "made/${OTHER/\//_}/made")" "what both have"
        eq "$OTHER_ARCH" "$(cut -d' ' -f1 "made/${OTHER/\//_}/made")"
        run_once "[$HOST tools 2/2] RUN" 2
        ran "[$HOST->$OTHER_ARCH build 1/1] RUN" "[$OTHER stage-2 1/1] COPY"
    done
    build --platform "$HOST,$OTHER" -o made
    all_cached
}

t_a_name_stands_for_the_image_that_a_build_needs() {
    printf 'FROM --platform=$BUILDPLATFORM base:1 AS own\nFROM own\nARG TARGETARCH\nRUN echo $TARGETARCH >/arch\n' |
        dockerfile
    build --platform "$OTHER,$HOST" -t several:1
    shale tag several:1 again
    eq "${HOST#linux/}" "$(shale run several:1 cat /arch)" "by its name alone: this machine's"
    eq "${HOST#linux/}" "$(shale run again cat /arch)"
    for name in several:1 again; do
        printf 'FROM scratch\nCOPY --from=%s /arch /\n' $name | dockerfile
        build --offline --platform "$OTHER,$HOST" -o found
        eq "$OTHER_ARCH" "$(cat "found/${OTHER/\//_}/arch")"
        eq "${HOST#linux/}" "$(cat "found/${HOST/\//_}/arch")"
        rm -r found
    done
    # A name that is set anew has no other platforms left.
    made_for_each
    build --platform "$HOST" -t several:1
    printf 'FROM --platform=%s several:1\n' "$OTHER" | dockerfile
    build_fails --offline
    says "several:1"
}

t_commands_of_a_foreign_platform_are_refused_before_they_run() {
    # Other operating systems are emulated nowhere.
    printf 'FROM scratch\nCOPY Dockerfile /\nRUN ["/x"]\n' | dockerfile
    build_fails --platform windows/amd64
    says "cannot run commands of windows/amd64: this machine is $HOST"
    has log '>>> RUN ["/x"]'
    # A handler may be here for any architecture: then the command is tried, and is not there.
    build_fails --platform linux/s390x
    if ! grep -qs enabled /proc/sys/fs/binfmt_misc/qemu-s390x && [ "$(uname -m)" != s390x ]; then
        says 'cannot run commands of linux/s390x'
        says 'install qemu-user-static'
    fi
    # Nothing has to run, or all is known: no handler is needed.
    printf 'FROM scratch\nCOPY Dockerfile /\n' | dockerfile
    build --platform linux/s390x,linux/riscv64
}

t_a_platform_that_the_kernel_runs_is_run() {
    # "exit 0" of an i386; an amd64 kernel mostly runs it by itself.
    base64 -d >ctx/true <<<'f0VMRgEBAQAAAAAAAAAAAAIAAwABAAAAVABAADQAAAAAAAAAAAAAADQAIAABAAAAAAAAAAEAAAAAAAAAAABAAAAAQABbAAAAWwAAAAUAAAAAAAEAMdsxwEDNgA=='
    chmod 755 ctx/true
    printf 'FROM scratch\nCOPY true /\nRUN ["/true"]\n' | dockerfile
    if ctx/true 2>/dev/null; then
        build --platform linux/386
        ran 'RUN ["/true"]'
    else
        build_fails --platform linux/386
        says 'cannot run commands of linux/386'
    fi
}

t_an_index_is_read_back_from_a_registry() {
    made_for_each
    start_registry
    build --platform "$HOST,$OTHER" -o type=oci,dest=several.tar
    skopeo_copy --all oci-archive:several.tar "docker://$REGISTRY/several:1"
    export SHALE_ROOT=$W/empty
    printf 'FROM scratch\nCOPY --from=%s/several:1 /bin /bin\n' "$REGISTRY" | dockerfile
    build --platform "$HOST,$OTHER" -o out.dir
    eq "for ${HOST#linux/}" "$(cat "out.dir/${HOST/\//_}/bin")"
    eq "for $OTHER_ARCH" "$(cat "out.dir/${OTHER/\//_}/bin")"
    build_fails --platform "$HOST,linux/s390x"
    says 'no match for platform in manifest'
    says 'linux/s390x'
}

t_variants_are_chosen_as_containerd_does() {
    printf 'FROM scratch\nARG TARGETPLATFORM\nLABEL for=$TARGETPLATFORM\n' | dockerfile
    start_registry
    build --platform linux/arm/v5,linux/arm/v6,linux/arm64/v8,linux/amd64,linux/amd64/v3 -o type=oci,dest=several.tar
    skopeo_copy --all oci-archive:several.tar "docker://$REGISTRY/several:1"
    export SHALE_ROOT=$W/empty
    printf 'FROM %s/several:1\n' "$REGISTRY" | dockerfile
    local asked want
    for asked in linux/arm/v7=linux/arm/v6 linux/arm/v5=linux/arm/v5 linux/arm64/v8=linux/arm64 \
        linux/amd64/v2=linux/amd64 linux/amd64/v3=linux/amd64/v3; do
        want=${asked#*=}
        oci --platform "${asked%=*}"
        eq "$want" "$(config .config.Labels.for)" "asked for ${asked%=*}"
    done
}

t_a_platform_of_the_environment_counts_where_none_is_given() {
    made_for_each
    (
        export DOCKER_DEFAULT_PLATFORM=linux/arm64,linux/amd64
        build -o both
        eq 'for arm64' "$(cat both/linux_arm64/bin)"
        eq 'for amd64' "$(cat both/linux_amd64/bin)"
        build --platform linux/arm64 -o one
        eq 'for arm64' "$(cat one/bin)"
    )
    build --platform "local,$HOST" -o own
    eq "for ${HOST#linux/}" "$(cat own/bin)"
}

t_a_plan_and_its_explanation_know_each_platform() {
    made_for_each
    local several=(--platform linux/amd64,linux/arm64 -t several:1)
    shale plan "${several[@]}" ctx >plan
    has plan '[linux/amd64 1/1]'
    has plan '[linux/arm64 1/1]'
    build "${several[@]}"
    shale plan "${several[@]}" ctx >plan
    has plan 'nothing to do'
    echo 'for another' >ctx/bin-arm64
    build "${several[@]}"
    cached '[linux/amd64 1/1] COPY bin-amd64'
    ran '[linux/arm64 1/1] COPY bin-arm64'
    shale explain >explained
    has explained '[linux/arm64 1/1]'
    has explained 'bin-arm64 changed'
    eq '' "$(shale ignore --platform linux/amd64,linux/arm64 ctx 2>/dev/null | grep -E '^/?bin-(amd64|arm64)' || :)"
}

t_what_docker_cannot_hold_is_refused_before_anything_is_built() {
    made_for_each
    build_fails --platform linux/amd64,linux/arm64 -o type=docker,dest=d.tar
    says 'docker exporter does not currently support exporting manifest lists'
    hasnt log 'COPY'
    build --platform linux/arm64,linux/arm64 -o type=docker,dest=d.tar
}

t_an_image_of_one_platform_is_taken_for_another_with_a_warning() {
    start_registry
    printf 'FROM base:1\nRUN echo pushed >/pushed\n' | dockerfile
    build -o type=oci,dest=own.tar
    skopeo_copy oci-archive:own.tar "docker://$REGISTRY/own:1"
    export SHALE_ROOT=$W/empty
    printf 'FROM --platform=%s %s/own:1\nRUN cat /pushed >/seen\n' "$OTHER" "$REGISTRY" | dockerfile
    build -t t
    has log "InvalidBaseImagePlatform: Base image $REGISTRY/own:1 was pulled with platform \"$HOST\", expected \"$OTHER\""
    eq pushed "$(inside cat /seen)" # its files say what runs them, not what they were asked for
}

t_an_index_is_pushed_with_all_its_images() {
    made_for_each
    start_registry
    build --push --platform linux/amd64,linux/arm64,linux/arm/v7 -t "$REGISTRY/several:1" --metadata-file meta
    skopeo --insecure-policy inspect --raw --tls-verify=false "docker://$REGISTRY/several:1" >index.json
    eq "$(jq -r '."containerimage.digest"' meta)" "sha256:$(sha256sum <index.json | cut -d' ' -f1)"
    eq 3 "$(jq '.manifests | length' index.json)"
    skopeo_copy --all "docker://$REGISTRY/several:1" oci:copied:1 # every blob is there
    export SHALE_ROOT=$W/empty
    printf 'FROM %s/several:1\n' "$REGISTRY" | dockerfile
    for arch in amd64 arm64; do
        build --platform linux/$arch -o out.$arch
        eq "for $arch" "$(cat out.$arch/bin)"
    done
}

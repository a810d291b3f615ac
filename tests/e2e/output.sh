# Outputs, as other tools see them.
# shellcheck shell=bash disable=SC2016 # what is in single quotes is for the container

app() {
    echo hello >ctx/hello
    dockerfile <<'END'
FROM base:1
COPY --chown=app hello /srv/hello
RUN rm -r /opt/full && echo made > /made && mkdir /var/lib/x && chown 5:6 /var/lib/x
ENV a=1
ENTRYPOINT ["cat"]
CMD ["/made"]
END
}

t_oci_is_accepted_by_skopeo_and_umoci() {
    app
    oci -t example.com/app:1
    skopeo --insecure-policy inspect oci-archive:oci.tar >inspect.json
    eq "$(jq '.layers | length' "$(oci_manifest)")" "$(jq '.Layers | length' inspect.json)"
    skopeo_copy oci-archive:oci.tar oci:copy:t
    skopeo_copy --dest-decompress oci-archive:oci.tar dir:plain
    umoci unpack --image copy:t bundle >umoci.log 2>&1 || { cat umoci.log; fail "umoci unpack"; }
    eq hello "$(cat bundle/rootfs/srv/hello)"
    eq "1000 1001" "$(stat -c '%u %g' bundle/rootfs/srv/hello)"
    eq made "$(cat bundle/rootfs/made)"
    [ ! -e bundle/rootfs/opt/full ] || fail "what a step removed is there"
    tree files
    same_tree files bundle/rootfs
}

t_oci_names_its_blobs_by_their_content() {
    app
    oci -t example.com/app:1
    local blob
    for blob in oci/blobs/sha256/*; do
        eq "$(basename "$blob")" "$(sha256sum "$blob" | cut -d' ' -f1)"
    done
    eq '{"imageLayoutVersion":"1.0.0"}' "$(jq -c . oci/oci-layout)"
    eq application/vnd.oci.image.manifest.v1+json "$(jq -r .mediaType "$(oci_manifest)")"
}

t_oci_layers_take_the_compression_that_is_asked_for() {
    app
    local compression suffix first=
    for compression in gzip zstd uncompressed; do
        rm -rf oci oci.tar
        build -o "type=oci,dest=oci.tar,compression=$compression,force-compression=true"
        mkdir oci && tar -C oci -xf oci.tar
        case $compression in uncompressed) suffix=tar ;; *) suffix=tar+$compression ;; esac
        eq "application/vnd.oci.image.layer.v1.$suffix" "$(jq -r '.layers[-1].mediaType' "$(oci_manifest)")"
        skopeo_copy oci-archive:oci.tar "oci:copy-$compression:t"
        [ -n "$first" ] || first=$(layer_ids)
        eq "$first" "$(layer_ids)" "the layers' contents"
    done
}

t_docker_archive_is_accepted_by_skopeo() {
    app
    build -o type=docker,dest=docker.tar -t example.com/app:1
    skopeo --insecure-policy inspect docker-archive:docker.tar >inspect.json
    eq "$(tar -xOf docker.tar manifest.json | jq '.[0].Layers | length')" "$(jq '.Layers | length' inspect.json)"
    eq '["example.com/app:1"]' "$(tar -xOf docker.tar manifest.json | jq -c '.[0].RepoTags')"
    skopeo_copy docker-archive:docker.tar oci:copy:t
    umoci unpack --image copy:t bundle >umoci.log 2>&1 || { cat umoci.log; fail "umoci unpack"; }
    tree files
    same_tree files bundle/rootfs
}

t_local_and_tar_hold_the_same_files() {
    app
    tree files
    build -o type=local,dest=local
    build -o short
    same_tree local short
    # Written for whoever asked, as Docker writes them: the owners of the image are in the tar.
    eq 0 "$(find local ! -user 0 | wc -l)" "files of other owners"
    eq "1000 1001" "$(stat -c '%u %g' files/srv/hello)"
    chown -R 0:0 files
    same_tree files local
}

t_standard_output_takes_a_tar() {
    app
    build -o type=tar,dest=files.tar
    shale build --progress=plain -o - ctx 2>log >stdout.tar
    tar -tf files.tar | sort >a
    tar -tf stdout.tar | sort | cmp - a
    shale build --progress=plain -o type=oci,dest=- ctx 2>log | tar -t >names
    has names index.json
}

t_a_device_or_link_at_the_destination_stays_what_it_is() {
    app
    mknod null c 1 3
    ln -s real.tar link.tar
    echo old >real.tar
    build -o type=tar,dest=null -o type=tar,dest=link.tar
    [ -c null ] || fail "the device was replaced by a file"
    [ -L link.tar ] || fail "the link was replaced by a file"
    eq made "$(tar -xOf real.tar made)"
}

t_several_outputs_come_from_one_build() {
    app
    build -t t -o type=oci,dest=a.tar -o type=local,dest=files
    skopeo --insecure-policy inspect oci-archive:a.tar >/dev/null
    eq made "$(cat files/made)"
}

t_iidfile_and_metadata_file_name_the_image() {
    app
    build -t example.com/app:1 --iidfile id --metadata-file metadata.json
    grep -qE '^sha256:[0-9a-f]{64}$' id
    [ "$(tail -c 1 id)" != "" ] || fail "the id ends with a newline, where Docker writes none"
    eq example.com/app:1 "$(jq -r '."image.name"' metadata.json)"
    grep -qE '^sha256:' <(jq -r '."containerimage.digest"' metadata.json)
    eq "$(cat id)" "$(jq -r '."containerimage.config.digest" // ."containerimage.digest"' metadata.json)"
}

t_the_metadata_file_describes_what_was_written() {
    app
    build --iidfile id --metadata-file metadata.json -o type=oci,dest=a.tar,name=example.com/a:1
    eq "$(tar -xOf a.tar index.json | jq -cS '.manifests[0] | {digest, mediaType, platform, size}')" \
        "$(jq -cS '."containerimage.descriptor" | {digest, mediaType, platform, size}' metadata.json)"
    eq "$(jq -r '."containerimage.digest"' metadata.json)" "$(jq -r '."containerimage.descriptor".digest' metadata.json)"
    eq "$(cat id)" "$(jq -r '."containerimage.config.digest"' metadata.json)"
    eq example.com/a:1 "$(jq -r '."image.name"' metadata.json)"
    grep -qE '^shale/shale/[0-9a-z]{25}$' <(jq -r '."buildx.build.ref"' metadata.json)
    eq "$(jq --indent 2 . metadata.json)" "$(cat metadata.json)" "the file's form"
    eq null "$(jq '."buildx.build.provenance"' metadata.json)"
    build --provenance=true --iidfile id --metadata-file metadata.json -o type=oci,dest=a.tar
    eq null "$(jq -r '."containerimage.config.digest"' metadata.json)" "the configuration of an index"
    eq "$(cat id)" "$(jq -r '."containerimage.digest"' metadata.json)"
}

t_the_metadata_file_has_warnings_when_asked() {
    printf 'FROM base:1\nENV k v\n' >ctx/Dockerfile
    build --metadata-file metadata.json
    eq null "$(jq -c '."buildx.build.warnings"' metadata.json)"
    BUILDX_METADATA_WARNINGS=1 build --metadata-file metadata.json
    eq '[{"start":{"line":2},"end":{"line":2}}]' "$(jq -c '."buildx.build.warnings"[0].range' metadata.json)"
    has <(jq -r '."buildx.build.warnings"[0].short | @base64d' metadata.json) "LegacyKeyValueFormat: "
    eq "$(cat ctx/Dockerfile)" "$(jq -r '."buildx.build.warnings"[0].sourceInfo.data | @base64d' metadata.json)"
}

t_dockers_media_types_are_taken_by_skopeo() {
    app
    oci -o type=oci,dest=d.tar,oci-mediatypes=false
    skopeo --insecure-policy inspect --raw oci-archive:d.tar >raw.json
    eq application/vnd.docker.distribution.manifest.v2+json "$(jq -r .mediaType raw.json)"
    eq application/vnd.docker.container.image.v1+json "$(jq -r .config.mediaType raw.json)"
    eq application/vnd.docker.image.rootfs.diff.tar.gzip "$(jq -r '.layers[-1].mediaType' raw.json)"
    skopeo_copy oci-archive:d.tar dir:copy
}

t_directories_hold_what_archives_hold() {
    app
    build -t example.com/app:1 -o type=oci,dest=a.tar -o type=oci,dest=layout,tar=false -o type=docker,dest=d,tar=false \
        -o type=docker,dest=d.tar -o type=cacheonly -o type=image
    mkdir a
    tar -C a -xf a.tar
    diff -r a layout
    mkdir b
    tar -C b -xf d.tar
    diff -r b d
    umoci unpack --image layout:1 bundle >umoci.log 2>&1 || { cat umoci.log; fail "umoci unpack"; }
    eq made "$(cat bundle/rootfs/made)"
}

t_an_id_file_is_gone_when_the_build_fails() {
    app
    echo old >id
    build_fails --iidfile id --build-arg x=y -o type=oci,dest=/proc/no/such.tar
    [ ! -e id ] || fail "the old id is still there"
    build_fails --iidfile id -o type=local,dest=out
    says "local and tar exporters are incompatible with image ID file"
}

t_quiet_prints_the_id_alone() {
    app
    shale build -q --load=false -t t ctx >stdout 2>stderr
    grep -qE '^sha256:[0-9a-f]{64}$' stdout
    eq 1 "$(wc -l <stdout)"
    eq "" "$(cat stderr)"
}

t_the_dockerfile_may_come_from_elsewhere() {
    mkdir elsewhere
    printf 'FROM base:1\nRUN echo elsewhere > /f\n' >elsewhere/my.Dockerfile
    build -t t -f elsewhere/my.Dockerfile
    eq elsewhere "$(inside cat /f)"
    printf 'FROM base:1\nRUN echo stdin > /f\n' | build -t t -f -
    eq stdin "$(inside cat /f)"
    printf 'FROM base:1\nRUN echo "no context" > /f\n' | shale build --load=false -t t - 2>log
    eq "no context" "$(inside cat /f)"
}

t_an_output_that_cannot_be_written_is_said() {
    app
    build_fails -o type=oci,dest=/proc/no/such.tar
    says /proc/no/such.tar
    build_fails -o type=nonsense
    says nonsense
}

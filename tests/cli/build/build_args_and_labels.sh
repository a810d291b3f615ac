dockerfile 'FROM scratch' 'ARG A=a' 'ARG B=b' 'ARG C=c' 'ARG D' 'COPY Dockerfile /' 'LABEL l="$A $B $C $D"'
export B=from-environment
unset C
shale build -q --build-arg A=1=2 --build-arg B --build-arg C --build-arg D= --label x --label y=z=w \
    -o type=oci,dest=out.tar,tar=true . >/dev/null
mkdir o && tar --warning=none -xf out.tar -C o
config() { # the image's configuration in an OCI layout
    local manifest
    manifest=$(jq -r '.manifests[0].digest' o/index.json)
    manifest=o/blobs/sha256/${manifest#sha256:}
    cat "o/blobs/sha256/$(jq -r '.config.digest' "$manifest" | cut -d: -f2)"
}
config | jq -cS .config.Labels

dockerfile 'FROM scratch' 'COPY Dockerfile /'
shale build -q --provenance=false --sbom=false --attest type=provenance,disabled=true --push=false --check=false \
    --call=build --allow network.host --builder x --compress --rm --force-rm --disable-content-trust . >/dev/null

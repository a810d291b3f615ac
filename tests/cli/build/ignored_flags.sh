dockerfile 'FROM scratch' 'COPY Dockerfile /'
shale build -q --provenance=false --sbom=false --attest type=provenance,disabled=true --push=false --check=false \
    --call=build --allow network.host --builder x --compress --rm --force-rm --squash --isolation x -m 1g \
    --memory-swap 2g -c 5 --cpu-period 1 --cpu-quota 1 --cpuset-cpus 0 --cpuset-mems 0 --security-opt x \
    --disable-content-trust . >/dev/null

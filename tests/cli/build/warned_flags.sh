dockerfile 'FROM scratch' 'COPY Dockerfile /'
shale build -q --cache-from x --cache-from y --cache-to type=inline --sbom=1 --attest type=sbom . >/dev/null
shale build -q --squash --isolation x -m 1g --memory-swap 2g -c 5 --cpu-period 1 --cpu-quota 1 --cpuset-cpus 0 \
    --cpuset-mems 0 --security-opt x . >/dev/null

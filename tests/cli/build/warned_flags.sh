dockerfile 'FROM scratch' 'COPY Dockerfile /'
shale build -q --cache-from x --cache-from y --cache-to type=inline --provenance=true --sbom=1 --attest type=sbom . >/dev/null

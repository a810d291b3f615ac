dockerfile 'FROM scratch' 'COPY Dockerfile /'
for spec in mode=max type=foo type=provenance,mode=x type=provenance,version=v9 type=provenance,disabled=x foo 'type="sbom'; do
    shale build -q --attest "$spec" . && echo "accepted $spec"
done
shale build -q --provenance=x .
shale build -q --attest type=provenance,disabled=true --provenance=mode=max --provenance= . >/dev/null

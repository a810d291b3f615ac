dockerfile 'FROM scratch' 'COPY a /a'
echo hello >a
BUILDKIT_PROGRESS=quiet shale build . | wc -l
BUILDKIT_PROGRESS=quiet shale build --progress none .
BUILDKIT_PROGRESS=foo shale build .

dockerfile 'FROM scratch' 'COPY a /a'
echo hello >a
export SOURCE_DATE_EPOCH=1700000000
shale build -q . | sed -E 's/[0-9a-f]{64}/ID/'
shale build --progress quiet . | sed -E 's/[0-9a-f]{64}/ID/'
shale build --progress none .
[ "$(shale build -q .)" = "$(shale build -q .)" ] && echo same

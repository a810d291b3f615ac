dockerfile 'FROM scratch' 'COPY a /a'
echo hello >a
shale build --progress rawjson . 2>lines
jq -r 'keys[]' lines | sort -u
jq -r '.vertexes[]? | select(.completed) | .name' lines

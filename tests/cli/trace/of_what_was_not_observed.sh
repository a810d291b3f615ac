dockerfile 'FROM scratch' 'COPY Dockerfile /'
shale trace 1
shale build -q . >/dev/null 2>&1
shale trace 1
shale trace --files --json --context . 1
shale trace 2
shale trace --context nowhere 1

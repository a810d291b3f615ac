dockerfile 'FROM scratch' 'COPY Dockerfile /'
shale build -q . >/dev/null 2>&1
shale explain 3

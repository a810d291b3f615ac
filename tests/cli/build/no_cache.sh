dockerfile 'FROM scratch' 'COPY Dockerfile /' 'COPY Dockerfile /b'
shale build -q . >/dev/null
shale build --progress plain . 2>&1 | grep -c CACHED
shale build --progress plain --no-cache . 2>&1 | grep -c CACHED
true

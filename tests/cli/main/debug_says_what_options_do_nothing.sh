dockerfile 'FROM scratch' 'COPY Dockerfile /'
shale --debug build -q --compress --rm . 2>&1 >/dev/null | grep -oE 'flag --(compress|rm) has no effect'

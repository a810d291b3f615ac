dockerfile 'FROM scratch' 'COPY Dockerfile /'
shale --debug build -q --squash --rm . 2>&1 >/dev/null | grep -oE 'flag --(squash|rm) has no effect'

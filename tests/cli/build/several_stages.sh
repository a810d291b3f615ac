base small
dockerfile 'FROM small AS a' 'COPY Dockerfile /a' 'FROM scratch AS b' 'COPY --from=a /etc/motd /a' 'FROM b' \
    'COPY --from=a /a /b' 'LABEL x=y'
shale build --progress plain . 2>&1 | grep -oE '\[.*\] (COPY|FROM) .*' | sort -u
shale build --progress plain . 2>&1 | grep -cE '^#[0-9]+ CACHED$'

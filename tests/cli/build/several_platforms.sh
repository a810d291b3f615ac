# What is shown, and what is no platform.
printf 'FROM --platform=$BUILDPLATFORM scratch AS a\nCOPY x /\nFROM --platform=$BUILDPLATFORM scratch AS b\nARG TARGETOS\nARG TARGETARCH\nCOPY x /$TARGETARCH\nFROM scratch\nCOPY --from=a / /\nCOPY --from=b / /\n' >Dockerfile
echo x >x
host=linux/$(dpkg --print-architecture)
shale build --progress=plain --platform linux/s390x,linux/riscv64 -o type=cacheonly . 2>&1 |
    grep -o '\[linux[^]]*\] [A-Z].*' | sed "s|$host|HOST|" | sort -u
shale build --platform linux/amd64,, -o type=cacheonly .
shale build --platform linux/amd64,linux -q --offline . >id
wc -l <id

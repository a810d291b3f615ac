# a stage's name or a well-known image's may have been meant; nobody is asked for what is not here
for from in biuld BUILDS buzybox alpine:lastest nothing-like-it; do
    dockerfile 'FROM scratch AS build' "FROM ${from,,}"
    shale build --offline --progress=none -o type=cacheonly . 2>&1 | tail -n 1
done
dockerfile 'FROM scratch AS build' 'FROM scratch' 'COPY --from=buid /a /b'
shale build --offline --progress=none -o type=cacheonly . 2>&1 | tail -n 1

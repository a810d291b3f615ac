dockerfile 'FROM scratch AS build' 'FROM scratch AS runtime'
for target in biuld RUNTIMES 0 stage-1 zzz; do
    shale build --progress=none -o type=cacheonly --target $target .
done
dockerfile 'FROM scratch AS x' 'COPY --from=y /f /g' 'FROM scratch AS y' 'COPY --from=x /f /f'
shale build --progress=none -o type=cacheonly .
shale build --check --progress=none .
dockerfile 'FROM scratch' 'COPY --from=0 /f /g'
shale build --progress=none -o type=cacheonly .

# what only carrying out would tell: each is said with its line, and nothing is built
for line in 'COPY --chmod=9 a b' 'EXPOSE 80/foo' 'EXPOSE 1:2:3:4' 'STOPSIGNAL NO' 'VOLUME $none' 'ENV a=${b?must be set}' 'COPY --from=base a b'; do
    dockerfile 'FROM scratch AS base' "$line"
    shale build --check --progress=none .
    echo "exit status $?"
done 2>&1

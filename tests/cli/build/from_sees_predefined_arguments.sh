dockerfile 'FROM scratch AS on-linux' 'LABEL base=linux' 'FROM scratch AS on-plan9' 'LABEL base=plan9' \
    'FROM on-$TARGETOS AS last' 'ARG TARGETSTAGE' 'LABEL target=$TARGETSTAGE'
for args in '' '--build-arg=TARGETOS=plan9 --build-arg=TARGETSTAGE=x' '--target=LAST'; do
    # shellcheck disable=SC2086 # words are wanted
    shale build -q --load=false -t x $args . | sed 's/sha256:.*/built/'
    shale debug tree x | jq -c .config.Labels
done
# A stage is found by its name as it is kept: in lower case.
dockerfile 'FROM scratch AS aBc' 'LABEL a=b' 'FROM ABC'
shale build --progress=none -o type=cacheonly . 2>&1
dockerfile 'FROM scratch AS on-last' 'LABEL a=b' 'FROM on-$TARGETSTAGE AS last'
shale build --progress=plain -o type=cacheonly . 2>&1 | grep WARN

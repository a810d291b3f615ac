# Each line of the list is a Dockerfile (\n, \t, \r and \\ as in printf %b): what is said of it, and the exit status.
while IFS= read -r text; do
    echo "=== $text"
    printf %b "$text" >Dockerfile
    shale build --offline --no-cache --progress=none -o type=cacheonly . 2>&1
    echo "exit status $?"
done <"$CASES/build/refused_dockerfiles.list"

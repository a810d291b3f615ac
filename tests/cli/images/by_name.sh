base alpha:1
shale tag alpha:1 alpha:2
shale tag alpha:1 beta
for name in alpha alpha:2 beta beta:1 docker.io/library/alpha:1; do
    echo "$name: $(shale images --format json "$name" | jq -r '.Repository + ":" + .Tag' | tr '\n' ' ')"
done

for output in type=local type=local,dest=- type=foo a=b,c 'type=tar,dest=.' type=registry type=image,push=true \
    'type=tar,"dest=x' type=cacheonly,dest=x; do
    shale build -o "$output" . && echo "accepted $output"
done
shale build -o - -o - .

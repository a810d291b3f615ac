for output in type=local type=local,dest=- type=foo a=b,c 'type=tar,dest=.' type=registry type=image,push=true \
    type=image,push=maybe type=registry,push-by-digest=2 type=registry,dest=x 'type=tar,"dest=x' type=cacheonly,dest=x; do
    shale build -o "$output" . && echo "accepted $output"
done
shale build -o - -o - .
shale build --push .
shale build --push -o type=image,name= -o type=oci,dest=x .

for output in type=local type=local,dest=- type=foo a=b,c 'type=tar,dest=.' type=registry type=image,push=true \
    type=image,push=maybe type=registry,push-by-digest=2 type=registry,dest=x 'type=tar,"dest=x' type=cacheonly,dest=x; do
    shale build -o "$output" . && echo "accepted $output"
done
shale build -o - -o - .
shale build --push .
shale build --push -o type=image,name= -o type=oci,dest=x .
dockerfile 'FROM scratch' 'COPY Dockerfile /'
for attributes in compression=foo compression=estargz compression-level=x oci-mediatypes=x tar=x name=A \
    name=a@b source-date-epoch=1; do
    shale build -o "type=oci,dest=x.tar,$attributes" . && echo "accepted $attributes"
done
shale build -o type=oci,dest=x.tar,rewrite-timestamp=x .
shale build --iidfile id -o type=local,dest=out .
shale build -o type=local,dest=out,mode=delete .

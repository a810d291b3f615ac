dockerfile 'FROM scratch' 'COPY Dockerfile /'
for annotation in foo foo:k=v :k=v 'manifest[a/b/c/d]:k=v' 'manifest[]:k=v' 'manifest,indx:k=v'; do
    shale build -q --annotation "$annotation" . && echo "accepted $annotation"
done
for attributes in annotation-foo.k=v annotation.=v 'annotation[a/b/c/d].k=v' annotation-index.k=v; do
    shale build --progress=none -o "type=oci,dest=x.tar,$attributes" . && echo "accepted $attributes"
done
true

export SOURCE_DATE_EPOCH=1000000000
layer_tar base.tar
shale import base.tar base >/dev/null
printf '%s\n' 'FROM base' 'WORKDIR /a/b' | shale build -q -t image - >/dev/null
printf '%s\n' 'FROM base' 'WORKDIR /a/b' | shale build -q -o type=oci,dest=layout.tar - >/dev/null
mkdir layout
tar -C layout -xf layout.tar
shale debug tree image | jq -S -c 'del(.name), .tree["/a/b"].t' >a
shale debug tree oci:layout | jq -S -c 'del(.name), .tree["/a/b"].t' >b
cmp a b && tail -n 1 b
# Bytes that are not what their name says.
echo >>layout/blobs/sha256/"$(jq -r '.manifests[0].digest[7:]' layout/index.json)"
shale debug tree oci:layout 2>&1 | sed 's/[0-9a-f]\{64\}/ID/'

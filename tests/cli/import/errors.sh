layer_tar x.tar
shale import nosuch.tar x
shale import x.tar B
shale import x.tar "b@sha256:$(printf '%064d' 0)"
shale import https://example.com/x.tar
shale import -c 'FOO x' x.tar
shale import --platform a/b/c/d x.tar
echo "this is no archive" >bad.tar
shale import bad.tar x
shale import
shale images -q

dockerfile 'FROM scratch' 'COPY a /sub/a'
echo hello >a
shale build --progress none -o - . | tar --warning=none -t | sort
shale build --progress none -o '"type=tar","dest=a,b.tar"' . && ls ./*.tar

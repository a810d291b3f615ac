dockerfile 'FROM scratch' 'COPY a /sub/a'
echo hello >a
shale build --progress none -o out .
find out | sort
cat out/sub/a

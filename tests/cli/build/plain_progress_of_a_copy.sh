dockerfile 'FROM scratch' 'COPY a /a'
echo hello >a
export SOURCE_DATE_EPOCH=1700000000
shale build --progress plain -t x .

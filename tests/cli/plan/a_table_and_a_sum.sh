dockerfile 'FROM scratch AS files' 'COPY a /a' 'FROM files' 'COPY b /b' 'WORKDIR /w' 'LABEL x=y'
echo 1 >a
echo 1 >b
shale plan .
shale build -q -t t . >/dev/null 2>&1
shale plan -t t .
echo 2 >b
shale plan --exit-code -t t . || echo "status $?"

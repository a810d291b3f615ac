dockerfile 'FROM scratch' 'COPY Dockerfile /'
for wrong in --trace=maybe --trace= --trace-sample=101 --trace-max-age=7; do
    shale build "$wrong" . || echo "status $?"
done
SHALE_TRACE=0 shale build . || echo "status $?"
echo 'trace = yes' >conf
SHALE_CONFIG=conf shale plan . || echo "status $?"
SHALE_CONFIG=conf shale plan --trace=verify --trace-sample=5% --trace-max-age=0 . >/dev/null && echo planned

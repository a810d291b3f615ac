dockerfile 'FROM scratch' 'COPY . /' 'CMD ["x"]'
echo 1 >a
shale build -q . >/dev/null 2>&1
echo 2 >a
shale plan --json . | sed -E 's/"[0-9a-f]{64}"/"KEY"/; s/("cost_ms": )[0-9]+/\1N/'

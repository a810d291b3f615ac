dockerfile 'FROM scratch AS all' 'COPY . /all' 'FROM scratch' 'COPY --from=all /all/src /src' 'COPY named* /'
mkdir -p src docs/deep 'odd*' half
echo keep >src/a
echo keep >named.txt
echo 12345 | tee docs/a docs/deep/b 'odd*/x' half/gone ' blank' '#no' >/dev/null
ln -s a src/link
ln -s nowhere lost
shale build -q . >/dev/null 2>&1
shale build -q -t t . >/dev/null 2>&1
shale ignore .
shale ignore --json . 2>&1

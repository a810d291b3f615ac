dockerfile 'FROM scratch' 'COPY a b /d/'
echo a >a
echo b >b
shale ignore . || echo "status $?"
shale build -q . >/dev/null 2>&1
shale ignore .
echo c >b
shale ignore . || echo "status $?"

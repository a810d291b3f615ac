dockerfile 'FROM scratch' 'COPY a /d/a'
echo 1 >a
shale build -q -t t . >/dev/null 2>&1
echo 2 >a
shale build -q -t t . >/dev/null 2>&1
shale explain | sed 's/built .*/built AGO/'
shale explain 1 | sed -E 's/in [0-9.]+ s/in TIME/'

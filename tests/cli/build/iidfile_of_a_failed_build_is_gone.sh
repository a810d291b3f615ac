dockerfile 'FROM scratch' 'COPY nope /'
echo old >iid
shale build --progress none --iidfile iid . 2>/dev/null
ls iid 2>/dev/null || echo gone

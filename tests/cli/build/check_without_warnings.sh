dockerfile 'FROM scratch' 'LABEL a=b'
shale build --call=check --progress none .

dockerfile 'FROM scratch'
shale build --call=outline --progress=none .
shale build --call=outline,format=json --progress=none .
shale build --call=targets --progress=none .

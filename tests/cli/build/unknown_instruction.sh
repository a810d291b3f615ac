dockerfile 'FROM busybox' 'RUNN x'
shale build --progress plain .

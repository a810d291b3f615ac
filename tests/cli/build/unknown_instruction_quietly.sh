dockerfile 'FROM busybox' 'RUNN x'
shale build -q .

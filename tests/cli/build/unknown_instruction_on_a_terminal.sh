dockerfile 'FROM busybox' 'RUNN x'
on_terminal 24 80 "$SHALE" build --load=false . >out
status=$?
last_picture <out
exit $status

commands bb
dockerfile 'FROM bb' 'RUN echo hi; exit 3' 'RUN echo never'
on_terminal 24 80 "$SHALE" build --load=false . >out
status=$?
last_picture <out
exit $status

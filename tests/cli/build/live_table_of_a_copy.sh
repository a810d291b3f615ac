dockerfile 'FROM scratch' 'COPY a /a'
echo hello >a
export SOURCE_DATE_EPOCH=1700000000
on_terminal 24 80 "$SHALE" build --load=false . >out
last_picture <out
grep -c $'\x1b\[?25h$' <(tail -n 1 out)

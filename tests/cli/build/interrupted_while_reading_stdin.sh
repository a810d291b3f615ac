mkfifo pipe
exec 9<>pipe
"$SHALE" build - <pipe & pid=$!
sleep 0.5
kill -TERM $pid
wait $pid

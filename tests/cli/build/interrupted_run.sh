commands bb
dockerfile 'FROM bb' 'RUN echo started; sleep 100'
: >err
"$SHALE" build --load=false --progress plain . 2>err & pid=$!
for _ in $(seq 100); do grep -q 'T* started$' err && break; sleep 0.1; done
kill -TERM $pid
wait $pid
status=$?
sed -n '/RUN/,$p' err
exit $status

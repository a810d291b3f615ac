dockerfile 'FROM scratch' 'COPY Dockerfile /'
shale plan --check . || echo "status $?"
shale plan --call=outline . || echo "status $?"
shale plan -q -o type=tar,dest=t.tar . >/dev/null && ls

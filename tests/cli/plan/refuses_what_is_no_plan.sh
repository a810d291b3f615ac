dockerfile 'FROM scratch' 'COPY Dockerfile /'
shale plan --check . || echo "status $?"
shale plan --call=outline . || echo "status $?"
shale plan -q --iidfile id -o type=oci,dest=t.tar . >/dev/null && ls

dockerfile 'FROM scratch' 'COPY Dockerfile /'
shale ignore --check . || echo "status $?"
shale ignore --platfrom x . || echo "status $?"

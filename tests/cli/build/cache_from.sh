dockerfile 'FROM scratch' 'COPY Dockerfile /'
shale build -q --cache-from type=gha --cache-from type=s3,bucket=x . >/dev/null
shale build -q --cache-from 'UPPER' .
shale build -q --cache-from type=registry .
shale build -q --cache-from ref=x .

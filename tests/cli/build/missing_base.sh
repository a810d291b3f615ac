dockerfile 'FROM nosuchimage' 'COPY Dockerfile /'
shale build --progress plain --offline .

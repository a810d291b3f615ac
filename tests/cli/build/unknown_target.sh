dockerfile 'FROM scratch AS a' 'COPY Dockerfile /'
shale build --progress plain --target nosuch .

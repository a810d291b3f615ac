dockerfile 'FROM scratch' '# shale: trace=of' '# shale: trace=off' 'RUN ["x"]' 'FROM scratch' '# shale: not for a COPY' 'COPY Dockerfile /'
shale build --progress=plain . 2>&1 | tail -n 3

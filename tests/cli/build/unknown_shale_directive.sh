dockerfile '# shale: trace=off' 'ARG V=1' 'FROM scratch' '# shale: trace=of' '# shale: trace=off' 'RUN ["x"]' \
    '# shale: trace = off' '' 'RUN ["y"]' 'FROM scratch' '# shale: trace=off' 'COPY Dockerfile /' '# no shale: at all' 'COPY Dockerfile /b'
shale build --progress=plain . 2>&1 | tail -n 6

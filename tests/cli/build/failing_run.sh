commands bb
dockerfile 'FROM bb' 'COPY Dockerfile /d' \
    'RUN echo hi; for i in 1 2 3 4 5 6 7 8 9 10 11 12; do echo line $i; done; exit 3' 'RUN echo never'
shale build --progress plain .

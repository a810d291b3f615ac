dockerfile 'FROM scratch' 'COPY nope /x'
shale build --progress plain .

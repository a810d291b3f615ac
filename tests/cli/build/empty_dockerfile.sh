: >Dockerfile
shale build --progress plain .

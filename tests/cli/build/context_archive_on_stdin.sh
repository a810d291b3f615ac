dockerfile 'FROM scratch'
tar -c Dockerfile | shale build -

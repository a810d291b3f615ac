dockerfile 'FROM scratch' 'COPY . /'
tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -c Dockerfile | shale build --progress=plain -

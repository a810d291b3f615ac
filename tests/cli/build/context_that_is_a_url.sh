shale build http://127.0.0.1:1/context.tar

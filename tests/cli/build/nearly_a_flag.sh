shale build --no-cach .

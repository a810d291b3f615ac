shale build --progress plain -f sub/nope .

shale build --progress plain .

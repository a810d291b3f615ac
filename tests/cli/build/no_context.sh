shale build

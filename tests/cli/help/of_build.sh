shale build --help

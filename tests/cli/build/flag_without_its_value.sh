shale build . --tag

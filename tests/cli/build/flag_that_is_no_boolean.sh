shale build --pull=maybe .

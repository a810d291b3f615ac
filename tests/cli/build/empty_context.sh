shale build ''

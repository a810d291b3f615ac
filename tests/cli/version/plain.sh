shale version

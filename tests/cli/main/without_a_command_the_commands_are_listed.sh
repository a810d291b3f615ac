shale

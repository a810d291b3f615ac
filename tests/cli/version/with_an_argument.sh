shale version x

shale image rm

shale trace

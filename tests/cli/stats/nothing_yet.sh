shale stats

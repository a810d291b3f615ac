shale stats x

shale images A

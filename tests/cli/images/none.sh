shale images

shale ignore

shale build nosuch
